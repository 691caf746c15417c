"""Whether an exported file gives the same answers as PyTorch, on labelled photos.

B batch, K classes, M parts.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.ops import box_convert, clip_boxes_to_image

from scapnet.checkpoint import read_run
from scapnet.config import DataConfig, ViewConfig
from scapnet.data.images import UnreadableImage
from scapnet.data.labelled import load_labelled
from scapnet.data.sample import FineGrained
from scapnet.data.scored import choose
from scapnet.data.transforms import centre_view, to_input
from scapnet.exported import ExportedGraph, open_graph
from scapnet.network import Network, NetworkOutput, device_of

MOST = 300  # photos that are compared
CALIBRATION = 64  # photos that calibrate the ranges of int8; at most a quarter of all that are not training photos
CLOSE = 1e-4


class Photos(NamedTuple):
    """Photos for calibration and others for the comparison; they are read on demand."""

    data: FineGrained | None  # None: `noise`
    calibration: Sequence[int] = ()
    compared: Sequence[int] = ()
    note: str = "there are no labelled photos (name some with --photos), so answers are compared on drawn pictures"
    training: FineGrained | None = None  # what ``calibration`` numbers; None: ``data``


class Agreement(NamedTuple):
    """The result of the comparison."""

    photos: int
    accuracy: float | None  # of PyTorch; None if the photos have no labels
    exported: float | None  # of the file
    same: float  # share of the photos with the same answer
    apart: float  # the largest difference of a probability
    moved: float  # share of the photos with other parts

    @property
    def equal(self) -> bool:
        """Whether every answer and every part is the same and no probability differs by more than 1e-4."""
        return self.same == 1 and self.moved == 0 and self.apart <= CLOSE

    def __str__(self) -> str:
        change = ""
        if self.accuracy is not None and self.exported is not None:
            change = f"accuracy {self.accuracy:.1%} in PyTorch and {self.exported:.1%} exported; "
        return (
            f"{change}the same answer for {self.same:.1%} and the same parts for {1 - self.moved:.1%} of "
            f"{self.photos} pictures; probabilities differ by at most {self.apart:.2g}"
        )


def find_photos(source: object, classes: Sequence[str], folder: Path | None) -> Photos:
    """Labelled photos: those of a folder, or else the held-out ones of a run if its data is available.

    A run's training photos calibrate, so that all its held-out ones can be compared; a folder's photos do both.

    Args:
        source: the run folder, or anything else.
        classes: the model's classes.
        folder: a folder with class folders, or None.

    Raises:
        ValueError: the folder has no labelled photos.
    """
    training: FineGrained | None = None
    if folder is not None:
        data: FineGrained = next(iter(load_labelled(folder, None, classes).values()))
        where = str(folder)
    else:
        try:
            config = read_run(Path(str(source)))
            chosen = choose(Path(str(source)), config.data, classes, None, None, None)
        except (ValueError, OSError):
            return Photos(None)
        data, where = chosen.data, f"the run's {chosen.split} split"
        training = _training(Path(str(source)), config.data, classes)
    order = _shuffled(len(data))
    count = min(CALIBRATION, len(order) // 4) if training is None else 0
    compared = sorted(order[count : count + MOST])
    calibration = order[:count] if training is None else _shuffled(len(training))[:CALIBRATION]
    note = f"answers are compared on {len(compared)} photos of {where}"
    return Photos(data, calibration, compared, note, training)


def _shuffled(count: int) -> list[int]:
    return torch.randperm(count, generator=torch.Generator().manual_seed(0)).tolist()


def _training(run: Path, data: DataConfig, classes: Sequence[str]) -> FineGrained | None:
    """The training photos of a run; None where they are gone or are too few to stand for all."""
    try:
        found = choose(run, data, classes, "train", None, None).data
    except (ValueError, OSError):
        return None
    return found if len(found) >= CALIBRATION else None


def read(data: FineGrained | None, indices: Sequence[int], side: int) -> Iterator[tuple[Tensor, int]]:
    """Photos (3, H, W) uint8 and their labels, without those that cannot be read; drawn ones have the label -1."""
    if data is None:
        yield from ((picture, -1) for picture in noise(side))
        return
    for i in indices:
        try:
            yield data[i].image, int(data.labels[i])
        except UnreadableImage:
            continue


def noise(side: int) -> list[Tensor]:
    """Four pictures (3, H, W) of soft coloured noise, in place of photos."""
    generator = torch.Generator().manual_seed(0)
    shapes = ((side, side), (side + 31, 2 * side), (3 * side, side), (side // 2, side // 3))
    coarse = [torch.rand(1, 3, 8, 8, generator=generator) * 255 for _ in shapes]
    return [
        torch.nn.functional.interpolate(one, shape, mode="bilinear")[0].to(torch.uint8)
        for one, shape in zip(coarse, shapes, strict=True)
    ]


def as_input(image: Tensor, view: ViewConfig, metadata: Mapping[str, str]) -> NDArray[Any]:
    """The input (1, 3, H, W) of a graph with this metadata, for a photo (3, H, W) uint8."""
    pixels = (image if metadata["input"] == "photo" else centre_view(image, view)[0])[None].contiguous().numpy()
    return pixels if metadata["pixels"] == "uint8" else pixels.astype(np.float32) / 255


@torch.inference_mode()
def answer(
    model: Network, image: Tensor, of_photo: bool, sure: float | None = None
) -> tuple[NetworkOutput, Tensor | None]:
    """A network's output for a photo (3, H, W) uint8, and its parts (M, 4) xyxy in pixels of the photo or the view.

    With ``sure`` the parts are skipped, and None, where the main branch is as sure.
    """
    source, frame = centre_view(image, model.view)
    batch = {key: value[None].to(device_of(model)) for key, value in to_input(source, model.view).items()}
    options: dict[str, Any] = {} if sure is None else {"sure": sure}
    output: NetworkOutput = model.eval()(batch["image"], batch.get("source"), **options)
    if output.parts is None:
        return output, None
    corners = box_convert(output.parts.boxes[0].float().cpu(), "cxcywh", "xyxy")
    photo: Tensor = clip_boxes_to_image(frame.to_photo(corners), tuple(image.shape[-2:]))
    return output, photo if of_photo else corners * frame.side


class Answered(NamedTuple):
    """A photo, and what the network says."""

    image: Tensor  # (3, H, W) uint8
    target: int  # its label, or -1
    probs: NDArray[Any]  # (K,)
    boxes: NDArray[Any] | None  # (M, 4); None without parts


def answers(
    model: Network, data: FineGrained | None, indices: Sequence[int], of_photo: bool, sure: float | None = None
) -> Iterator[Answered]:
    """A network's own answers to photos; see `read` and `answer`."""
    for image, target in read(data, indices, model.view.size):
        output, boxes = answer(model, image, of_photo, sure)
        probs = output.probs[0].float().cpu().numpy()
        yield Answered(image, target, probs, None if boxes is None else boxes.numpy())


