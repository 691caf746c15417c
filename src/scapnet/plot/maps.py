"""Maps over an image: what the gate kept, and class activation maps.

N grid, h, w size of a map.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn import functional as F

from scapnet.data.images import to_photo
from scapnet.data.inputs import Photo
from scapnet.plot.canvas import Canvas, canvas, to_tensor

# From dark violet to light yellow; each step is brighter than the one before, so that it can be read without colours.
STEPS = ((8, 6, 32), (74, 20, 110), (160, 40, 100), (225, 85, 45), (250, 165, 30), (252, 250, 190))
Region = Sequence[float] | None  # x0, y0, x1, y1 in pixels of the image


@cache
def palette() -> Tensor:
    """Colours (256, 3) uint8 from the least value of a map to the greatest."""
    steps = torch.tensor(STEPS, dtype=torch.float32).T[None]  # (1, 3, steps)
    colours = F.interpolate(steps, size=256, mode="linear", align_corners=True)[0].T
    return colours.round().to(torch.uint8)


def draw_gate(image: Photo, mask: Any, view: Region = None, size: int | None = None) -> Image.Image:
    """Grey out and darken the units that the gate closed; a soft gate's units in proportion.

    Args:
        image: see `scapnet.plot`.
        mask: (N, N) share of each unit that was kept, 0 to 1; ``Prediction.gate``.
        view: the box that the grid lies over; by default the whole image. What lies outside is greyed out.
        size: the longer side of the picture in pixels; by default the image's own, and at least 320.

    Raises:
        ValueError: no image, or a mask of another shape.
    """
    paper, weights = canvas(image, size), _map(mask, "mask")
    if weights.shape[0] != weights.shape[1]:
        raise ValueError(f"a mask has as many rows as columns, not {tuple(weights.shape)}")
    shade = paper.picture.convert("L").point(lambda value: value * 0.35).convert("RGB")
    x0, y0, x1, y1 = _region(paper, view)
    grid, weight = len(weights), Image.new("L", paper.picture.size)
    draw = ImageDraw.Draw(weight)
    columns, rows = ([int(a + i * (b - a) / grid) for i in range(grid + 1)] for a, b in ((x0, x1), (y0, y1)))
    for row in range(grid):
        for column in range(grid):
            box = columns[column], rows[row], columns[column + 1] - 1, rows[row + 1] - 1
            if box[0] <= box[2] and box[1] <= box[3]:
                draw.rectangle(box, fill=round(255 * float(weights[row, column].clamp(0, 1))))
    return Image.composite(paper.picture, shade, weight)


def cam(
    image: Photo, activation: Any, view: Region = None, strength: float = 0.6, size: int | None = None
) -> Image.Image:
    """A class activation map over an image in grey, in colours from its least to its greatest value.

    Args:
        image: see `scapnet.plot`.
        activation: (h, w) of any values.
        view: the box that the map lies over; by default the whole image.
        strength: of the colours, 0 to 1.
        size: the longer side of the picture in pixels; by default the image's own, and at least 320.

    Raises:
        ValueError: no image, or an activation of another shape.
    """
    paper, values = canvas(image, size), _map(activation, "activation")
    grey = paper.picture.convert("L").convert("RGB")
    x0, y0, x1, y1 = (round(edge) for edge in _region(paper, view))
    smooth = F.interpolate(values[None, None], size=(max(1, y1 - y0), max(1, x1 - x0)), mode="bilinear")[0, 0]
    level = (smooth - values.min()) / (values.max() - values.min()).clamp(min=1e-12)
    colours = palette()[(level.clamp(0, 1) * 255).round().long()]  # (h, w, 3)
    heat = grey.copy()
    heat.paste(to_photo(colours.permute(2, 0, 1)), (x0, y0))
    return Image.blend(grey, heat, strength)


def _map(values: Any, name: str) -> Tensor:
    found = to_tensor(values)
    if found.ndim != 2 or not found.numel() or not found.isfinite().all():
        raise ValueError(f"{name} must be numbers in rows and columns, not {tuple(found.shape)}, and none of them NaN")
    return found


def _region(paper: Canvas, view: Region) -> list[float]:
    """A box in pixels of the picture."""
    return [0.0, 0.0, *map(float, paper.picture.size)] if view is None else paper.corners([list(view)])[0]
