"""Predictions for photos of any kind, with the parts that they rest on, in pixels of the photo as the user sees it.

B batch, M parts, K classes, D feature size, S' side of the source.
"""

from collections.abc import Iterable, Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Literal, NamedTuple, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.ops import box_convert, clip_boxes_to_image

from scapnet.data.files import Listing, each_once, find_photos
from scapnet.data.images import UnreadableImage
from scapnet.data.inputs import Photo, load_photo, photo_name
from scapnet.data.transforms import ViewGeometry, centre_view, to_input
from scapnet.network import Network, NetworkOutput, device_of
from scapnet.prediction import UNKNOWN, Part, Prediction, Skipped

NOTHING = "no photo could be read; give image files or a folder of them"
AtLeast = float | Literal["auto"] | None


class PhotoView(NamedTuple):
    """What the network gets of a photo, and where it lies in the photo."""

    path: str
    source: Tensor  # (3, S', S') uint8
    frame: ViewGeometry
    height: int  # of the photo, in pixels
    width: int


class Answers(NamedTuple):
    """What a network says of a batch."""

    output: NetworkOutput
    probs: Tensor  # (B, K); the output's own, or the mean with those of the mirrored views
    features: Tensor  # (B, D) the main branch's input to its classifier


def best_device() -> torch.device:
    """The machine's accelerator, or the CPU."""
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return accelerator or torch.device("cpu")


def view_of(image: Tensor, path: str, model: Network) -> PhotoView:
    """The view of a photo (3, H, W) uint8; it is much smaller than the photo."""
    return PhotoView(path, *centre_view(image, model.view), *image.shape[-2:])


def photo_boxes(boxes: Tensor, frame: ViewGeometry, height: int, width: int) -> Tensor:
    """Part boxes (M, 4) cxcywh in [0, 1] of the view to xyxy pixels of a photo of that size."""
    corners = frame.to_photo(box_convert(boxes.float().cpu(), "cxcywh", "xyxy"))
    clipped: Tensor = clip_boxes_to_image(corners, (height, width))
    return clipped


@torch.inference_mode()
def run_views(model: Network, views: Sequence[PhotoView], index: Iterable[int], tta: bool = False) -> Answers:
    """Run a model on a batch.

    Args:
        model: with its ``view``.
        views: of B photos.
        index: their numbers, which random parts are drawn by.
        tta: average the answer with that for the mirrored views. Parts and gate are those of the plain views.
    """
    device = device_of(model)
    inputs = [to_input(view.source, model.view) for view in views]
    batch = {key: torch.stack([one[key] for one in inputs]).to(device) for key in inputs[0]}
    numbers, features = torch.tensor(list(index), device=device), list[Tensor]()
    hook = model.classifier.register_forward_pre_hook(lambda _, inputs: features.append(inputs[0]))
    try:
        output = model.eval()(batch["image"], batch.get("source"), numbers)
    finally:
        hook.remove()
    probs = output.probs
    if tta:
        mirrored = {key: value.flip(-1) for key, value in batch.items()}
        probs = (probs + model(mirrored["image"], mirrored.get("source"), numbers).probs) / 2
    return Answers(output, probs, features[0])


def run_model(model: Network, images: list[Tensor], index: Iterable[int]) -> tuple[NetworkOutput, list[ViewGeometry]]:
    """Run a model on photos (3, H, W) uint8 of any sizes, as one batch."""
    views = [view_of(image, "", model) for image in images]
    return run_views(model, views, index).output, [view.frame for view in views]


def threshold_of(model: Network, at_least: AtLeast) -> float:
    """The probability below which an answer is "unknown".

    Args:
        model: "auto" means its own ``threshold``, which training set on the validation split.
        at_least: a probability, "auto", or None for no threshold.

    Raises:
        ValueError: no probability, or "auto" of a model that has no threshold.
    """
    if at_least == "auto":
        if model.threshold is None:
            raise ValueError(
                "this model has no threshold of its own: it was trained without a validation split, or even its surest "
                "answers there were wrong too often; give a probability, for example 0.8"
            )
        return model.threshold
    if at_least is not None and not 0 <= at_least <= 1:
        raise ValueError(f"the threshold {at_least} is no probability; give a number from 0 to 1, or auto")
    return at_least or 0.0


def predict_views(
    model: Network,
    views: Sequence[PhotoView],
    top: int = 5,
    start: int = 0,
    threshold: float = 0.0,
    tta: bool = False,
    features: bool = False,
) -> list[Prediction]:
    """Predictions for a batch; for the arguments see `predict_photos`. ``start`` is the number of the first photo."""
    said = run_views(model, views, range(start, start + len(views)), tta)
    gate, found = said.output.gate, []
    for i, view in enumerate(views):
        best, order = said.probs[i].topk(min(top, len(model.classes)))
        names, probabilities = tuple(model.classes[k] for k in order.tolist()), tuple(best.tolist())
        answer = names[0] if probabilities[0] >= threshold else UNKNOWN
        parts = tuple(_parts(model, said.output, i, view))
        kept = float(gate.mask[i].mean()) if gate is not None else None
        row = said.features[i].float().cpu().clone() if features else None
        found.append(Prediction(view.path, answer, names, probabilities, parts, kept, row))
    return found


