"""Drawn finches: fine-grained pictures that need no download.

Species differ only in small local marks. Everything else (pose, colours, light, clutter, occlusion, look-alikes of the
marks off the bird) is random and independent of the species.

K classes, R visible marks.
"""

import math
from collections.abc import Sequence
from functools import cache
from itertools import compress, product

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch.utils.data import Dataset

from scapnet.data.info import DatasetInfo
from scapnet.data.sample import SPLITS, Sample
from scapnet.data.synthetic.anatomy import ANATOMY
from scapnet.data.synthetic.drawing import Parameters, mark_boxes, render
from scapnet.data.synthetic.scene import (
    SeededRandom,
    draw_background,
    draw_clutter,
    draw_foreground,
    draw_mark_colour,
    draw_occluder,
    draw_perch,
    draw_plumage,
    draw_pose,
)

INFO = DatasetInfo(
    "finches",
    "Finches, drawn by scapnet",
    licence="Apache-2.0, as the package",
    get="nothing to download: the program draws them, and they contain no photograph or drawing by anyone",
)
MAX_CLASSES = 64
ADJECTIVES = ("quiet", "early", "shy", "brisk", "wandering", "lesser", "greater", "hermit")
HABITATS = ("cactus", "heath", "reed", "orchard", "juniper", "harbour", "meadow", "quarry")
HIDDEN = (math.nan,) * 4  # the box of a mark that cannot be seen
Code = tuple[str, ...]  # a species: its form of each kind of mark


@cache
def codes(family: str) -> tuple[Code, ...]:
    """The species of a family in their fixed order; a data set of K classes has the first K.

    Any two species differ in at least two kinds of mark, and each differs from an earlier one in exactly two. Among
    such codes, the next one has the forms that are rarest so far, so that no single kind of mark identifies a species.
    """
    kinds = ANATOMY[family].kinds
    words = np.array(list(product(*(range(len(k.forms)) for k in kinds))))
    words = words[SeededRandom("codes", family).permutation(len(words))]
    values = np.array([len(k.forms) for k in kinds])
    chosen, nearest = [0], (words != words[0]).sum(1)
    while len(chosen) < MAX_CLASSES:
        usage = (words[:, None] == words[chosen]).sum(1) @ values
        chosen.append(int(np.where(nearest == 2, usage, usage.max() + 1).argmin()))
        nearest = np.minimum(nearest, (words != words[chosen[-1]]).sum(1))
    return tuple(tuple(k.forms[v] for k, v in zip(kinds, words[i], strict=True)) for i in chosen)