def compare(model: Network, file: Path, photos: Photos, sure: float | None = None) -> Agreement:
    """Run both on the same photos, one by one; with ``sure`` both skip the parts where the main branch is as sure."""
    graph = open_graph(file)
    return agreement(graph, model.view, answers(model, photos.data, photos.compared, graph.pixels == "photo", sure))


def agreement(graph: ExportedGraph, view: ViewConfig, expected: Iterable[Answered]) -> Agreement:
    """Compare a file's answers with the network's own."""
    rows, key = list[tuple[bool, bool, bool, float, bool]](), "boxes" if graph.pixels == "photo" else "view_boxes"
    labelled = True
    for image, target, own, boxes in expected:
        found = graph.run(as_input(image, view, graph.metadata))
        probs = found["probabilities"][0]
        first, best = int(own.argmax()), int(probs.argmax())
        moved = boxes is not None and not np.allclose(found[key][0], boxes, atol=0.05)
        rows.append((first == target, best == target, first == best, float(abs(own - probs).max()), moved))
        labelled = labelled and target >= 0
    if not rows:
        raise ValueError("none of the photos can be read; name others with --photos")
    right, exported, same, apart, moved_parts = np.array(rows, dtype=np.float64).T
    own_accuracy, accuracy = (float(right.mean()), float(exported.mean())) if labelled else (None, None)
    return Agreement(
        len(rows), own_accuracy, accuracy, float(same.mean()), float(apart.max()), float(moved_parts.mean())
    )
