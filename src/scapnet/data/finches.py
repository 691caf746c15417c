"""Drawn finches: fine-grained pictures that need no download.

Species differ only in small local marks. Everything else (pose, colours, light, clutter, occlusion, look-alikes of the
marks off the bird) is left to chance, the same for every species. Letters: K classes, R visible marks.
"""

import colorsys
from collections import Counter
from collections.abc import Sequence
from functools import cache
from itertools import compress, product
from random import Random
from typing import TypeVar

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch.utils.data import Dataset

from scapnet.data.drawing import (
    BUILDS,
    Colour,
    Kind,
    Parameters,
    Pose,
    Stamp,
    bounds,
    cover,
    mark_boxes,
    mix,
    place,
    reach,
    render,
)
from scapnet.data.sample import Sample

SPLITS = ("train", "val", "test")
MAX_CLASSES = 64
TEMPERS = ("quiet", "early", "shy", "brisk", "wandering", "lesser", "greater", "hermit")
HOMES = ("cactus", "heath", "reed", "orchard", "juniper", "harbour", "meadow", "quarry")
Code = tuple[str, ...]  # the form that a species shows at each kind of mark
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


@cache
def codes(family: str) -> tuple[Code, ...]:
    """The species of a family in their one order; K classes are the first K.

    No two differ in fewer than two kinds of mark, each differs from an earlier one in exactly two, and among such codes
    the next is the one whose forms are the rarest so far, so that no kind alone gives much away.
    """
    kinds = BUILDS[family].kinds
    words = np.array(list(product(*(range(len(k.forms)) for k in kinds))))
    words = words[Dice("codes", family).shuffled(len(words))]
    values = np.array([len(k.forms) for k in kinds])
    chosen, nearest = [0], (words != words[0]).sum(1)
    while len(chosen) < MAX_CLASSES:
        usage = (words[:, None] == words[chosen]).sum(1) @ values
        chosen.append(int(np.where(nearest == 2, usage, usage.max() + 1).argmin()))
        nearest = np.minimum(nearest, (words != words[chosen[-1]]).sum(1))
    return tuple(tuple(k.forms[v] for k, v in zip(kinds, words[i], strict=True)) for i in chosen)


def _brightness(c: Colour) -> float:
    return 0.3 * c[0] + 0.59 * c[1] + 0.11 * c[2]


def _paint(dice: Dice, plumage: Sequence[Colour]) -> Colour:
    """A colour that stands out from the plumage that a mark may lie on."""
    for _ in range(12):
        kind = dice.pick(("dark", "pale", "vivid"))
        value = {"dark": (0.04, 0.16), "pale": (0.92, 1.0), "vivid": (0.75, 1.0)}[kind]
        colour = dice.colour((0, 1), (0.75, 1.0) if kind == "vivid" else (0.0, 0.2), value)
        if min(abs(_brightness(colour) - _brightness(c)) for c in plumage) > 50:
            return colour
    return (16, 14, 18)


def _plumage(dice: Dice) -> tuple[Colour, Colour, Colour, Colour]:
    hue = dice.between(0, 1)
    body = dice.colour((hue, hue), (0.1, 0.6), (0.45, 0.65))
    belly = dice.colour((hue - 0.1, hue + 0.1), (0.05, 0.45), (0.58, 0.72))
    wing = dice.colour((hue - 0.15, hue + 0.15), (0.1, 0.55), (0.4, 0.55))
    return body, belly, wing, dice.colour((0.02, 0.13), (0.2, 0.8), (0.35, 0.8))


def _pose(dice: Dice, family: str) -> Pose:
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


def _thicket(dice: Dice, family: str, paints: Sequence[Colour], mark_scale: float) -> list[Stamp]:
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


def _backdrop(dice: Dice) -> tuple[tuple[Colour, ...], tuple[Colour, ...], tuple[Stamp, ...]]:
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


