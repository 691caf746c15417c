"""Everything in a picture that does not depend on the species: pose, colours, light, clutter and occlusion."""

import colorsys
from collections.abc import Sequence
from random import Random
from typing import TypeVar

from scapnet.data.synthetic.anatomy import ANATOMY, MarkKind, extent, outline
from scapnet.data.synthetic.drawing import Colour, Pose, Stamp, mix
from scapnet.data.synthetic.shapes import bounds, place

T = TypeVar("T")


class SeededRandom:
    """Random numbers from a seed of several values.

    It uses only `Random.random` of a string seed, which gives the same numbers in every version of Python 3.
    """

    def __init__(self, *name: object) -> None:
        self._random = Random("/".join(map(str, name))).random

    def uniform(self, low: float, high: float) -> float:
        """A number from low to high, rounded to 4 decimals."""
        return round(low + (high - low) * self._random(), 4)

    def choice(self, items: Sequence[T]) -> T:
        """One of the items."""
        return items[int(self._random() * len(items))]

    def permutation(self, n: int) -> list[int]:
        """The numbers 0 to n - 1 in random order."""
        return sorted(range(n), key=lambda _: self._random())

    def colour(self, hue: tuple[float, float], saturation: tuple[float, float], value: tuple[float, float]) -> Colour:
        """A colour within ranges of hue (1 is a full turn), saturation and value."""
        rgb = colorsys.hsv_to_rgb(self.uniform(*hue) % 1, self.uniform(*saturation), self.uniform(*value))
        return round(rgb[0] * 255), round(rgb[1] * 255), round(rgb[2] * 255)


def _brightness(c: Colour) -> float:
    return 0.3 * c[0] + 0.59 * c[1] + 0.11 * c[2]


def draw_mark_colour(rng: SeededRandom, plumage: Sequence[Colour]) -> Colour:
    """A colour that stands out from the plumage around a mark."""
    for _ in range(12):
        tone = rng.choice(("dark", "pale", "vivid"))
        value = {"dark": (0.04, 0.16), "pale": (0.92, 1.0), "vivid": (0.75, 1.0)}[tone]
        colour = rng.colour((0, 1), (0.75, 1.0) if tone == "vivid" else (0.0, 0.2), value)
        if min(abs(_brightness(colour) - _brightness(c)) for c in plumage) > 50:
            return colour
    return (16, 14, 18)


def draw_plumage(rng: SeededRandom) -> tuple[Colour, Colour, Colour, Colour]:
    """Colours of body, belly and wing, and of legs and plain beak, independent of the species."""
    hue = rng.uniform(0, 1)
    body = rng.colour((hue, hue), (0.1, 0.6), (0.45, 0.65))
    belly = rng.colour((hue - 0.1, hue + 0.1), (0.05, 0.45), (0.58, 0.72))
    wing = rng.colour((hue - 0.15, hue + 0.15), (0.1, 0.55), (0.4, 0.55))
    return body, belly, wing, rng.colour((0.02, 0.13), (0.2, 0.8), (0.35, 0.8))


def draw_pose(rng: SeededRandom, family: str, scale: float = 1.0) -> Pose:
    """A pose, its size a share of the usual one, that keeps the whole bird in the picture, whatever its marks."""
    turn, flip, plump = rng.uniform(-18, 18), rng.choice((False, True)), rng.uniform(0.92, 1.06)
    x0, y0, x1, y1 = bounds(place(0, 0, 1, turn, flip, plump).of(outline(family)))
    size = round(scale * min(rng.uniform(0.55, 0.85), round(0.97 / max(x1 - x0, y1 - y0), 4)), 4)
    x, y = (rng.uniform(0.01 - low * size, 0.99 - high * size) for low, high in ((x0, x1), (y0, y1)))
    return x, y, size, turn, flip, plump


def _leaf(rng: SeededRandom, x: float, y: float, size: float, forms: Sequence[str] = ("leaf", "leaf", "ivy")) -> Stamp:
    hue = rng.choice(((0.2, 0.4), (0.2, 0.4), (0.05, 0.15)))
    return Stamp(rng.choice(forms), x, y, size, rng.uniform(0, 360), rng.colour(hue, (0.3, 0.8), (0.25, 0.7)))


def _stick(rng: SeededRandom, form: str, x: float, y: float, size: float, turn: float) -> Stamp:
    hue = (0.05, 0.12) if form == "branch" else (0.06, 0.32)
    return Stamp(form, x, y, size, turn, rng.colour(hue, (0.2, 0.55), (0.25, 0.6)))


