"""Draws a bird in a thicket from its parameters, at any resolution.

Everything is a polygon under an affine map. Lengths are in bird lengths on the bird and in picture sides elsewhere; x
points to the beak and y down. Only sums and products of rounded numbers lead from the parameters to the polygons, and
sines are rounded too, so that every machine draws the same.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from PIL import Image, ImageChops, ImageDraw, ImageFilter

Colour = tuple[int, int, int]
Polygon = tuple[tuple[float, float], ...]
Box = tuple[float, float, float, float]
Pose = tuple[float, float, float, float, bool, float]  # x, y, bird length, turn in degrees, flip, plumpness
FAR = 32  # pixels of the canvas for what is out of focus: the blur of enlarging it is wanted and the same at every size


class Frame(NamedTuple):
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

    def then(self, o: "Frame") -> "Frame":
        """First this map, then `o`."""
        (a, d), (b, e) = ((o.a * u + o.b * v, o.d * u + o.e * v) for u, v in ((self.a, self.d), (self.b, self.e)))
        return Frame(a, b, o.a * self.c + o.b * self.f + o.c, d, e, o.d * self.c + o.e * self.f + o.f)


def place(x: float, y: float, size: float, turn: float, flip: bool = False, stretch: float = 1.0) -> Frame:
    """Map of a unit shape to (x, y), `size` units big, `turn` degrees clockwise, its y stretched, mirrored first."""
    cos, sin = (round(f(math.radians(turn)), 4) * size for f in (math.cos, math.sin))
    sign = -1 if flip else 1
    return Frame(sign * cos, -sin * stretch, x, sign * sin, cos * stretch, y)


def disc(x: float = 0, y: float = 0, radius: float = 1, n: int = 14) -> Polygon:
    """A circle of n corners."""
    angles = [2 * math.pi * i / n for i in range(n)]
    return tuple((round(x + radius * math.cos(t), 4), round(y + radius * math.sin(t), 4)) for t in angles)


def smooth(points: Sequence[tuple[float, float]], steps: int = 4) -> Polygon:
    """A closed Catmull-Rom curve through points."""
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
    """A diamond of half sides rx, ry, or a square of them where `slant` is 1."""
    return tuple((x + u * rx, y + v * ry) for u, v in ((-1, -slant), (slant, -1), (1, slant), (-slant, 1)))


def bounds(points: Iterable[tuple[float, float]]) -> Box:
    """Smallest box x0, y0, x1, y1 round points."""
    xs, ys = zip(*points, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def _middle(points: Iterable[tuple[float, float]]) -> Box:
    x0, y0, x1, y1 = bounds(points)
    return (x0 + x1) / 2, (y0 + y1) / 2, (x1 - x0) / 2, (y1 - y0) / 2


FORMS: dict[str, tuple[Polygon, ...]] = {  # in a unit box round the place of the mark; a beak begins at its place
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
def _inner(polygon: Polygon) -> Polygon:
    """A polygon shrunk to 0.8 about the middle of its box: the full colour of a mark inside its soft edge."""
    x, y, _, _ = _middle(polygon)
    return tuple(place(0.2 * x, 0.2 * y, 0.8, 0).of(polygon))


class Kind(NamedTuple):
    """A place of the body where species differ, and the forms that they show there."""

    name: str
    x: float
    y: float
    size: float  # half a side of its unit box, in bird lengths
    turn: float  # degrees
    forms: tuple[str, ...]  # "" is plain plumage

    def frame(self, scale: float) -> Frame:
        """Map of the unit box to the bird."""
        return place(self.x, self.y, self.size * scale, self.turn)


@cache
def cover(kind: Kind) -> Box:
    """Centre x, y and half sides of what the forms of a kind take up, in its unit box."""
    return _middle(p for form in kind.forms if form for polygon in FORMS[form] for p in polygon)


class Build(NamedTuple):
    """The shapes of a family's bodies and its kinds of marks."""

    body: Polygon
    wing: Polygon
    feathers: tuple[Polygon, ...]
    down: tuple[Polygon, ...]  # the soft texture of the breast
    tail: tuple[Polygon, ...]
    legs: tuple[Polygon, ...]
    eye: tuple[float, float, float]  # x, y, radius at mark scale 1
    glow: tuple[float, float]  # the point that the light on the body draws in to
    foot: float  # y of the perch
    bill: Kind | None  # where no kind of mark is a beak
    kinds: tuple[Kind, ...]


