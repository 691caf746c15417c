"""Predictions for photos of any kind, with the parts that told, in pixels of the photo as the user sees it.

M parts, K classes.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torchvision.ops import box_convert, clip_boxes_to_image

from scapnet.data.files import Listing, find_photos
from scapnet.data.images import photo_to_tensor, read_image
from scapnet.data.transforms import ViewGeometry, centre_view, to_input
from scapnet.network import Network, NetworkOutput


@dataclass(frozen=True)
class Part:
    """A part that the network looked at."""

    box: tuple[float, float, float, float]  # x0, y0, x1, y1 in pixels of the photo
    scale: int  # its side in units of the grid
    score: float  # P(keep)
    name: str  # the class that this part alone speaks for, or all at once where one classifier sees them all
    probability: float


@dataclass(frozen=True)
class Prediction:
    """The answer for one photo, best class first."""

    path: str
    names: tuple[str, ...]
    probabilities: tuple[float, ...]
    parts: tuple[Part, ...]
    kept: float | None  # share of the grid that the gate kept

    def table(self) -> str:
        """The answer as lines of text."""
        lines = [f"{self.path}"]
        lines += [f"  {p:6.1%}  {name}" for name, p in zip(self.names, self.probabilities, strict=True)]
        for part in self.parts:
            box = ", ".join(f"{edge:.0f}" for edge in part.box)
            lines.append(f"  part scale {part.scale} score {part.score:.2f} [{box}] {part.name} {part.probability:.0%}")
        return "\n".join(lines)


def best_device() -> torch.device:
    """The machine's accelerator, or the CPU."""
    return (torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None) or torch.device(
        "cpu"
    )


def photo_boxes(boxes: Tensor, frame: ViewGeometry, height: int, width: int) -> Tensor:
    """Part boxes (M, 4) cxcywh in [0, 1] of the view to xyxy pixels of a photo of that size."""
    corners = frame.to_photo(box_convert(boxes.float().cpu(), "cxcywh", "xyxy"))
    clipped: Tensor = clip_boxes_to_image(corners, (height, width))
    return clipped


@torch.inference_mode()
def run_model(model: Network, images: list[Tensor], index: Iterable[int]) -> tuple[NetworkOutput, list[ViewGeometry]]:
    """Run a model on photos (3, H, W) uint8 of any sizes, as one batch."""
    device = next(model.parameters()).device
    framed = [centre_view(image, model.view) for image in images]
    views = [to_input(source, model.view) for source, _ in framed]
    batch = {key: torch.stack([view[key] for view in views]).to(device) for key in views[0]}
    output = model.eval()(batch["image"], batch.get("source"), torch.tensor(list(index), device=device))
    return output, [frame for _, frame in framed]


def predict_images(
    model: Network, images: list[Tensor], paths: list[str], top: int = 5, start: int = 0
) -> list[Prediction]:
    """Predictions for photos in memory.

    Args:
        model: with its ``classes`` and ``view``.
        images: (3, H, W) uint8 each, of any size.
        paths: their names.
        top: how many classes to name.
        start: number of the first one.
    """
    output, frames = run_model(model, images, range(start, start + len(images)))
    found = []
    for i, (image, path, frame) in enumerate(zip(images, paths, frames, strict=True)):
        probs, order = output.probs[i].topk(min(top, len(model.classes)))
        found.append(
            Prediction(
                path,
                tuple(model.classes[k] for k in order.tolist()),
                tuple(probs.tolist()),
                tuple(_parts(model, output, i, photo_boxes(output.parts.boxes[i], frame, *image.shape[-2:])))
                if output.parts is not None
                else (),
                float(output.gate.mask[i].mean()) if output.gate is not None else None,
            )
        )
    return found


def _parts(model: Network, output: NetworkOutput, i: int, boxes: Tensor) -> Iterator[Part]:
    assert output.parts is not None
    assert output.part_logits is not None
    own = output.part_logits[i].float().softmax(-1)
    for m, box in enumerate(boxes.tolist()):
        # A classifier over all parts at once has one row of logits, which speaks for each of them.
        probability, k = own[min(m, len(own) - 1)].max(-1)
        yield Part(
            tuple(box),
            int(output.parts.scales[i, m]),
            float(output.parts.scores[i, m]),
            model.classes[int(k)],
            float(probability),
        )


def predict_photo(model: Network, photo: Path | str | Image.Image, top: int = 5) -> Prediction:
    """The prediction for one photo.

    Args:
        model: from `scapnet.from_pretrained`.
        photo: a file or a Pillow image, of any size and mode.
        top: how many classes to name.

    Raises:
        ValueError: the file is no readable image.
    """
    if isinstance(photo, Image.Image):
        return predict_images(model, [photo_to_tensor(photo)], ["image"], top)[0]
    return predict_images(model, [read_image(Path(photo))], [str(photo)], top)[0]


def expand(paths: Iterable[Path], listing: Listing) -> Iterator[Path]:
    """Files, and the photos of folders in the order of their names.

    Args:
        paths: files and folders.
        listing: gets what is passed over in the folders.

    Raises:
        ValueError: a path that does not exist.
    """
    paths = list(paths)
    for path in paths:
        if not path.exists():
            raise ValueError(f"there is no file or folder {path}")
    for path in paths:
        yield from find_photos(path, listing) if path.is_dir() else [path]


def predict_files(
    model: Network, paths: Iterable[Path], skipped: list[str], top: int = 5, batch_size: int = 16
) -> Iterator[Prediction]:
    """Predictions for files and folders, a batch at a time; what is no readable image is named in ``skipped``."""
    files = iter(list(expand(paths, Listing())))
    start = 0
    while chunk := list(islice(files, batch_size)):
        images, names = [], []
        for path in chunk:
            try:
                images.append(read_image(path))
                names.append(str(path))
            except ValueError as error:
                skipped.append(str(error))
        if images:
            yield from predict_images(model, images, names, top, start)
        start += len(images)


def as_csv(predictions: Iterable[Prediction]) -> Iterator[str]:
    """Lines of a CSV: a row for each photo and rank, the parts as JSON in the first row of a photo."""
    yield _csv_line(["path", "rank", "name", "probability", "kept", "parts"])
    for prediction in predictions:
        parts = json.dumps([asdict(part) for part in prediction.parts])
        for rank, (name, p) in enumerate(zip(prediction.names, prediction.probabilities, strict=True), 1):
            first = rank == 1
            kept = "" if prediction.kept is None or not first else f"{prediction.kept:.4f}"
            yield _csv_line([prediction.path, rank, name, f"{p:.6f}", kept, parts if first else ""])


def _csv_line(values: list[Any]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="").writerow(values)
    return buffer.getvalue()


def as_json(predictions: Iterable[Prediction]) -> Iterator[str]:
    """Lines of a JSON array, one prediction each."""
    comma = ""
    yield "["
    for prediction in predictions:
        yield f"{comma}{json.dumps(asdict(prediction), ensure_ascii=False)}"
        comma = ","
    yield "]"
