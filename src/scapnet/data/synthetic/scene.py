"""What is drawn by chance round a species' marks: pose, colours, light, thicket, and what hides a mark."""

import colorsys
from collections.abc import Sequence
from random import Random
from typing import TypeVar

from scapnet.data.synthetic.anatomy import BUILDS, Kind, cover, reach
from scapnet.data.synthetic.drawing import Colour, Pose, Stamp, mix
from scapnet.data.synthetic.shapes import bounds, place

T = TypeVar("T")


class Dice:
    """Chance from a name: only `Random.random` of a string seed, whose numbers are the same in every Python 3."""

    def __init__(self, *name: object) -> None:
        self._random = Random("/".join(map(str, name))).random

    def between(self, low: float, high: float) -> float:
        """A number from low to high, to 4 decimals."""
        return round(low + (high - low) * self._random(), 4)

    def pick(self, items: Sequence[T]) -> T:
        """One of the items."""
        return items[int(self._random() * len(items))]

    def shuffled(self, n: int) -> list[int]:
        """The numbers 0 to n - 1 in some order."""
        return sorted(range(n), key=lambda _: self._random())

    def colour(self, hue: tuple[float, float], strength: tuple[float, float], value: tuple[float, float]) -> Colour:
        """A colour within ranges of hue (in turns), saturation and value."""
        rgb = colorsys.hsv_to_rgb(self.between(*hue) % 1, self.between(*strength), self.between(*value))
        return round(rgb[0] * 255), round(rgb[1] * 255), round(rgb[2] * 255)


def _brightness(c: Colour) -> float:
    return 0.3 * c[0] + 0.59 * c[1] + 0.11 * c[2]


def draw_paint(dice: Dice, plumage: Sequence[Colour]) -> Colour:
    """A colour that stands out from the plumage that a mark may lie on."""
    for _ in range(12):
        kind = dice.pick(("dark", "pale", "vivid"))
        value = {"dark": (0.04, 0.16), "pale": (0.92, 1.0), "vivid": (0.75, 1.0)}[kind]
        colour = dice.colour((0, 1), (0.75, 1.0) if kind == "vivid" else (0.0, 0.2), value)
        if min(abs(_brightness(colour) - _brightness(c)) for c in plumage) > 50:
            return colour
    return (16, 14, 18)


def draw_plumage(dice: Dice) -> tuple[Colour, Colour, Colour, Colour]:
    """Colours of body, belly and wing, and of legs and plain beak; they say nothing of the species."""
    hue = dice.between(0, 1)
    body = dice.colour((hue, hue), (0.1, 0.6), (0.45, 0.65))
    belly = dice.colour((hue - 0.1, hue + 0.1), (0.05, 0.45), (0.58, 0.72))
    wing = dice.colour((hue - 0.15, hue + 0.15), (0.1, 0.55), (0.4, 0.55))
    return body, belly, wing, dice.colour((0.02, 0.13), (0.2, 0.8), (0.35, 0.8))


def draw_pose(dice: Dice, family: str) -> Pose:
    """A pose that keeps the whole bird, with any marks, in the picture."""
    turn, flip, plump = dice.between(-18, 18), dice.pick((False, True)), dice.between(0.92, 1.06)
    x0, y0, x1, y1 = bounds(place(0, 0, 1, turn, flip, plump).of(reach(family)))
    size = min(dice.between(0.55, 0.85), round(0.97 / max(x1 - x0, y1 - y0), 4))
    x, y = (dice.between(0.01 - low * size, 0.99 - high * size) for low, high in ((x0, x1), (y0, y1)))
    return x, y, size, turn, flip, plump


def _leaf(dice: Dice, x: float, y: float, size: float, forms: Sequence[str] = ("leaf", "leaf", "ivy")) -> Stamp:
    hue = dice.pick(((0.2, 0.4), (0.2, 0.4), (0.05, 0.15)))
    return Stamp(dice.pick(forms), x, y, size, dice.between(0, 360), dice.colour(hue, (0.3, 0.8), (0.25, 0.7)))


def _stick(dice: Dice, form: str, x: float, y: float, size: float, turn: float) -> Stamp:
    hue = (0.05, 0.12) if form == "branch" else (0.06, 0.32)
    return Stamp(form, x, y, size, turn, dice.colour(hue, (0.2, 0.55), (0.25, 0.6)))


