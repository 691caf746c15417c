"""Predictions for photos of any kind, with the parts that they rest on, in pixels of the photo as the user sees it.

B batch, M parts, K classes, N grid, D feature size, S' side of the source.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.ops import box_convert, clip_boxes_to_image

from scapnet.config import ViewConfig
from scapnet.data.augment import sides
from scapnet.data.files import Listing
from scapnet.data.images import UnreadableImage
from scapnet.data.inputs import Photo, content_of, decode_input, load_photo, photo_name
from scapnet.data.sources import Photos, each_photo, needs_this_thread, read_ahead
from scapnet.data.transforms import ViewGeometry, centre_view, to_input
from scapnet.decision import AtLeast as AtLeast
from scapnet.decision import Rules
from scapnet.decision import threshold_of as threshold_of
from scapnet.engine import Answers, Engine, TorchEngine
from scapnet.network import Network, NetworkOutput, device_of
from scapnet.prediction import Box, Part, Prediction, Skipped

NOTHING = "no photo could be read; give image files or a folder of them"


@dataclass(frozen=True)
class PredictOptions:
    """What is wanted of each photo, and how it is worked out; `scapnet.Predictor` explains each.

    Raises:
        ValueError: a number that is too small.
    """

    top: int = 5
    batch_size: int = 16
    at_least: AtLeast = None
    tta: bool = False
    features: bool = False
    workers: int | None = None
    error_rate: float | None = None
    false_alarms: float | None = None

    @property
    def rules(self) -> Rules:
        """What decides whether an answer is a class."""
        return Rules(self.at_least, self.error_rate, self.false_alarms)

    def __post_init__(self) -> None:
        _ = self.rules  # which refuses numbers that are no shares
        if self.top < 1 or self.batch_size < 1:
            raise ValueError(f"top {self.top} and batch-size {self.batch_size} must both be at least 1")
        if self.workers is not None and self.workers < 0:
            raise ValueError(f"workers {self.workers} must be at least 0")


class PhotoView(NamedTuple):
    """What the network gets of a photo, and where it lies in the photo."""

    path: str
    source: Tensor  # (3, S', S') uint8
    frame: ViewGeometry
    height: int  # of the photo, in pixels
    width: int
    photo: Photo | None = None


def view_of(image: Tensor, path: str, view: ViewConfig, photo: Photo | None = None) -> PhotoView:
    """The view of a photo (3, H, W) uint8; it is much smaller than the photo."""
    height, width = image.shape[-2:]
    return PhotoView(path, *centre_view(image, view), height, width, photo)


def read_view(photo: Photo, view: ViewConfig) -> PhotoView | Skipped:
    """The view of a photo of any kind, or why it cannot be read.

    A JPEG of many more pixels than the view needs is decoded at a reduced size; see `scapnet.data.images.decode_photo`.

    Raises:
        ValueError: something that is no photo.
    """
    name, photo = photo_name(photo), content_of(photo)
    try:
        image, height, width = decode_input(photo, name, sides(view)[1])
        return PhotoView(name, *centre_view_of(image, height, width, view), height, width, photo)
    except UnreadableImage as error:
        return Skipped(name, str(error))


def centre_view_of(image: Tensor, height: int, width: int, view: ViewConfig) -> tuple[Tensor, ViewGeometry]:
    """`centre_view` of pixels (3, h, w), and where it is in the whole photo of that height and width."""
    found, frame = centre_view(image, view)
    scale = frame.scale[0] * image.shape[-1] / width, frame.scale[1] * image.shape[-2] / height
    return found, frame._replace(scale=scale)


def photo_boxes(boxes: Tensor, frame: ViewGeometry, height: int, width: int) -> Tensor:
    """Part boxes (M, 4) cxcywh in [0, 1] of the view to xyxy pixels of a photo of that size."""
    corners = frame.to_photo(box_convert(boxes.float().cpu(), "cxcywh", "xyxy"))
    clipped: Tensor = clip_boxes_to_image(corners, (height, width))
    return clipped


def _inputs(views: Sequence[PhotoView], view: ViewConfig) -> tuple[Tensor, Tensor | None]:
    """The network's two inputs for B photos."""
    inputs = [to_input(one.source, view) for one in views]
    batch = {key: torch.stack([one[key] for one in inputs]) for key in inputs[0]}
    return batch["image"], batch.get("source")


@torch.inference_mode()
def run_views(engine: Engine, views: Sequence[PhotoView], index: Iterable[int], tta: bool = False) -> Answers:
    """Run an engine on a batch.

    Args:
        engine: see `scapnet.engine`.
        views: of B photos; an engine that takes whole photos needs them, too, and reads them again.
        index: their numbers, which random parts are drawn by.
        tta: average the answer with that for the mirrored views. Parts and gate are those of the plain views.
    """
    of_photos = getattr(engine, "of_photos", None)
    if of_photos is not None:
        photos = [load_photo(view.photo, view.path) for view in views if view.photo is not None]
        assert len(photos) == len(views)
        found: Answers = of_photos(photos)
        return _with_mirrored(found, of_photos([photo.flip(-1) for photo in photos])) if tta else found
    image, source = _inputs(views, engine.view)
    numbers = torch.tensor(list(index))
    found = engine(image, source, numbers)
    if tta:
        found = _with_mirrored(found, engine(image.flip(-1), None if source is None else source.flip(-1), numbers))
    return found


def _with_mirrored(found: Answers, mirrored: Answers) -> Answers:
    return found._replace(probs=(found.probs + mirrored.probs) / 2)


