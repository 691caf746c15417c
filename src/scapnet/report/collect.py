"""The figures of a report, as plain data.

n photos, K classes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from scipy.stats import binomtest
from torch import Tensor

from scapnet.metrics.parts_gain import Z95
from scapnet.metrics.per_class import class_scores, mean_per_class
from scapnet.report.answered import Answered


@dataclass(frozen=True)
class Score:
    """A share with its 95% interval."""

    name: str
    value: float
    low: float
    high: float
    note: str = ""


@dataclass(frozen=True)
class ClassRow:
    """How one class fared."""

    number: int
    name: str
    images: int
    right: int
    main: float | None  # accuracy of the main branch alone; None without photos of the class
    parts: float | None
    precision: float | None
    mistaken_for: str
    mistaken: int

    @property
    def accuracy(self) -> float | None:
        """The share of its photos that were answered right; None without photos."""
        return self.right / self.images if self.images else None


def share(name: str, right: int, of: int, note: str = "") -> Score:
    """A share of photos, with Wilson's interval.

    >>> one = share("accuracy", 8, 10)
    >>> round(one.low, 3), round(one.high, 3)
    (0.49, 0.943)
    """
    interval = binomtest(right, of).proportion_ci(0.95, "wilson")
    return Score(name, right / of, float(interval.low), float(interval.high), note)


def mean_class_accuracy(target: Tensor, predicted: Tensor) -> Score:
    """The mean of the classes' accuracies, with the normal interval of a mean of independent shares.

    A class whose few photos are all right or all wrong would have no variance; for the variance, one more photo that is
    right and one that is wrong are counted (Agresti and Coull, 1998).

    Args:
        target: (n,) labels.
        predicted: (n,) answers.
    """
    images = target.bincount().double()
    right = target[target == predicted].bincount(minlength=len(images)).double()[images > 0]
    images = images[images > 0]
    smooth = (right + 1) / (images + 2)
    half = Z95 * math.sqrt(float((smooth * (1 - smooth) / images).sum())) / len(images)
    value = mean_per_class(target, predicted)
    return Score("mean per class", value, max(0.0, value - half), min(1.0, value + half), "each class weighs the same")


def scores(found: Answered) -> list[Score]:
    """The accuracies of both branches together and of each, and the mean per class."""
    of = len(found.target)

    def accuracy(name: str, probs: Tensor, note: str) -> Score:
        return share(name, int((probs.argmax(1) == found.target).sum()), of, note)

    if found.parts is None:
        rows = [accuracy("accuracy", found.probs, f"{of:,} photos")]
    else:
        rows = [
            accuracy("both together", found.probs, "the answer that is given"),
            accuracy("main branch", found.main, "the whole picture alone"),
            accuracy("parts", found.parts, "the parts alone"),
        ]
    return [*rows, mean_class_accuracy(found.target, found.predicted)]


def class_rows(found: Answered, classes: Sequence[str]) -> list[ClassRow]:
    """The score of each class that has photos or was an answer, the lowest accuracy first."""
    main = _accuracies(found.target, found.main, len(classes))
    parts = [None] * len(classes) if found.parts is None else _accuracies(found.target, found.parts, len(classes))
    rows = [
        ClassRow(k, row.name, row.images, row.right, main[k], parts[k], row.precision, row.mistaken_for, row.mistaken)
        for k, row in enumerate(class_scores(found.target, found.predicted, classes))
        if row.images or row.answers
    ]
    return sorted(rows, key=lambda row: (row.accuracy is None, row.accuracy or 0.0, -row.images))


def _accuracies(target: Tensor, probs: Tensor, classes: int) -> list[float | None]:
    images = target.bincount(minlength=classes)
    right = target[probs.argmax(1) == target].bincount(minlength=classes)
    return [float(r) / float(n) if n else None for r, n in zip(right, images, strict=True)]


def photos_to_show(found: Answered, first: Sequence[int], most: int) -> list[int]:
    """Rows of the photos to show: those that are needed, the mistakes, surest first, and right ones of all classes.

    Args:
        found: the answers.
        first: rows that are needed elsewhere in the report.
        most: how many photos at most.
    """
    rows = torch.arange(len(found.target))
    wrong = rows[~found.right]
    surest = wrong[found.confidence[wrong].argsort(descending=True, stable=True)].tolist()
    right = spread_over_classes(found.target, rows[found.right])
    chosen = dict.fromkeys([*first, *surest[: max(1, most // 2)]])
    chosen |= dict.fromkeys([*right, *surest])
    return list(chosen)[:most]


def spread_over_classes(target: Tensor, rows: Tensor) -> list[int]:
    """Rows in turns, the first of every class, then the second of every class and so on."""
    seen: dict[int, int] = {}
    turns = []
    for row in rows.tolist():
        label = int(target[row])
        seen[label] = seen.get(label, 0) + 1
        turns.append((seen[label], row))
    return [row for _, row in sorted(turns)]