def _perch(dice: Dice, family: str, pose: Pose) -> Stamp:
    turn = round(pose[3] + dice.between(-4, 4), 4)
    return _stick(dice, "branch", *_at(pose, 0.03, BUILDS[family].foot + 0.02), dice.between(0.45, 0.9), turn)


def _curtain(dice: Dice, family: str, pose: Pose) -> list[Stamp]:
    """A blade of grass and up to two leaves before the bird, the leaves off every place of a mark."""
    x, y, size, turn = dice.between(0, 1), dice.between(0, 1), dice.between(0.15, 0.3), dice.between(0, 360)
    stamps = [_stick(dice, "blade", x, y, size, turn)]
    for _ in range(8):
        x, y, size = dice.between(-0.45, 0.4), dice.between(-0.25, 0.3), dice.between(0.03, 0.07)
        clear = all(abs(x - k.x) + abs(y - k.y) > 1.5 * size + k.size for k in BUILDS[family].kinds)
        if clear and len(stamps) < 3:
            stamps.append(_leaf(dice, *_at(pose, x, y), round(size * pose[2], 4)))
    return stamps


def _cover(dice: Dice, kind: Kind, pose: Pose, mark_scale: float) -> Stamp:
    """A leaf that hides a place, whether a mark is there or not."""
    x, y, *sides = cover(kind)
    ((x, y),) = kind.frame(mark_scale).of([(x, y)])
    size = round((1.1 * max(sides) * kind.size * mark_scale + 0.005) * pose[2], 4)
    return _leaf(dice, *_at(pose, x, y), size, ("ivy",))


