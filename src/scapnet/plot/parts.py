"""Parts of an image as boxes with labels, and annotated marks.

M parts, R marks.
"""

from collections.abc import Sequence
from typing import Any

from PIL import Image, ImageDraw

from scapnet.data.inputs import Photo
from scapnet.fonts import fitted, font
from scapnet.plot.canvas import Boxes, canvas, ink_on, letter_size, scale_colour, to_tensor
from scapnet.terminal.console import printable

Box = tuple[float, float, float, float]


def draw_parts(
    image: Photo,
    boxes: Boxes,
    scales: Any = None,
    labels: Sequence[str] | None = None,
    colours: Sequence[str] | None = None,
    width: int | None = None,
    size: int | None = None,
) -> Image.Image:
    """Draw parts as boxes, the first one last, in the colour of their scale or one of their own each.

    Args:
        image: see `scapnet.plot`.
        boxes: (M, 4) x0, y0, x1, y1 in pixels of the image; ``[part.box for part in prediction.parts]``.
        scales: (M,) sides of the parts in units of the grid; by default 1.
        labels: a text for each part, in any script; "" is none.
        colours: for each part, as Pillow names them.
        width: of a line in pixels; by default it grows with the picture.
        size: the longer side of the picture in pixels; by default the image's own, and at least 320.

    Raises:
        ValueError: no image, or numbers that do not fit together.
    """
    paper = canvas(image, size)
    corners, line = paper.corners(boxes), width or paper.line
    count = len(corners)
    units = [1] * count if scales is None else to_tensor(scales).int().tolist()
    for name, given in (("scales", units), ("labels", labels), ("colours", colours)):
        if given is not None and len(given) != count:
            raise ValueError(f"there are {count} boxes and {len(given)} {name}; give one for each box")
    draw, used = ImageDraw.Draw(paper.picture), [scale_colour(u) for u in units] if colours is None else list(colours)
    for m in reversed(range(count)):
        x0, y0, x1, y1 = corners[m]
        inset = (units[m] - 1) * (line // 2)  # boxes of several scales share edges: each keeps a line of its own
        edges = x0 + inset, y0 + inset, max(x0 + inset, x1 - 1 - inset), max(y0 + inset, y1 - 1 - inset)
        draw.rectangle(edges, outline=used[m], width=line)
    taken: list[Box] = []
    for box, text, colour in zip(corners, labels or [""] * count, used, strict=True):
        if text:
            taken.append(_draw_label(paper.picture, box, text, colour, taken))
    return paper.picture


def _draw_label(picture: Image.Image, box: Sequence[float], text: str, colour: str, taken: Sequence[Box]) -> Box:
    """Write a label into the first free corner of its box, or below those that are in its way."""
    size = letter_size(picture)
    pad = size / 4
    line, letters = fitted(printable(text), picture.width - 2 * pad, size), font(size)
    wide, high = letters.getlength(line) + 2 * pad, size + 2 * pad
    x0, y0, x1, y1 = box
    lefts, tops = (x0, x1 - wide), (y0, y1 - high)
    spots = [(left, top) for top in tops for left in lefts]
    spots += [(x0, y0 + i * high) for i in range(1, 2 * len(taken) + 2)]
    places = [_inside(left, top, wide, high, picture) for left, top in spots]
    place = next((place for place in places if not any(_overlap(place, other) for other in taken)), places[0])
    draw = ImageDraw.Draw(picture)
    draw.rectangle(place, fill=colour)
    draw.text((place[0] + pad, (place[1] + place[3]) / 2), line, ink_on(colour), letters, anchor="lm")
    return place


def _inside(left: float, top: float, wide: float, high: float, picture: Image.Image) -> Box:
    left = max(0.0, min(left, picture.width - wide))
    top = max(0.0, min(top, picture.height - high))
    return left, top, left + wide, top + high


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def draw_marks(image: Photo, marks: Boxes, size: int | None = None) -> Image.Image:
    """Draw annotated marks as thin white boxes, and points as rings.

    Args:
        image: see `scapnet.plot`.
        marks: (R, 4) x0, y0, x1, y1 in pixels of the image, points with x0 = x1 and y0 = y1; rows of NaN are none.
        size: the longer side of the picture in pixels; by default the image's own, and at least 320.

    Raises:
        ValueError: no image, or marks of another shape.
    """
    paper = canvas(image, size)
    draw, line = ImageDraw.Draw(paper.picture), paper.line
    for x0, y0, x1, y1 in paper.corners(marks):
        if x0 != x0:  # NaN
            continue
        if (x0, y0) == (x1, y1):
            radius = 2 * line
            draw.ellipse((x0 - radius, y0 - radius, x0 + radius, y0 + radius), outline="white", width=line)
        else:
            thin = line // 2
            draw.rectangle((x0 - thin, y0 - thin, x1 + thin, y1 + thin), outline="white", width=thin)
    return paper.picture