@torch.inference_mode()
def run_network(model: Network, views: Sequence[PhotoView], index: Iterable[int]) -> NetworkOutput:
    """The whole output of a model for a batch, for what looks into the network; see `run_views`."""
    device = device_of(model)
    image, source = _inputs(views, model.view)
    larger = None if source is None else source.to(device)
    output: NetworkOutput = model.eval()(image.to(device), larger, torch.tensor(list(index), device=device))
    return output


def run_model(model: Network, images: list[Tensor], index: Iterable[int]) -> tuple[NetworkOutput, list[ViewGeometry]]:
    """`run_network` for photos (3, H, W) uint8 of any sizes, and where their views lie in them."""
    views = [view_of(image, "", model.view) for image in images]
    return run_network(model, views, index), [view.frame for view in views]


def predict_views(
    engine: Engine, views: Sequence[PhotoView], options: PredictOptions, start: int = 0
) -> list[Prediction]:
    """Predictions for a batch. ``start`` is the number of the first photo."""
    said = run_views(engine, views, range(start, start + len(views)), options.tta)
    verdicts, found = options.rules.verdicts(engine, said), list[Prediction]()
    for i, view in enumerate(views):
        best, order = said.probs[i].topk(min(options.top, len(engine.classes)))
        names, probabilities = tuple(engine.classes[k] for k in order.tolist()), tuple(best.tolist())
        mask = None if said.mask is None else said.mask[i]
        gate = None if mask is None else tuple(tuple(row) for row in mask.float().tolist())
        row = said.features[i].float().cpu().clone() if options.features and said.features is not None else None
        parts, kept = tuple(_parts(engine, said, i, view)), None if mask is None else float(mask.mean())
        frame = _corners(view.frame.to_photo(torch.tensor([0.0, 0.0, 1.0, 1.0])))
        verdict, shown = verdicts[i], (gate, frame, view.photo)
        one = Prediction(view.path, verdict.answer, names, probabilities, parts, kept, row, *shown)
        found.append(replace(one, known=verdict.known, among=verdict.among, parent=verdict.parent))
    return found


def _parts(engine: Engine, said: Answers, i: int, view: PhotoView) -> Iterator[Part]:
    seen = said.looked is None or bool(said.looked[i])
    if not seen or said.boxes is None or said.scores is None or said.scales is None or said.part_logits is None:
        return
    own = said.part_logits[i].float().softmax(-1)
    for m, box in enumerate(photo_boxes(said.boxes[i], view.frame, view.height, view.width)):
        # A classifier over all parts at once has one row of logits, which speaks for each of them.
        probability, k = own[min(m, len(own) - 1)].max(-1)
        scale, score = int(said.scales[i, m]), float(said.scores[i, m])
        yield Part(_corners(box), scale, score, engine.classes[int(k)], float(probability))


def _corners(box: Tensor) -> Box:
    x0, y0, x1, y1 = box.tolist()
    return x0, y0, x1, y1


def predict_stream(engine: Engine, photos: Iterable[Photo], options: PredictOptions) -> Iterator[Prediction | Skipped]:
    """Predictions for any number of photos, a batch at a time, in constant memory.

    Files are decoded by threads, ahead of the batch that runs by one more; see `read_ahead`.

    Args:
        engine: see `scapnet.engine`.
        photos: as `predict_photo` takes them.
        options: see `scapnet.Predictor`.

    Yields:
        A `Prediction` for each photo in order, and a `Skipped`, ahead of its batch, for each that cannot be read.

    Raises:
        ValueError: something that is no photo, or a threshold that is no probability.
    """
    options.rules.check(engine)
    read = partial(read_view, view=engine.view)
    views, start = list[PhotoView](), 0
    for found in read_ahead(photos, read, options.batch_size + 2, options.workers, needs_this_thread):
        if isinstance(found, Skipped):
            yield found
            continue
        views.append(found)
        if len(views) == options.batch_size:
            yield from predict_views(engine, views, options, start)
            views, start = [], start + options.batch_size
    if views:
        yield from predict_views(engine, views, options, start)


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
    views = [view_of(image, path, model.view, image) for image, path in zip(images, paths, strict=True)]
    return predict_views(TorchEngine(model), views, PredictOptions(top), start)


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
    found = read_view(photo, model.view)
    if isinstance(found, Skipped):
        raise UnreadableImage(found.reason)
    return predict_views(TorchEngine(model), [found], PredictOptions(top, 1, at_least, tta, features))[0]


def predict(
    model: Network,
    photos: Photos,
    top: int = 5,
    batch_size: int = 16,
    at_least: AtLeast = None,
    tta: bool = False,
    features: bool = False,
) -> Iterator[Prediction | Skipped]:
    """Predictions for a photo, a folder, or any number of both, in constant memory.

    Args:
        model: from `scapnet.from_pretrained`.
        photos: paths of photos and of folders, or photos as `predict_photo` takes them; see `scapnet.Predictor`.
        top: how many classes to name.
        batch_size: photos that go through the network at a time.
        at_least: the answer is "unknown" below this probability; "auto" is the model's own threshold.
        tta: average the answer with that for the mirrored photo.
        features: keep the main branch's features (D,) of each photo.

    Yields:
        A `Prediction` for each photo in order, and a `Skipped`, ahead of its batch, for each that cannot be read.

    Raises:
        ValueError: a path that does not exist, something that is no photo, or a threshold that is no probability.
    """
    options = PredictOptions(top, batch_size, at_least, tta, features)
    return predict_stream(TorchEngine(model), each_photo(photos, Listing()), options)
