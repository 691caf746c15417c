"""Training augmentation: one geometric transform gives both the view and the larger source of its parts.

S' side of the source. All randomness comes from torch's own generator.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.v2 import InterpolationMode, RandomErasing, TrivialAugmentWide
from torchvision.transforms.v2 import functional as tv

from scapnet.config import ViewConfig
from scapnet.data.resize import resize

LONGEST = 4  # times the shorter side: a photo of 1 x 20,000 would not fit in memory once it is resized


def sides(view: ViewConfig) -> tuple[int, int]:
    """The source's side S', and the shorter side of the photo before cropping; S' again if nothing is cropped."""
    source = view.source_size or view.size
    return source, round(view.resize * source / view.size) if view.fit == "crop" else source


def resize_whole(image: Tensor, view: ViewConfig) -> Tensor:
    """Resize a whole photo (3, H, W): to (3, S', S') if it is to be squashed, else so that its longer side is S'."""
    side, longer = sides(view)[0], max(image.shape[-2:])
    squash = view.fit == "squash"
    size = [side if squash else max(1, round(side * length / longer)) for length in image.shape[-2:]]
    return resize(image, size)


def pad(image: Tensor, top: int, left: int, view: ViewConfig) -> Tensor:
    """Place an image (3, h, w) in a square (3, S', S') of the mean colour, which normalisation turns into 0."""
    side, (height, width) = sides(view)[0], image.shape[-2:]
    padding = [left, top, side - width - left, side - height - top]
    padded: Tensor = tv.pad(image, padding, fill=mean_colour(view))
    return padded


def mean_colour(view: ViewConfig) -> list[int]:
    """The colour that normalisation turns into 0, as uint8."""
    return [round(255 * value) for value in view.mean]


def turned_crop(image: Tensor, angle: float, top: int, left: int, side: int, flip: bool, fill: Tensor) -> Tensor:
    """Rotate about the centre, crop and mirror, with one bilinear sampling of the crop alone.

    torchvision's rotation samples the whole photo and costs more than twice as much (``benchmarks/loading.py``).

    Args:
        image: (3, H, W) uint8.
        angle: degrees counter-clockwise.
        top: first row of the crop in the rotated image.
        left: its first column.
        side: its side S'.
        flip: whether to mirror the crop.
        fill: (3, 1, 1) the colour of the corners that rotation leaves empty.

    Returns:
        (3, S', S') uint8.
    """
    height, width = image.shape[-2:]
    x = torch.arange(side) + (left + 0.5 - width / 2)
    y = (torch.arange(side) + (top + 0.5 - height / 2))[:, None]
    x = x.flip(0) if flip else x
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    # Memory is allocated once and written in place: new pages cost more here than the arithmetic.
    grid = torch.empty(side, side, 2)
    torch.add(x * (cos * 2 / width), y * (-sin * 2 / width), out=grid[..., 0])
    torch.add(x * (sin * 2 / height), y * (cos * 2 / height), out=grid[..., 1])
    # grid_sample pads with 0, so 0 has to mean the fill.
    apart = image.to(torch.float32, memory_format=torch.contiguous_format).sub_(fill)
    found = F.grid_sample(apart[None], grid[None], align_corners=False)[0]
    return found.add_(fill).round_().to(torch.uint8)


class TrainView:
    """Resize, rotate, crop and mirror at random, and apply what the preset adds.

    Args:
        view: sizes.
        augment: "paper" does just that; "fgvc" does not rotate; "strong" does not rotate either and adds
            TrivialAugmentWide and random erasing.
        rotation: degrees either way.
        flip: whether to mirror at random.
    """

    def __init__(self, view: ViewConfig, augment: str = "paper", rotation: float = 15.0, flip: bool = True) -> None:
        self.view = view
        self.side, self.shorter = sides(view)
        self.rotation, self.flip = rotation if augment == "paper" else 0.0, flip
        fill = mean_colour(view)  # outside the photo
        self.fill = torch.tensor(fill, dtype=torch.float32)[:, None, None]
        self.extra: list[Any] = []
        if augment == "strong":
            trivial = TrivialAugmentWide(interpolation=InterpolationMode.BILINEAR, fill=fill)
            self.extra = [trivial, RandomErasing(0.25, value=fill)]

    def __call__(self, image: Tensor) -> Tensor:
        """(3, H, W) uint8 to (3, S', S') uint8, at random from torch's generator."""
        image = self._resize(image)
        angle = float(torch.empty(()).uniform_(-self.rotation, self.rotation)) if self.rotation else 0.0
        top, left = (_below(size - self.side + 1) for size in image.shape[-2:])
        flip = self.flip and bool(torch.rand(()) < 0.5)
        if angle:
            source = turned_crop(image, angle, top, left, self.side, flip, self.fill)
        else:
            source = tv.crop(image, top, left, self.side, self.side)
            source = source.flip(-1) if flip else source
        for step in self.extra:
            source = step(source)
        return source

    def _resize(self, image: Tensor) -> Tensor:
        """Resize (3, H, W) before the crop; a whole photo is padded to (3, S', S') at a random position."""
        if self.view.fit == "crop":
            return resize(_cut(image), [self.shorter])
        image = resize_whole(image, self.view)
        top, left = (_below(self.side - size + 1) for size in image.shape[-2:])
        return pad(image, top, left, self.view)


def _below(count: int) -> int:
    return int(torch.randint(count, ())) if count > 1 else 0


def _cut(image: Tensor) -> Tensor:
    """A random piece of a photo whose longer side is more than LONGEST times the shorter one."""
    longest = LONGEST * min(image.shape[-2:])
    height, width = (min(size, longest) for size in image.shape[-2:])
    if (height, width) == tuple(image.shape[-2:]):
        return image
    top, left = _below(image.shape[-2] - height + 1), _below(image.shape[-1] - width + 1)
    piece: Tensor = tv.crop(image, top, left, height, width)
    return piece
