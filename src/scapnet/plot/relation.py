"""The relation between parts (PRM): which part takes how much from which.

M parts; n receives, m sends (Eq. 11).
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image, ImageDraw

from scapnet.data.inputs import Photo
from scapnet.fonts import font
from scapnet.plot.canvas import Boxes, canvas, ink_on, letter_size, scale_colour, to_tensor
from scapnet.plot.parts import draw_parts

Point = tuple[float, float]
SMOOTH = 2_000  # pixels; a smaller picture is drawn at twice its size and shrunk, so that slanted lines are smooth


def draw_relation(
    image: Photo,
    boxes: Boxes,
    weights: Any,
    scales: Any = None,
    least: float | None = None,
    size: int | None = None,
) -> Image.Image:
    """Draw parts, and an arrow from each part to those that take from it; its width is the weight.

    A part's number stands in its middle, and the ring round the number is what it takes from itself.

    Args:
        image: see `scapnet.plot`.
        boxes: (M, 4) x0, y0, x1, y1 in pixels of the image.
        weights: (M, M) or (heads, M, M), of which the mean is drawn: row n is what part n takes from each, with sum 1;
            `scapnet.modules.prm.relation_weights` gives them.
        scales: (M,) sides of the parts in units of the grid, which colour them; by default 1.
        least: weights below it are left out; by default those below 1/M, an equal share.
        size: the longer side of the picture in pixels; by default the image's own, and at least 320.

    Raises:
        ValueError: no image, or weights of another shape.
    """
    paper, rows = canvas(image, size), to_tensor(weights)
    rows = rows.mean(0) if rows.ndim == 3 else rows
    corners = paper.corners(boxes)
    count = len(corners)
    if tuple(rows.shape) != (count, count):
        raise ValueError(f"there are {count} boxes, so the weights are ({count}, {count}), not {tuple(rows.shape)}")
    units = [1] * count if scales is None else to_tensor(scales).int().tolist()
    picture = draw_parts(paper.picture, corners, units, size=max(paper.picture.size))
    factor = 2 if max(picture.size) <= SMOOTH else 1
    big = picture.resize((picture.width * factor, picture.height * factor))
    radius = letter_size(picture) * 0.8 * factor
    nodes = _apart([((x0 + x1) / 2 * factor, (y0 + y1) / 2 * factor) for x0, y0, x1, y1 in corners], 4.2 * radius)
    colours, draw = [scale_colour(u) for u in units], ImageDraw.Draw(big)
    least = 1 / max(count, 1) if least is None else least
    arrows = [(float(rows[n, m]), n, m) for n in range(count) for m in range(count) if n != m]
    for weight, n, m in sorted(arrows):
        if weight >= least and weight > 0:
            _arrow(draw, nodes[m], nodes[n], radius, weight, colours[m])
    for n, (x, y) in enumerate(nodes):
        ring = radius * (1.1 + 0.5 * float(rows[n, n]))
        draw.ellipse((x - ring, y - ring, x + ring, y + ring), fill="white")
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colours[n])
        draw.text((x, y), str(n + 1), ink_on(colours[n]), font(radius * 1.3), anchor="mm")
    return big.resize(picture.size, Image.Resampling.LANCZOS) if factor > 1 else big


def _arrow(draw: ImageDraw.ImageDraw, start: Point, end: Point, radius: float, weight: float, colour: str) -> None:
    """A bent arrow between two nodes, so that those there and back are two."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = max(math.hypot(dx, dy), 1e-6)
    bend = (start[0] + end[0]) / 2 - dy * 0.18, (start[1] + end[1]) / 2 + dx * 0.18
    width = max(2.0, radius * weight)
    head = radius * (0.45 + 0.5 * weight)
    first, last = radius / length, 1 - (radius + head) / length
    line = [_curve(start, bend, end, first + (last - first) * i / 24) for i in range(25)] if last > first else []
    tip = _curve(start, bend, end, max(0.0, 1 - radius / length))
    back = line[-1] if line else start
    for ink, extra in (("black", max(1.0, radius / 10)), (colour, 0.0)):  # a rim, so that it shows on any photo
        if len(line) > 1:
            draw.line(line, ink, round(width + 2 * extra), joint="curve")
        draw.polygon(_head(back, tip, head / 1.6 + width / 2 + extra, extra), fill=ink)


def _curve(start: Point, bend: Point, end: Point, t: float) -> Point:
    """A quadratic Bezier curve at t in [0, 1]."""
    a, b, c = (1 - t) ** 2, 2 * t * (1 - t), t * t
    return a * start[0] + b * bend[0] + c * end[0], a * start[1] + b * bend[1] + c * end[1]


def _head(back: Point, tip: Point, half: float, extra: float) -> list[Point]:
    """The triangle of an arrow's head."""
    dx, dy = tip[0] - back[0], tip[1] - back[1]
    length = max(math.hypot(dx, dy), 1e-6)
    ux, uy = dx / length, dy / length
    base = back[0] - ux * extra, back[1] - uy * extra
    front = tip[0] + ux * extra, tip[1] + uy * extra
    return [(base[0] - uy * half, base[1] + ux * half), (base[0] + uy * half, base[1] - ux * half), front]


def _apart(points: Sequence[Point], least: float) -> list[Point]:
    """Points moved so that no two of them are closer than ``least``; windows of several scales share their middles."""
    found = torch.tensor(points, dtype=torch.float64).reshape(-1, 2)
    for _ in range(50):
        moved = False
        for i in range(len(found)):
            for j in range(i):
                gap = found[i] - found[j]
                distance = float(gap.norm())
                if distance < least - 1e-6:
                    angle = 2.4 * i  # where two are at one place, each goes its own way
                    way = gap / distance if distance > 1e-9 else gap.new_tensor([math.cos(angle), math.sin(angle)])
                    found[i] += way * (least - distance) / 2
                    found[j] -= way * (least - distance) / 2
                    moved = True
        if not moved:
            break
    return [(float(x), float(y)) for x, y in found]
