"""Shapes of the drawn birds and their surroundings: polygons under affine maps.

x points to the beak and y down. Polygons are computed by sums and products of rounded numbers, sines included, so that
every machine draws the same pixels.
"""

import math
from collections.abc import Iterable, Sequence
from functools import cache
from typing import NamedTuple

Polygon = tuple[tuple[float, float], ...]
Box = tuple[float, float, float, float]


class Affine(NamedTuple):
    """An affine map: x' = a x + b y + c, y' = d x + e y + f."""

    a: float
    b: float
    c: float
    d: float
    e: float
    f: float

    def of(self, points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
        """Map points."""
        a, b, c, d, e, f = self
        return [(a * x + b * y + c, d * x + e * y + f) for x, y in points]

    def then(self, o: "Affine") -> "Affine":
        """First this map, then `o`."""
        (a, d), (b, e) = ((o.a * u + o.b * v, o.d * u + o.e * v) for u, v in ((self.a, self.d), (self.b, self.e)))
        return Affine(a, b, o.a * self.c + o.b * self.f + o.c, d, e, o.d * self.c + o.e * self.f + o.f)


def place(x: float, y: float, size: float, turn: float, flip: bool = False, stretch: float = 1.0) -> Affine:
    """A map that mirrors (`flip`) a unit shape, stretches its y, scales it, turns it clockwise and moves it to (x, y).

    Lengths are scaled by `size`; `turn` is in degrees.
    """
    cos, sin = (round(f(math.radians(turn)), 4) * size for f in (math.cos, math.sin))
    sign = -1 if flip else 1
    return Affine(sign * cos, -sin * stretch, x, sign * sin, cos * stretch, y)


def disc(x: float = 0, y: float = 0, radius: float = 1, n: int = 14) -> Polygon:
    """A circle as a polygon of n corners."""
    angles = [2 * math.pi * i / n for i in range(n)]
    return tuple((round(x + radius * math.cos(t), 4), round(y + radius * math.sin(t), 4)) for t in angles)


def smooth(points: Sequence[tuple[float, float]], steps: int = 4) -> Polygon:
    """A closed Catmull-Rom curve through points, with `steps` corners to each."""
    curve = []
    for i in range(len(points)):
        p, q, r, s = (points[(i + k) % len(points)] for k in (-1, 0, 1, 2))
        for t in (k / steps for k in range(steps)):
            w = (-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2)
            x, y = (sum(c * z for c, z in zip(w, axis, strict=True)) / 2 for axis in zip(p, q, r, s, strict=True))
            curve.append((round(x, 4), round(y, 4)))
    return tuple(curve)


def bar(x: float, y: float, rx: float, ry: float) -> Polygon:
    """An upright rectangle of half sides rx, ry with its corners cut."""
    corners = ((-0.6, -1), (0.6, -1), (1, -0.85), (1, 0.85), (0.6, 1), (-0.6, 1), (-1, 0.85), (-1, -0.85))
    return tuple((x + u * rx, y + v * ry) for u, v in corners)


def tile(x: float, y: float, rx: float, ry: float, slant: float = 0.0) -> Polygon:
    """A diamond of half sides rx, ry, or a square if `slant` is 1."""
    return tuple((x + u * rx, y + v * ry) for u, v in ((-1, -slant), (slant, -1), (1, slant), (-slant, 1)))


def bounds(points: Iterable[tuple[float, float]]) -> Box:
    """Smallest box x0, y0, x1, y1 around points."""
    xs, ys = zip(*points, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def centred_box(points: Iterable[tuple[float, float]]) -> Box:
    """Centre x, y and half sides of the smallest box around points."""
    x0, y0, x1, y1 = bounds(points)
    return (x0 + x1) / 2, (y0 + y1) / 2, (x1 - x0) / 2, (y1 - y0) / 2


FORMS: dict[str, tuple[Polygon, ...]] = {  # in a unit box centred on the mark's place; a beak starts there
    "cone": (smooth(((-0.25, -0.75), (0.5, -0.5), (1.2, 0.15), (0.4, 0.6), (-0.25, 0.7))),),
    "needle": (((-0.2, -0.3), (0.7, -0.16), (2.0, 0.1), (0.7, 0.2), (-0.2, 0.34)),),
    "hook": (smooth(((-0.25, -0.6), (0.7, -0.65), (1.45, -0.1), (1.35, 0.95), (1, 0.2), (0.4, 0.2), (-0.25, 0.5))),),
    "cap": (smooth(((-1, 0.25), (-0.6, -0.4), (0.2, -0.55), (0.9, -0.1), (1, 0.3), (0.1, 0.1))),),
    "crest": (((0.8, 0.2), (0.3, -0.4), (-1.2, -1.1), (-0.8, -0.6), (-1.35, -0.5), (-0.8, 0), (-1, 0.2), (0, 0.4)),),
    "ring": (disc(),),
    "brow": (smooth(((-1.3, -0.5), (-0.4, -1.05), (0.8, -0.75), (0.7, -0.55), (-0.4, -0.7), (-1.2, -0.2))),),
    "bib": (smooth(((-0.8, -0.7), (0.6, -0.9), (0.9, 0.1), (0.3, 1), (-0.5, 0.6))),),
    "bar": (bar(0, 0, 0.3, 1),),
    "bars": (bar(-0.6, 0, 0.24, 0.9), bar(0.6, 0, 0.24, 0.9)),
    "spots": (disc(-0.6, -0.45, 0.34), disc(0.5, -0.6, 0.34), disc(0, 0.55, 0.34)),
    "streaks": (tile(-0.7, 0, 0.2, 0.75), tile(0, 0.2, 0.2, 0.75), tile(0.7, -0.1, 0.2, 0.75)),
    "patch": (smooth(((-1, 0.05), (0, -0.75), (1, -0.05), (0, 0.75))),),
    "band": (bar(0, 0, 0.35, 1),),
    "comma": (smooth(((-0.9, 0.7), (-0.5, -0.3), (0.5, -0.8), (0.9, -0.2), (0.4, 0.3), (-0.3, 0.1))),),
    "crescent": (smooth(((-0.2, -1.1), (0.45, -0.5), (0.5, 0.5), (-0.2, 1.1), (0.1, 0.4), (0.1, -0.4))),),
    "zigzag": (
        ((-1, 0), (-0.5, -0.6), (0, 0), (0.5, -0.6), (1, 0), (1, 0.5), (0.5, -0.1), (0, 0.5), (-0.5, -0.1), (-1, 0.5)),
    ),
    "triangle": (((-0.9, 0), (0.8, -0.85), (0.8, 0.85)),),
    "chevron": (((-0.7, -1), (0.2, -1), (1, 0), (0.2, 1), (-0.7, 1), (0.1, 0)),),
    "hourglass": (((-0.6, -1), (0.6, -1), (0.15, 0), (0.6, 1), (-0.6, 1), (-0.15, 0)),),
    "checker": (tile(-0.65, -0.33, 0.33, 0.33, 1), tile(0.65, -0.33, 0.33, 0.33, 1), tile(0, 0.33, 0.33, 0.33, 1)),
    "cross": (bar(0, 0, 0.28, 1), bar(0, 0, 1, 0.28)),
    "garter": (smooth(((-0.8, -0.9), (0.8, -0.9), (0.6, 0.2), (0, 0.9), (-0.6, 0.2))),),
    "bill": (((-0.2, -0.42), (0.8, -0.2), (1.45, 0.15), (0.6, 0.3), (-0.2, 0.42)),),
    "leaf": (smooth(((-1.25, 0), (-0.5, -0.6), (0.5, -0.62), (1.3, 0.05), (0.5, 0.66), (-0.5, 0.6)), 3),),
    "ivy": (smooth(((-1.3, 0), (-0.7, -0.9), (0.3, -1), (1, -0.6), (1.35, 0), (1, 0.6), (0.3, 1), (-0.7, 0.9)), 3),),
    "blade": (((-1, 0.04), (-0.2, -0.07), (1, 0), (-0.2, 0.05)),),
    "twig": (((-1, -0.03), (0, -0.03), (0.3, -0.2), (0.1, -0.02), (1, 0), (-0.4, 0.02), (-0.6, 0.12), (-0.55, 0.02)),),
    "branch": (smooth(((-1, -0.02), (-0.3, -0.035), (0.4, -0.03), (1, 0.02), (0.5, 0.02), (-0.2, 0.03), (-1, 0.04))),),
    "berry": (disc(n=10),),
}
SHEEN: dict[str, Polygon] = {  # the paler part of a form
    "leaf": ((-1.25, 0.03), (1.2, 0.03), (-1.25, -0.05)),
    "ivy": ((-1.3, 0.03), (1.2, 0.03), (-1.3, -0.05)),
    "branch": ((-1, -0.01), (-0.2, -0.025), (0.7, -0.01), (-0.2, -0.005)),
    "berry": disc(-0.3, -0.35, 0.25, n=6),
}


@cache
def inner(polygon: Polygon) -> Polygon:
    """A polygon shrunk to 0.8 about the centre of its box: the full colour of a mark, inside its softer edge."""
    x, y, _, _ = centred_box(polygon)
    return tuple(place(0.2 * x, 0.2 * y, 0.8, 0).of(polygon))
