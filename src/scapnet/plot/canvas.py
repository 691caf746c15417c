"""What all pictures share: the image to draw on, colours, and sizes of lines and letters.

M parts.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from numpy.typing import ArrayLike
from PIL import Image, ImageColor
from torch import Tensor

from scapnet.data.images import to_photo
from scapnet.data.inputs import Photo, load_photo

# Okabe and Ito's colours, which the colour-blind tell apart: scale 1, 2, 3, 4.
COLOURS = ("#E69F00", "#56B4E9", "#CC79A7", "#009E73")
LEAST = 320  # pixels of the longer side, below which numbers and names cannot be read
Boxes = Tensor | ArrayLike | Sequence[Sequence[float]]


class Canvas(NamedTuple):
    """A copy of an image to draw on, in the size of the result."""

    picture: Image.Image
    scale: tuple[float, float]  # pixels of the picture for one of the image, in x and y

    @property
    def line(self) -> int:
        """The width of a line in pixels."""
        return line_width(self.picture)

    def corners(self, boxes: Boxes) -> list[list[float]]:
        """Boxes (M, 4) xyxy in pixels of the image to pixels of the picture.

        Raises:
            ValueError: they have another shape.
        """
        found = to_tensor(boxes).reshape(-1, 4) if len(to_tensor(boxes)) == 0 else to_tensor(boxes)
        if found.ndim != 2 or found.shape[1] != 4:
            raise ValueError(f"boxes are (M, 4) x0, y0, x1, y1 in pixels of the image, not {tuple(found.shape)}")
        corners: list[list[float]] = (found * torch.tensor(self.scale * 2)).tolist()
        return corners


def to_tensor(values: Any) -> Tensor:
    """Numbers of any kind as float32 on the CPU."""
    return torch.as_tensor(values).detach().float().cpu()


def canvas(image: Photo, size: int | None = None) -> Canvas:
    """A canvas for an image.

    Args:
        image: see `scapnet.plot`.
        size: the longer side of the picture in pixels; by default the image's own, and at least 320.

    Raises:
        ValueError: no image, or no size.
    """
    if size is not None and size < 1:
        raise ValueError(f"the size {size} must be at least 1 pixel")
    plain = isinstance(image, Image.Image) and image.mode == "RGB" and not image.info
    photo = image.copy() if plain and isinstance(image, Image.Image) else to_photo(load_photo(image))
    wanted = max(*photo.size, LEAST) if size is None else size
    factor = wanted / max(photo.size)
    if factor == 1:
        return Canvas(photo, (1.0, 1.0))
    width, height = (max(1, round(side * factor)) for side in photo.size)
    resized = photo.resize((width, height), Image.Resampling.LANCZOS)
    return Canvas(resized, (width / photo.width, height / photo.height))


def line_width(picture: Image.Image) -> int:
    """The width of a line in pixels: at least 2, and 25 in a picture of 4,000 pixels."""
    return max(2, round(max(picture.size) / 160))


def letter_size(picture: Image.Image) -> float:
    """The size of letters in pixels: at least 13, and 114 in a picture of 4,000 pixels."""
    return max(13.0, max(picture.size) / 35)


def scale_colour(scale: int) -> str:
    """The colour of a scale's boxes."""
    return COLOURS[(scale - 1) % len(COLOURS)]


def ink_on(colour: str) -> str:
    """Black or white, whichever can be read on a colour."""
    red, green, blue = ImageColor.getrgb(colour)[:3]
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 90 else "white"