def draw_thicket(dice: Dice, family: str, paints: Sequence[Colour], mark_scale: float) -> list[Stamp]:
    """Leaves, twigs and grass in focus; look-alikes of marks on the leaves; berries."""
    sticks = [(form, dice.between(0, 1), dice.between(0, 1), dice.between(0.15, 0.4)) for form in ("twig", "blade") * 3]
    stamps = [_stick(dice, *stick, dice.between(0, 360)) for stick in sticks]
    leaves = [_leaf(dice, dice.between(0, 1), dice.between(0, 1), dice.between(0.04, 0.09)) for _ in range(11)]
    forms = [form for kind in BUILDS[family].kinds for form in kind.forms if form]
    for leaf in leaves[:8]:
        size = round(dice.between(0.028, 0.048) * mark_scale, 4)
        stamps += [leaf, Stamp(dice.pick(forms), leaf.x, leaf.y, size, dice.between(0, 360), dice.pick(paints))]
    x, y, colour = dice.between(0.05, 0.95), dice.between(0.05, 0.95), dice.pick(paints)
    spots = [(round(x + dice.between(-0.05, 0.05), 4), round(y + dice.between(-0.05, 0.05), 4)) for _ in range(6)]
    return stamps + leaves[8:] + [Stamp("berry", u, v, dice.between(0.01, 0.02), 0.0, colour) for u, v in spots]


def draw_backdrop(dice: Dice) -> tuple[tuple[Colour, ...], tuple[Colour, ...], tuple[Stamp, ...]]:
    """Ground, light, and leaves that are out of focus."""
    hue = dice.pick((0.1, 0.2, 0.3, 0.55))
    ground = tuple(dice.colour((hue - 0.1, hue + 0.1), (0.1, 0.45), (0.4, 0.95)) for _ in range(16))
    tint = dice.colour((0, 1), (0, 0.12), (0.88, 1.0))
    light = tuple(mix((0, 0, 0), tint, dice.between(0.75, 1.0)) for _ in range(9))
    far = (_leaf(dice, dice.between(0, 1), dice.between(0, 1), dice.between(0.05, 0.2)) for _ in range(14))
    return ground, light, tuple(far)


def _at(pose: Pose, x: float, y: float) -> tuple[float, float]:
    """A point of the bird in the picture."""
    ((u, v),) = place(*pose).of([(x, y)])
    return round(u, 4), round(v, 4)


def draw_perch(dice: Dice, family: str, pose: Pose) -> Stamp:
    """The branch under the bird's feet."""
    turn = round(pose[3] + dice.between(-4, 4), 4)
    return _stick(dice, "branch", *_at(pose, 0.03, BUILDS[family].foot + 0.02), dice.between(0.45, 0.9), turn)


def draw_curtain(dice: Dice, family: str, pose: Pose) -> list[Stamp]:
    """A blade of grass and up to two leaves before the bird, the leaves off every place of a mark."""
    x, y, size, turn = dice.between(0, 1), dice.between(0, 1), dice.between(0.15, 0.3), dice.between(0, 360)
    stamps = [_stick(dice, "blade", x, y, size, turn)]
    for _ in range(8):
        x, y, size = dice.between(-0.45, 0.4), dice.between(-0.25, 0.3), dice.between(0.03, 0.07)
        clear = all(abs(x - k.x) + abs(y - k.y) > 1.5 * size + k.size for k in BUILDS[family].kinds)
        if clear and len(stamps) < 3:
            stamps.append(_leaf(dice, *_at(pose, x, y), round(size * pose[2], 4)))
    return stamps


def draw_cover(dice: Dice, kind: Kind, pose: Pose, mark_scale: float) -> Stamp:
    """A leaf that hides a place, whether a mark is there or not."""
    x, y, *sides = cover(kind)
    ((x, y),) = kind.frame(mark_scale).of([(x, y)])
    size = round((1.1 * max(sides) * kind.size * mark_scale + 0.005) * pose[2], 4)
    return _leaf(dice, *_at(pose, x, y), size, ("ivy",))
