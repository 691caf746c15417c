"""Anatomy of the drawn birds: body shapes, and the places where species differ. Lengths are in bird lengths."""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from scapnet.data.synthetic.shapes import FORMS, Affine, Box, Polygon, centred_box, place, smooth


class MarkKind(NamedTuple):
    """A place on the body where species differ, and the forms that its mark can take."""

    name: str
    x: float
    y: float
    size: float  # half the side of its unit box, in bird lengths
    turn: float  # degrees
    forms: tuple[str, ...]  # "" is plain plumage

    def frame(self, scale: float) -> Affine:
        """Map from the unit box to the bird."""
        return place(self.x, self.y, self.size * scale, self.turn)


@cache
def extent(kind: MarkKind) -> Box:
    """Centre x, y and half sides of the box around all forms of a kind, in its unit box."""
    return centred_box(p for form in kind.forms if form for polygon in FORMS[form] for p in polygon)


class Anatomy(NamedTuple):
    """Body shapes and kinds of marks of a family."""

    body: Polygon
    wing: Polygon
    feathers: tuple[Polygon, ...]
    down: tuple[Polygon, ...]  # the soft texture of the breast
    tail: tuple[Polygon, ...]
    legs: tuple[Polygon, ...]
    eye: tuple[float, float, float]  # x, y, radius at mark scale 1
    highlight: tuple[float, float]  # the brightest point of the body
    foot: float  # y of the perch
    bill: MarkKind | None  # the beak, for a family whose beaks are all the same
    kinds: tuple[MarkKind, ...]


def _curve(xs: Sequence[int], ys: Sequence[int]) -> Polygon:
    """A smooth curve through points in thousandths of a bird length."""
    return smooth([(x / 1000, y / 1000) for x, y in zip(xs, ys, strict=True)])


def _feather(x: float, y: float, length: float, turn: float, width: float) -> Polygon:
    lens = smooth(((0, 0), (-0.5, -width), (-1, 0), (-0.5, width)))
    return tuple((round(u, 4), round(v, 4)) for u, v in place(x, y, length, turn).of(lens))


def _down(x: float, y: float, turn: float) -> tuple[Polygon, ...]:
    """Three rows of small feathers around a point of the breast."""
    spots = place(x, y, 1, turn).of([(0.06 * i + 0.03 * (j % 2), 0.05 * j) for j in (-1, 0, 1) for i in (-2, -1, 0, 1)])
    return tuple(_feather(u, v, 0.045, turn - 20, 0.3) for u, v in spots)


def _leg(x: float, top: float, foot: float) -> tuple[Polygon, ...]:
    toes = ((x - 0.05, foot + 0.015), (x, foot - 0.012), (x + 0.06, foot + 0.015), (x, foot + 0.006))
    return ((x - 0.02, top), (x + 0.005, top), (x + 0.008, foot), (x - 0.008, foot)), toes


ANATOMY = {
    "finch": Anatomy(
        body=_curve(
            (375, 330, 250, 165, 100, 0, -120, -220, -260, -170, -50, 100, 235, 315, 345, 378),
            (-160, -225, -250, -215, -140, -95, -50, 0, 60, 130, 200, 225, 175, 70, -20, -85),
        ),
        wing=smooth(((0.17, 0), (0.06, -0.06), (-0.1, 0), (-0.29, 0.11), (-0.12, 0.13), (0.03, 0.14), (0.14, 0.09))),
        feathers=tuple(_feather(-0.03 * i, 0.03 + 0.027 * i, 0.31 - 0.045 * i, -17 + 3 * i, 0.075) for i in range(4)),
        down=_down(0.17, 0.12, -25),
        tail=tuple(_feather(-0.14, 0.05, 0.37 - 0.02 * i, -14 - 5 * i, 0.11) for i in range(3)),
        legs=_leg(-0.01, 0.19, 0.32) + _leg(0.08, 0.2, 0.32),
        eye=(0.315, -0.135, 0.026),
        highlight=(0.17, 0.06),
        foot=0.33,
        bill=None,
        kinds=(
            MarkKind("beak", 0.375, -0.12, 0.065, 4, ("cone", "needle", "hook")),
            MarkKind("crown", 0.255, -0.215, 0.064, -4, ("", "cap", "crest")),
            MarkKind("eye", 0.315, -0.135, 0.05, 0, ("", "ring", "brow")),
            MarkKind("bib", 0.315, -0.012, 0.052, 0, ("", "bib")),
            MarkKind("wing", 0.045, 0.04, 0.06, -20, ("", "bar", "bars")),
            MarkKind("breast", 0.235, 0.108, 0.058, -20, ("", "spots", "streaks")),
            MarkKind("rump", -0.165, 0.01, 0.062, -20, ("", "patch")),
            MarkKind("tail", -0.4, 0.13, 0.062, -18, ("", "band")),
        ),
    ),
    "lark": Anatomy(
        body=_curve(
            (385, 345, 280, 215, 165, 60, -80, -200, -250, -160, -20, 120, 240, 315, 350, 385),
            (-200, -250, -265, -235, -160, -120, -75, -30, 20, 75, 125, 130, 75, -20, -100, -150),
        ),
        wing=smooth(((0.2, -0.05), (0.1, -0.1), (-0.1, -0.05), (-0.33, 0.05), (-0.1, 0.07), (0.08, 0.06), (0.18, 0))),
        feathers=tuple(_feather(0.02 - 0.03 * i, 0.022 * i - 0.03, 0.36 - i / 25, 2 * i - 13, 0.05) for i in range(4)),
        down=_down(0.21, 0, -40),
        tail=tuple(_feather(-0.12, 0, 0.4 - 0.03 * i, -5 - 4 * i, 0.09) for i in range(3)),
        eye=(0.33, -0.19, 0.022),
        legs=_leg(-0.02, 0.11, 0.31) + _leg(0.07, 0.11, 0.31),
        highlight=(0.18, 0),
        foot=0.32,
        bill=MarkKind("bill", 0.385, -0.17, 0.06, 2, ("bill",)),
        kinds=(
            MarkKind("cheek", 0.305, -0.115, 0.056, 0, ("", "comma")),
            MarkKind("nape", 0.2, -0.175, 0.055, -40, ("", "crescent")),
            MarkKind("mantle", 0.04, -0.09, 0.06, -17, ("", "zigzag", "triangle")),
            MarkKind("shoulder", 0.14, -0.005, 0.054, -20, ("", "chevron")),
            MarkKind("wingtip", -0.17, 0.015, 0.058, -20, ("", "hourglass", "checker")),
            MarkKind("flank", 0.235, 0.035, 0.052, 10, ("", "cross")),
            MarkKind("thigh", 0.02, 0.14, 0.06, 0, ("", "garter")),
        ),
    ),
}


@cache
def outline(family: str) -> Polygon:
    """Corners of every shape that a bird of a family can have, marks included."""
    anatomy = ANATOMY[family]
    kinds = (*anatomy.kinds, *filter(None, [anatomy.bill]))
    marks = [kind.frame(1).of(shape) for kind in kinds for form in kind.forms if form for shape in FORMS[form]]
    return tuple(point for shape in (*marks, anatomy.body, *anatomy.tail, *anatomy.legs) for point in shape)