def _outline(xs: Sequence[int], ys: Sequence[int]) -> Polygon:
    """A smooth curve through points in thousandths of a bird length."""
    return smooth([(x / 1000, y / 1000) for x, y in zip(xs, ys, strict=True)])


def _feather(x: float, y: float, length: float, turn: float, width: float) -> Polygon:
    lens = smooth(((0, 0), (-0.5, -width), (-1, 0), (-0.5, width)))
    return tuple((round(u, 4), round(v, 4)) for u, v in place(x, y, length, turn).of(lens))


def _down(x: float, y: float, turn: float) -> tuple[Polygon, ...]:
    """Three rows of little feathers round a point of the breast."""
    spots = place(x, y, 1, turn).of([(0.06 * i + 0.03 * (j % 2), 0.05 * j) for j in (-1, 0, 1) for i in (-2, -1, 0, 1)])
    return tuple(_feather(u, v, 0.045, turn - 20, 0.3) for u, v in spots)


def _leg(x: float, top: float, foot: float) -> tuple[Polygon, ...]:
    toes = ((x - 0.05, foot + 0.015), (x, foot - 0.012), (x + 0.06, foot + 0.015), (x, foot + 0.006))
    return ((x - 0.02, top), (x + 0.005, top), (x + 0.008, foot), (x - 0.008, foot)), toes


BUILDS = {
    "finch": Build(
        body=_outline(
            (375, 330, 250, 165, 100, 0, -120, -220, -260, -170, -50, 100, 235, 315, 345, 378),
            (-160, -225, -250, -215, -140, -95, -50, 0, 60, 130, 200, 225, 175, 70, -20, -85),
        ),
        wing=smooth(((0.17, 0), (0.06, -0.06), (-0.1, 0), (-0.29, 0.11), (-0.12, 0.13), (0.03, 0.14), (0.14, 0.09))),
        feathers=tuple(_feather(-0.03 * i, 0.03 + 0.027 * i, 0.31 - 0.045 * i, -17 + 3 * i, 0.075) for i in range(4)),
        down=_down(0.17, 0.12, -25),
        tail=tuple(_feather(-0.14, 0.05, 0.37 - 0.02 * i, -14 - 5 * i, 0.11) for i in range(3)),
        legs=_leg(-0.01, 0.19, 0.32) + _leg(0.08, 0.2, 0.32),
        eye=(0.315, -0.135, 0.026),
        glow=(0.17, 0.06),
        foot=0.33,
        bill=None,
        kinds=(
            Kind("beak", 0.375, -0.12, 0.065, 4, ("cone", "needle", "hook")),
            Kind("crown", 0.255, -0.215, 0.064, -4, ("", "cap", "crest")),
            Kind("eye", 0.315, -0.135, 0.05, 0, ("", "ring", "brow")),
            Kind("bib", 0.315, -0.012, 0.052, 0, ("", "bib")),
            Kind("wing", 0.045, 0.04, 0.06, -20, ("", "bar", "bars")),
            Kind("breast", 0.235, 0.108, 0.058, -20, ("", "spots", "streaks")),
            Kind("rump", -0.165, 0.01, 0.062, -20, ("", "patch")),
            Kind("tail", -0.4, 0.13, 0.062, -18, ("", "band")),
        ),
    ),
    "lark": Build(
        body=_outline(
            (385, 345, 280, 215, 165, 60, -80, -200, -250, -160, -20, 120, 240, 315, 350, 385),
            (-200, -250, -265, -235, -160, -120, -75, -30, 20, 75, 125, 130, 75, -20, -100, -150),
        ),
        wing=smooth(((0.2, -0.05), (0.1, -0.1), (-0.1, -0.05), (-0.33, 0.05), (-0.1, 0.07), (0.08, 0.06), (0.18, 0))),
        feathers=tuple(_feather(0.02 - 0.03 * i, 0.022 * i - 0.03, 0.36 - i / 25, 2 * i - 13, 0.05) for i in range(4)),
        down=_down(0.21, 0, -40),
        tail=tuple(_feather(-0.12, 0, 0.4 - 0.03 * i, -5 - 4 * i, 0.09) for i in range(3)),
        legs=_leg(-0.02, 0.11, 0.31) + _leg(0.07, 0.11, 0.31),
        eye=(0.33, -0.19, 0.022),
        glow=(0.18, 0),
        foot=0.32,
        bill=Kind("bill", 0.385, -0.17, 0.06, 2, ("bill",)),
        kinds=(
            Kind("cheek", 0.305, -0.115, 0.056, 0, ("", "comma")),
            Kind("nape", 0.2, -0.175, 0.055, -40, ("", "crescent")),
            Kind("mantle", 0.04, -0.09, 0.06, -17, ("", "zigzag", "triangle")),
            Kind("shoulder", 0.14, -0.005, 0.054, -20, ("", "chevron")),
            Kind("wingtip", -0.17, 0.015, 0.058, -20, ("", "hourglass", "checker")),
            Kind("flank", 0.235, 0.035, 0.052, 10, ("", "cross")),
            Kind("thigh", 0.02, 0.14, 0.06, 0, ("", "garter")),
        ),
    ),
}