class Finches(Dataset[Sample]):
    """Drawn birds of K look-alike species.

    Args:
        split: "train", "val" or "test"; no picture is in two of them.
        classes: K, 2 to 64.
        length: pictures in this split.
        size: side of a picture in pixels, from 32; the same index at another size is the same picture, drawn finer.
        seed: another seed is another data set of the same species.
        family: "finch", or "lark" with other bodies and marks, to learn from before finches.
        mark_scale: size of the marks, 0.2 to 1.5; at 1 a mark is 6-10% of the picture's side.
        hide: chance that a mark cannot be seen in a picture: half of them lie behind a leaf, half are worn off (a beak
            never is). A place without a mark is hidden as often.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(
        self,
        split: str = "train",
        classes: int = 32,
        length: int = 2000,
        size: int = 224,
        seed: int = 0,
        family: str = "finch",
        mark_scale: float = 1.0,
        hide: float = 0.15,
    ) -> None:
        _check("split", split, split in SPLITS, f"one of {', '.join(SPLITS)}")
        _check("family", family, family in BUILDS, f"one of {', '.join(BUILDS)}")
        _check("classes", classes, 2 <= classes <= MAX_CLASSES, f"a number from 2 to {MAX_CLASSES}")
        _check("length", length, length >= 1, "1 or more")
        _check("size", size, size >= 32, "32 pixels or more")
        _check("mark_scale", mark_scale, 0.2 <= mark_scale <= 1.5, "a number from 0.2 to 1.5")
        _check("hide", hide, 0 <= hide <= 1, "a share from 0 to 1")
        self.split, self.size, self.seed, self.family = split, size, seed, family
        self.mark_scale, self.hide = mark_scale, hide
        self.codes = codes(family)[:classes]
        self.classes = tuple(f"{TEMPERS[i % 8]} {HOMES[(i + i // 8) % 8]} {family}" for i in range(classes))
        self.labels: Sequence[int] = self._labels(length)
        columns = zip(BUILDS[family].kinds, zip(*self.codes, strict=True), strict=True)
        self.telling = frozenset(kind.name for kind, forms in columns if len(set(forms)) > 1)

    def _labels(self, length: int) -> list[int]:
        """Every K pictures in a row show every species once, in an order of their own."""
        k = len(self.codes)
        blocks = (Dice("labels", self.seed, self.split, self.family, k, i) for i in range(-(-length // k)))
        return [label for dice in blocks for label in dice.shuffled(k)][:length]

    def __len__(self) -> int:
        return len(self.labels)

    def parameters(self, index: int) -> Parameters:
        """All that picture `index` is drawn from; its species changes nothing but the forms of its marks.

        Raises:
            IndexError: no such picture.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"index {index} is not in this split of {len(self)} pictures: pass 0 to {len(self) - 1}")
        name = (self.seed, self.split, self.family, index)
        dice, kinds = Dice("bird", *name), BUILDS[self.family].kinds
        plumage, pose = _plumage(dice), _pose(dice, self.family)
        paints = tuple(_paint(dice, plumage[:3]) for _ in kinds)
        chances = [dice.between(0, 1) for _ in kinds]
        worn = [chance < self.hide / 2 and "" in kind.forms for chance, kind in zip(chances, kinds, strict=True)]
        hidden = tuple(chance < self.hide and not gone for chance, gone in zip(chances, worn, strict=True))
        covers = [_cover(dice, kind, pose, self.mark_scale) for kind in kinds]
        ground, light, far = _backdrop(Dice("backdrop", *name))
        return Parameters(
            family=self.family,
            forms=tuple("" if gone else form for form, gone in zip(self.codes[self.labels[index]], worn, strict=True)),
            hidden=hidden,
            paints=paints,
            mark_scale=self.mark_scale,
            pose=pose,
            plumage=plumage,
            ground=ground,
            light=light,
            far=far,
            near=(*_thicket(dice, self.family, paints, self.mark_scale), _perch(dice, self.family, pose)),
            front=(*_curtain(dice, self.family, pose), *compress(covers, hidden)),
        )

    def __getitem__(self, index: int) -> Sample:
        p = self.parameters(index)
        image = torch.from_numpy(np.array(render(p, self.size))).permute(2, 0, 1).contiguous()
        boxes = {name: box for name, box in mark_boxes(p, self.size).items() if name in self.telling}
        marks = torch.tensor(list(boxes.values()), dtype=torch.float32).reshape(-1, 4)
        return Sample(image, self.labels[index], f"{self.family}/{self.split}/{index}", marks, tuple(boxes))

    def describe(self) -> dict[str, object]:
        """What the data set is, as plain values for a table or a JSON file."""
        counts = Counter(self.labels)
        names = [kind.name for kind in BUILDS[self.family].kinds]
        return {
            "name": "Finches",
            "family": self.family,
            "split": self.split,
            "size": self.size,
            "classes": list(self.classes),
            "counts": {name: counts[i] for i, name in enumerate(self.classes)},
            "marks": {
                name: {kind: form or "plain" for kind, form in zip(names, code, strict=True)}
                for name, code in zip(self.classes, self.codes, strict=True)
            },
            "licence": "Apache-2.0, as the package",
            "provenance": "drawn by scapnet.data.finches; no photograph and no person's drawing is in it",
        }

    def plot(self, indices: Sequence[int] | None = None, marks: bool = True) -> Image.Image:
        """A contact sheet: pictures (the first 12), their species and, on request, the boxes of their visible marks."""
        shown = list(range(min(12, len(self)))) if indices is None else list(indices)
        columns = min(4, max(1, len(shown)))
        side, rows = self.size + 4, -(-len(shown) // columns)
        sheet = Image.new("RGB", (columns * side, rows * (side + 14)), "white")
        draw = ImageDraw.Draw(sheet)
        for i, index in enumerate(shown):
            x, y, sample = i % columns * side, i // columns * (side + 14), self[index]
            sheet.paste(Image.fromarray(sample.image.permute(1, 2, 0).numpy()), (x, y + 14))
            draw.text((x + 1, y + 1), self.classes[sample.label], fill="black")
            for x0, y0, x1, y1 in sample.marks.tolist() if marks else ():
                draw.rectangle((x + x0, y + 14 + y0, x + x1, y + 14 + y1), outline="red")
        return sheet


def _check(name: str, value: object, good: bool, expected: str) -> None:
    if not good:
        raise ValueError(f"{name} is {value!r}, but must be {expected}: pass such a {name}")
