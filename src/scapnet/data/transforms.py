"""From a photo to a network's views: one geometric transform for the view and for the larger source of its parts.

S side of the view, S' side of the source (S if there is no larger one).
"""

import hashlib
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms.v2 import functional as tv

from scapnet.config import DataConfig, ViewConfig
from scapnet.data.augment import LONGEST, TrainView, pad, resize_whole, sides
from scapnet.data.broken import next_readable
from scapnet.data.images import UnreadableImage
from scapnet.data.resize import resize
from scapnet.data.sample import NO_BOX, FineGrained, mark_names

# "image" (3, S, S), "source" (3, S', S') where larger, "target", "index", "broken"; in evaluation "marks" (R, 4) and
# "box" (4,) too
Views = dict[str, Any]


class ViewGeometry(NamedTuple):
    """Where an evaluation view is in its photo: view = photo * scale - offset, in units of the view's side."""

    scale: tuple[float, float]  # x, y
    offset: tuple[float, float]  # x, y in pixels of the source
    side: int  # S'

    def to_view(self, boxes: Tensor) -> Tensor:
        """Boxes (..., 4) xyxy in pixels of the photo to [0, 1] of the view."""
        scale, offset = boxes.new_tensor(self.scale * 2), boxes.new_tensor(self.offset * 2)
        return (boxes * scale - offset) / self.side

    def to_photo(self, boxes: Tensor) -> Tensor:
        """Boxes (..., 4) xyxy in [0, 1] of the view to pixels of the photo."""
        scale, offset = boxes.new_tensor(self.scale * 2), boxes.new_tensor(self.offset * 2)
        return (boxes * self.side + offset) / scale


def centre_view(image: Tensor, view: ViewConfig) -> tuple[Tensor, ViewGeometry]:
    """The centre of a photo, or the whole photo, as `ViewConfig` says.

    Args:
        image: (3, H, W) uint8.
        view: sizes.

    Returns:
        (3, S', S') uint8, and where it is in the photo.
    """
    if view.fit != "crop":
        return whole_view(image, view)
    source, shorter = sides(view)
    # Whatever is farther from the centre would be cropped anyway.
    side = LONGEST * min(image.shape[-2:])
    height, width = min(image.shape[-2], side), min(image.shape[-1], side)
    cut_y, cut_x = (image.shape[-2] - height) // 2, (image.shape[-1] - width) // 2
    resized = resize(tv.crop(image, cut_y, cut_x, height, width), [shorter])
    tall, wide = resized.shape[-2:]
    top, left = (tall - source) // 2, (wide - source) // 2
    scale = wide / width, tall / height
    frame = ViewGeometry(scale, (left + cut_x * scale[0], top + cut_y * scale[1]), source)
    return tv.crop(resized, top, left, source, source), frame


def whole_view(image: Tensor, view: ViewConfig) -> tuple[Tensor, ViewGeometry]:
    """The same for a whole photo: squashed, or with padding on both sides."""
    side = sides(view)[0]
    resized = resize_whole(image, view)
    (tall, wide), (height, width) = resized.shape[-2:], image.shape[-2:]
    top, left = (side - tall) // 2, (side - wide) // 2
    return pad(resized, top, left, view), ViewGeometry((wide / width, tall / height), (-left, -top), side)


def to_input(source: Tensor, view: ViewConfig) -> Views:
    """Normalised "image" (3, S, S), and "source" (3, S', S') where that is larger, from a uint8 source."""
    source = source.contiguous()
    views = {"image": resize(source, [view.size, view.size])}
    if source.shape[-1] != view.size:
        views["source"] = source
    return {
        key: tv.normalize(tv.to_dtype(value, torch.float32, scale=True), list(view.mean), list(view.std), True)
        for key, value in views.items()
    }


def seed_of(*names: int) -> int:
    """A seed from several numbers of any size; torch's CPU generator uses only 32 bits."""
    return int.from_bytes(hashlib.blake2b(repr(names).encode(), digest_size=4).digest(), "big")


class TrainViews(Dataset[Views]):
    """Augmented views of a split. Item ``epoch * len + i`` is sample i as augmented in that epoch.

    The augmentation depends only on the seed, the epoch and the sample, so neither the number of workers nor resuming
    changes a pixel. A broken image is replaced by `next_readable`, and "broken" is true.
    """

    def __init__(self, data: FineGrained, view: ViewConfig, config: DataConfig, seed: int) -> None:
        self.data, self.view, self.seed = data, view, seed
        self.augment = TrainView(view, config.augment, config.rotation, config.flip)

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, key: int) -> Views:
        index = key % len(self.data)
        sample, broken = next_readable(self.data, index)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed_of(self.seed, key))
            source = self.augment(sample.image)
        return {**to_input(source, self.view), "target": sample.label, "index": index, "broken": broken}


class EvalViews(Dataset[Views]):
    """Centre views of a split, with the marks (R, 4) and the object's box (4,), xyxy in [0, 1] of the view.

    Marks that are not visible are NaN, and so is a missing box; coordinates outside the view are outside [0, 1].
    A broken image gives a black view with "broken" true, so that every process continues; no score counts it.
    """

    def __init__(self, data: FineGrained, view: ViewConfig) -> None:
        self.data, self.view, self.mark_names = data, view, mark_names(data)

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Views:
        facts = {"target": int(self.data.labels[index]), "index": index}
        try:
            sample = self.data[index]
        except UnreadableImage:
            side = self.view.source_size or self.view.size
            black = to_input(torch.zeros(3, side, side, dtype=torch.uint8), self.view)
            hidden = torch.full((len(self.mark_names), 4), torch.nan)
            return black | facts | {"broken": True, "marks": hidden, "box": NO_BOX}
        source, frame = centre_view(sample.image, self.view)
        marks, box = frame.to_view(sample.marks), frame.to_view(sample.box)
        return to_input(source, self.view) | facts | {"broken": False, "marks": marks, "box": box}