class Stamp(NamedTuple):
    """One shape in the picture."""

    form: str
    x: float
    y: float
    size: float  # half its length, in picture sides
    turn: float  # degrees
    colour: Colour

    def frame(self) -> Frame:
        """Map of the unit box to the picture."""
        return place(self.x, self.y, self.size, self.turn)


@dataclass(frozen=True)
class Parameters:
    """All that a picture is drawn from; `forms`, `hidden` and `paints` have one entry per kind of mark."""

    family: str
    forms: tuple[str, ...]  # what the species shows, "" for plain plumage
    hidden: tuple[bool, ...]
    paints: tuple[Colour, ...]
    mark_scale: float
    pose: Pose
    plumage: tuple[Colour, Colour, Colour, Colour]  # body, belly, wing, legs and plain beak
    ground: tuple[Colour, ...]  # 4 x 4 soft patches
    light: tuple[Colour, ...]  # 3 x 3 patches of light that the picture is multiplied by
    far: tuple[Stamp, ...]
    near: tuple[Stamp, ...]
    front: tuple[Stamp, ...]


@cache
def reach(family: str) -> Polygon:
    """Points round a family's bird with all its forms."""
    b = BUILDS[family]
    marks = [k.frame(1).of(s) for k in (*b.kinds, *filter(None, [b.bill])) for f in k.forms if f for s in FORMS[f]]
    return tuple(point for shape in (*marks, b.body, *b.tail, *b.legs) for point in shape)


def mark_boxes(p: Parameters, size: int) -> dict[str, Box]:
    """Boxes of the visible marks in pixels of a picture of side `size`, clipped to it, by the name of their kind."""
    bird, boxes = place(*p.pose), {}
    for kind, form, hidden in zip(BUILDS[p.family].kinds, p.forms, p.hidden, strict=True):
        if form and not hidden:
            frame = kind.frame(p.mark_scale).then(bird)
            x0, y0, x1, y1 = bounds(point for polygon in FORMS[form] for point in frame.of(polygon))
            boxes[kind.name] = max(x0, 0) * size, max(y0, 0) * size, min(x1, 1) * size, min(y1, 1) * size
    return boxes


def mix(a: Colour, b: Colour, t: float) -> Colour:
    """The colour at share t of the way from a to b."""
    return round(a[0] + (b[0] - a[0]) * t), round(a[1] + (b[1] - a[1]) * t), round(a[2] + (b[2] - a[2]) * t)