def draw_clutter(rng: SeededRandom, family: str, paints: Sequence[Colour], mark_scale: float) -> list[Stamp]:
    """Leaves, twigs, grass and berries in focus, and look-alikes of marks on the leaves."""
    sticks = [(form, rng.uniform(0, 1), rng.uniform(0, 1), rng.uniform(0.15, 0.4)) for form in ("twig", "blade") * 3]
    stamps = [_stick(rng, *stick, rng.uniform(0, 360)) for stick in sticks]
    leaves = [_leaf(rng, rng.uniform(0, 1), rng.uniform(0, 1), rng.uniform(0.04, 0.09)) for _ in range(11)]
    forms = [form for kind in ANATOMY[family].kinds for form in kind.forms if form]
    for leaf in leaves[:8]:
        size = round(rng.uniform(0.028, 0.048) * mark_scale, 4)
        stamps += [leaf, Stamp(rng.choice(forms), leaf.x, leaf.y, size, rng.uniform(0, 360), rng.choice(paints))]
    x, y, colour = rng.uniform(0.05, 0.95), rng.uniform(0.05, 0.95), rng.choice(paints)
    spots = [(round(x + rng.uniform(-0.05, 0.05), 4), round(y + rng.uniform(-0.05, 0.05), 4)) for _ in range(6)]
    return stamps + leaves[8:] + [Stamp("berry", u, v, rng.uniform(0.01, 0.02), 0.0, colour) for u, v in spots]


def draw_background(rng: SeededRandom) -> tuple[tuple[Colour, ...], tuple[Colour, ...], tuple[Stamp, ...]]:
    """Ground colours, light, and leaves out of focus."""
    hue = rng.choice((0.1, 0.2, 0.3, 0.55))
    ground = tuple(rng.colour((hue - 0.1, hue + 0.1), (0.1, 0.45), (0.4, 0.95)) for _ in range(16))
    tint = rng.colour((0, 1), (0, 0.12), (0.88, 1.0))
    light = tuple(mix((0, 0, 0), tint, rng.uniform(0.75, 1.0)) for _ in range(9))
    far = (_leaf(rng, rng.uniform(0, 1), rng.uniform(0, 1), rng.uniform(0.05, 0.2)) for _ in range(14))
    return ground, light, tuple(far)


def _at(pose: Pose, x: float, y: float) -> tuple[float, float]:
    """Picture coordinates of a point of the bird."""
    ((u, v),) = place(*pose).of([(x, y)])
    return round(u, 4), round(v, 4)


def draw_perch(rng: SeededRandom, family: str, pose: Pose, scale: float = 1.0) -> Stamp:
    """The branch under the bird's feet, its size a share of the usual one."""
    turn = round(pose[3] + rng.uniform(-4, 4), 4)
    size = round(scale * rng.uniform(0.45, 0.9), 4)
    return _stick(rng, "branch", *_at(pose, 0.03, ANATOMY[family].foot + 0.02), size, turn)


def draw_foreground(rng: SeededRandom, family: str, pose: Pose) -> list[Stamp]:
    """A blade of grass and up to two leaves in front of the bird; the leaves do not cover the place of any mark."""
    x, y, size, turn = rng.uniform(0, 1), rng.uniform(0, 1), rng.uniform(0.15, 0.3), rng.uniform(0, 360)
    stamps = [_stick(rng, "blade", x, y, size, turn)]
    for _ in range(8):
        x, y, size = rng.uniform(-0.45, 0.4), rng.uniform(-0.25, 0.3), rng.uniform(0.03, 0.07)
        clear = all(abs(x - k.x) + abs(y - k.y) > 1.5 * size + k.size for k in ANATOMY[family].kinds)
        if clear and len(stamps) < 3:
            stamps.append(_leaf(rng, *_at(pose, x, y), round(size * pose[2], 4)))
    return stamps


def draw_occluder(rng: SeededRandom, kind: MarkKind, pose: Pose, mark_scale: float) -> Stamp:
    """A leaf that hides the place of a mark, whether or not the species has one there."""
    x, y, *sides = extent(kind)
    ((x, y),) = kind.frame(mark_scale).of([(x, y)])
    size = round((1.1 * max(sides) * kind.size * mark_scale + 0.005) * pose[2], 4)
    return _leaf(rng, *_at(pose, x, y), size, ("ivy",))