class Finches(Dataset[Sample]):
    """Drawn birds of K look-alike species.

    Args:
        split: "train", "val" or "test"; they share no picture.
        num_classes: K, 2 to 64.
        length: number of pictures in this split.
        size: side of a picture in pixels, at least 32; the same index at another size is the same picture.
        seed: another seed gives other pictures of the same species.
        family: "finch", or "lark", which has a different body and different marks and is meant for pretraining.
        mark_scale: size of the marks, 0.2 to 1.5; at 1 a mark is 6-10% of the picture's side.
        hide: probability that a mark cannot be seen: half of these marks are behind a leaf and half are worn off (a
            beak never is). A place without a mark is behind a leaf equally often.
        bird_scale: size of the birds, 0.2 to 1, as a share of their usual size; their marks and the look-alikes of
            the marks shrink with them, leaves and the ground do not.

    Attributes:
        classes: names of the K species.
        labels: the label of each picture.
        mark_names: the kinds of mark in which these species differ; only their boxes are in a `Sample`.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(
        self,
        split: str = "train",
        num_classes: int = 32,
        length: int = 2000,
        size: int = 224,
        seed: int = 0,
        family: str = "finch",
        mark_scale: float = 1.0,
        hide: float = 0.15,
        bird_scale: float = 1.0,
    ) -> None:
        _check("split", split, split in SPLITS, f"one of {', '.join(SPLITS)}")
        _check("family", family, family in ANATOMY, f"one of {', '.join(ANATOMY)}")
        _check("num_classes", num_classes, 2 <= num_classes <= MAX_CLASSES, f"a number from 2 to {MAX_CLASSES}")
        _check("length", length, length >= 1, "1 or more")
        _check("size", size, size >= 32, "32 pixels or more")
        _check("mark_scale", mark_scale, 0.2 <= mark_scale <= 1.5, "a number from 0.2 to 1.5")
        _check("hide", hide, 0 <= hide <= 1, "a share from 0 to 1")
        _check("bird_scale", bird_scale, 0.2 <= bird_scale <= 1, "a share from 0.2 to 1")
        self.split, self.size, self.seed, self.family = split, size, seed, family
        self.mark_scale, self.hide, self.bird_scale = mark_scale, hide, bird_scale
        self.codes = codes(family)[:num_classes]
        self.classes = tuple(f"{ADJECTIVES[i % 8]} {HABITATS[(i + i // 8) % 8]} {family}" for i in range(num_classes))
        self.labels: Sequence[int] = self._labels(length)
        columns = zip(ANATOMY[family].kinds, zip(*self.codes, strict=True), strict=True)
        self.mark_names = tuple(kind.name for kind, forms in columns if len(set(forms)) > 1)

    def _labels(self, length: int) -> list[int]:
        """Each block of K consecutive pictures shows every species once, in random order."""
        k = len(self.codes)
        blocks = (SeededRandom("labels", self.seed, self.split, self.family, k, i) for i in range(-(-length // k)))
        return [label for rng in blocks for label in rng.permutation(k)][:length]

    def __len__(self) -> int:
        return len(self.labels)

    def parameters(self, index: int) -> Parameters:
        """The parameters of picture `index`; only `forms` depends on its species.

        Raises:
            IndexError: there is no such picture.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"index {index} is not in this split of {len(self)} pictures; use 0 to {len(self) - 1}")
        name = (self.seed, self.split, self.family, index)
        rng, kinds = SeededRandom("bird", *name), ANATOMY[self.family].kinds
        plumage, pose = draw_plumage(rng), draw_pose(rng, self.family, self.bird_scale)
        paints = tuple(draw_mark_colour(rng, plumage[:3]) for _ in kinds)
        chances = [rng.uniform(0, 1) for _ in kinds]
        worn = [chance < self.hide / 2 and "" in kind.forms for chance, kind in zip(chances, kinds, strict=True)]
        hidden = tuple(chance < self.hide and not gone for chance, gone in zip(chances, worn, strict=True))
        occluders = [draw_occluder(rng, kind, pose, self.mark_scale) for kind in kinds]
        decoys = round(self.mark_scale * self.bird_scale, 4)
        near = draw_clutter(rng, self.family, paints, decoys)
        near.append(draw_perch(rng, self.family, pose, self.bird_scale))
        ground, light, far = draw_background(SeededRandom("backdrop", *name))
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
            near=tuple(near),
            front=(*draw_foreground(rng, self.family, pose), *compress(occluders, hidden)),
        )

    def __getitem__(self, index: int) -> Sample:
        p = self.parameters(index)
        return self.sample(index, p, self.draw(p))

    def draw(self, p: Parameters) -> torch.Tensor:
        """Draw parameters: (3, size, size) uint8."""
        return torch.from_numpy(np.array(render(p, self.size))).permute(2, 0, 1).contiguous()

    def sample(self, index: int, p: Parameters, image: torch.Tensor) -> Sample:
        """The sample of a picture that is already drawn."""
        boxes = mark_boxes(p, self.size)
        marks = torch.tensor([boxes.get(name, HIDDEN) for name in self.mark_names], dtype=torch.float32)
        return Sample(image, self.labels[index], f"{self.family}/{self.split}/{index}", marks.reshape(-1, 4))

    def plot(self, indices: Sequence[int] | None = None, marks: bool = True) -> Image.Image:
        """A contact sheet of pictures (the first 12 by default) with their species and the boxes of visible marks."""
        shown = list(range(min(12, len(self)))) if indices is None else list(indices)
        columns = min(4, max(1, len(shown)))
        side, rows = self.size + 4, -(-len(shown) // columns)
        sheet = Image.new("RGB", (columns * side, rows * (side + 14)), "white")
        draw = ImageDraw.Draw(sheet)
        for i, index in enumerate(shown):
            x, y, sample = i % columns * side, i // columns * (side + 14), self[index]
            sheet.paste(Image.fromarray(sample.image.permute(1, 2, 0).numpy()), (x, y + 14))
            draw.text((x + 1, y + 1), self.classes[sample.label], fill="black")
            for x0, y0, x1, y1 in sample.marks[~sample.marks.isnan().any(1)].tolist() if marks else ():
                draw.rectangle((x + x0, y + 14 + y0, x + x1, y + 14 + y1), outline="red")
        return sheet


def _check(name: str, value: object, good: bool, expected: str) -> None:
    if not good:
        raise ValueError(f"{name} is {value!r}, but must be {expected}")