def render(p: Parameters, size: int) -> Image.Image:
    """Draw a picture of `size` x `size` pixels (RGB)."""
    fine = min(4, max(2, 384 // size))  # polygons fall on whole pixels: small pictures need a finer canvas
    far = _far(p).resize((size, size), Image.Resampling.BICUBIC)
    canvas = far.resize((fine * size, fine * size), Image.Resampling.NEAREST)
    draw, page = ImageDraw.Draw(canvas), place(0, 0, fine * size, 0)
    _stamp(draw, p.near, page)
    _bird(draw, p, place(*p.pose).then(page))
    _stamp(draw, p.front, page)
    light = _patches(p.light, 3).resize((size, size), Image.Resampling.BILINEAR)
    return ImageChops.multiply(canvas.reduce(fine), light)


def _patches(colours: Sequence[Colour], side: int) -> Image.Image:
    return Image.frombytes("RGB", (side, side), bytes(v for colour in colours for v in colour))


def _far(p: Parameters) -> Image.Image:
    canvas = _patches(p.ground, 4).resize((FAR, FAR), Image.Resampling.BICUBIC)
    _stamp(ImageDraw.Draw(canvas), p.far, place(0, 0, FAR, 0))
    return canvas.filter(ImageFilter.BoxBlur(2))


def _stamp(draw: ImageDraw.ImageDraw, stamps: Iterable[Stamp], page: Frame) -> None:
    for s in stamps:
        frame = s.frame().then(page)
        for polygon in FORMS[s.form]:
            draw.polygon(frame.of(polygon), fill=s.colour)
        if s.form in SHEEN:
            draw.polygon(frame.of(SHEEN[s.form]), fill=mix(s.colour, (255, 255, 220), 0.25))


def _bird(draw: ImageDraw.ImageDraw, p: Parameters, bird: Frame) -> None:
    build, (body, belly, wing, horn) = BUILDS[p.family], p.plumage
    dark = mix(wing, (0, 0, 0), 0.25)
    for i, polygon in enumerate(build.tail):
        draw.polygon(bird.of(polygon), fill=mix(dark, wing, i / 2))
    for polygon in build.legs:
        draw.polygon(bird.of(polygon), fill=horn)
    for i in range(12):
        shrink = place(build.glow[0] * i / 14, build.glow[1] * i / 14, 1 - i / 14, 0)
        draw.polygon(shrink.then(bird).of(build.body), fill=mix(body, belly, i / 11))
    for polygon in build.down:
        draw.polygon(bird.of(polygon), fill=mix(body, belly, 0.35))
    draw.polygon(place(-0.005, 0.012, 1, 0).then(bird).of(build.wing), fill=mix(body, (0, 0, 0), 0.3))
    draw.polygon(bird.of(build.wing), fill=wing)
    for i, polygon in enumerate(build.feathers):
        draw.polygon(bird.of(polygon), fill=mix(dark, wing, (i + 1) / 5))
    if build.bill:
        draw.polygon(build.bill.frame(1).then(bird).of(FORMS["bill"][0]), fill=horn)
    _marks(draw, p, bird)
    _eye(draw, build.eye, p.mark_scale, bird)


def _eye(draw: ImageDraw.ImageDraw, eye: tuple[float, float, float], scale: float, bird: Frame) -> None:
    x, y, radius = eye[0], eye[1], eye[2] * scale
    for lift, share, colour in ((0.0, 1.0, (150, 110, 60)), (0.0, 0.82, (18, 14, 16)), (0.35, 0.3, (240, 240, 240))):
        frame = place(x + lift * radius, y - lift * radius, radius * share, 0)
        draw.polygon(frame.then(bird).of(FORMS["ring"][0]), fill=colour)


def _marks(draw: ImageDraw.ImageDraw, p: Parameters, bird: Frame) -> None:
    for kind, form, paint in zip(BUILDS[p.family].kinds, p.forms, p.paints, strict=True):
        frame = kind.frame(p.mark_scale).then(bird)
        for polygon in FORMS[form] if form else ():
            draw.polygon(frame.of(polygon), fill=mix(paint, p.plumage[0], 0.3))
            draw.polygon(frame.of(_inner(polygon)), fill=paint)