def _parts(model: Network, output: NetworkOutput, i: int, view: PhotoView) -> Iterator[Part]:
    if output.parts is None or output.part_logits is None:
        return
    own = output.part_logits[i].float().softmax(-1)
    boxes = photo_boxes(output.parts.boxes[i], view.frame, view.height, view.width)
    for m, box in enumerate(boxes.tolist()):
        # A classifier over all parts at once has one row of logits, which speaks for each of them.
        probability, k = own[min(m, len(own) - 1)].max(-1)
        scale, score = int(output.parts.scales[i, m]), float(output.parts.scores[i, m])
        yield Part(tuple(box), scale, score, model.classes[int(k)], float(probability))


def predict_images(
    model: Network, images: list[Tensor], paths: list[str], top: int = 5, start: int = 0
) -> list[Prediction]:
    """Predictions for photos (3, H, W) uint8 of any sizes, as one batch.

    Args:
        model: with its ``classes`` and ``view``.
        images: the photos.
        paths: their names.
        top: how many classes to name.
        start: number of the first one.
    """
    views = [view_of(image, path, model) for image, path in zip(images, paths, strict=True)]
    return predict_views(model, views, top, start)


def predict_photo(
    model: Network, photo: Photo, top: int = 5, at_least: AtLeast = None, tta: bool = False, features: bool = False
) -> Prediction:
    """The prediction for one photo.

    Args:
        model: from `scapnet.from_pretrained`.
        photo: a path, bytes, an open file, a Pillow image, a numpy array or a torch tensor; see
            `scapnet.data.inputs.load_photo`.
        top: how many classes to name.
        at_least: the answer is "unknown" below this probability; "auto" is the model's own threshold.
        tta: average the answer with that for the mirrored photo.
        features: keep the main branch's features (D,).

    Raises:
        ValueError: no photo, or one that cannot be read.
    """
    view = view_of(load_photo(photo), photo_name(photo), model)
    return predict_views(model, [view], top, 0, threshold_of(model, at_least), tta, features)[0]


def predict(
    model: Network,
    photos: Photo | Iterable[Photo],
    top: int = 5,
    batch_size: int = 16,
    at_least: AtLeast = None,
    tta: bool = False,
    features: bool = False,
) -> Iterator[Prediction | Skipped]:
    """Predictions for a photo, a folder, or any number of both, in constant memory.

    Args:
        model: from `scapnet.from_pretrained`.
        photos: paths of photos and of folders, or photos as `predict_photo` takes them.
        top, batch_size, at_least, tta, features: see `predict_photos`.

    Yields:
        A `Prediction` for each photo in order, and a `Skipped`, ahead of its batch, for each that cannot be read.

    Raises:
        ValueError: a path that does not exist, something that is no photo, or a threshold that is no probability.
    """
    one = isinstance(photos, str | bytes | PathLike | Tensor | Image.Image | np.ndarray) or hasattr(photos, "read")
    given = cast(Iterable[Photo], [photos] if one else photos)
    return predict_photos(model, _with_folders(given), top, batch_size, at_least, tta, features)


def _with_folders(photos: Iterable[Photo]) -> Iterator[Photo]:
    for photo in photos:
        yield from expand([Path(photo)], Listing()) if isinstance(photo, str | PathLike) else [photo]


def predict_photos(
    model: Network,
    photos: Iterable[Photo],
    top: int = 5,
    batch_size: int = 16,
    at_least: AtLeast = None,
    tta: bool = False,
    features: bool = False,
) -> Iterator[Prediction | Skipped]:
    """Predictions for any number of photos, a batch at a time, in constant memory.

    Args:
        model: from `scapnet.from_pretrained`.
        photos: as `predict_photo` takes them.
        top: how many classes to name.
        batch_size: photos that go through the network at a time.
        at_least: the answer is "unknown" below this probability; "auto" is the model's own threshold.
        tta: average the answer with that for the mirrored photo.
        features: keep the main branch's features (D,) of each photo.

    Yields:
        A `Prediction` for each photo in order, and a `Skipped`, ahead of its batch, for each that cannot be read.

    Raises:
        ValueError: something that is no photo, or a threshold that is no probability.
    """
    threshold = threshold_of(model, at_least)
    views, start = list[PhotoView](), 0
    for found in read_photos(photos):
        if isinstance(found, Skipped):
            yield found
            continue
        views.append(view_of(*found, model))
        if len(views) == batch_size:
            yield from predict_views(model, views, top, start, threshold, tta, features)
            views, start = [], start + batch_size
    if views:
        yield from predict_views(model, views, top, start, threshold, tta, features)


def read_photos(photos: Iterable[Photo]) -> Iterator[tuple[Tensor, str] | Skipped]:
    """Each photo (3, H, W) uint8 with its name, or why it cannot be read."""
    for photo in photos:
        try:
            yield load_photo(photo), photo_name(photo)
        except UnreadableImage as error:
            yield Skipped(photo_name(photo), str(error))


def expand(paths: Iterable[Path], listing: Listing) -> Iterator[Path]:
    """Files, and the photos of folders in the order of their names; each of them once.

    Args:
        paths: files and folders.
        listing: gets what is passed over in the folders.

    Raises:
        ValueError: a path that does not exist; at once, and not when it is reached.
    """
    paths = list(paths)
    for path in paths:
        if not path.exists():
            raise ValueError(f"there is no file or folder {path}")
    paths = each_once(paths, listing)
    return (file for path in paths for file in (find_photos(path, listing) if path.is_dir() else [path]))
