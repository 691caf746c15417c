"""Accuracy per class, confusions between classes, and the threshold below which to answer "none of these".

n samples, K classes.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class ClassScore(NamedTuple):
    """The score of one class."""

    name: str
    images: int  # of the class
    right: int  # correctly classified ones
    answers: int  # images of any class that were given this name
    mistaken_for: str  # the other class that its images were given most often; "" if none
    mistaken: int  # how often

    @property
    def accuracy(self) -> float | None:
        """The share of its images that were given its name (recall); None without images."""
        return self.right / self.images if self.images else None

    @property
    def precision(self) -> float | None:
        """The share of the images with its name that are of the class; None if the name was never given."""
        return self.right / self.answers if self.answers else None


class Confusion(NamedTuple):
    """Images of one class that were given the name of another."""

    name: str
    answer: str
    times: int
    images: int  # of the class


def _pairs(target: Tensor, predicted: Tensor) -> Counter[tuple[int, int]]:
    """How often each pair of class and answer occurs; most of the K x K pairs do not."""
    return Counter(zip(target.tolist(), predicted.tolist(), strict=True))


def mean_per_class(target: Tensor, predicted: Tensor) -> float:
    """The mean accuracy of the classes that have images, each with the same weight.

    Args:
        target: (n,) labels.
        predicted: (n,) answers.
    """
    images = target.bincount().double()
    right = target[target == predicted].bincount(minlength=len(images)).double()
    return float((right / images)[images > 0].mean())


def class_scores(target: Tensor, predicted: Tensor, classes: Sequence[str]) -> list[ClassScore]:
    """The score of each of K classes, in their order.

    Args:
        target: (n,) labels.
        predicted: (n,) answers.
        classes: K names.
    """
    images, answers = Counter(target.tolist()), Counter(predicted.tolist())
    pairs = _pairs(target, predicted)
    mistakes: dict[int, tuple[int, int]] = {}
    for (label, answer), times in sorted(pairs.items()):
        if label != answer and times > mistakes.get(label, (0, 0))[0]:
            mistakes[label] = times, answer
    found = []
    for k, name in enumerate(classes):
        times, answer = mistakes.get(k, (0, -1))
        found.append(
            ClassScore(name, images[k], pairs[k, k], answers[k], classes[answer] if answer >= 0 else "", times)
        )
    return found


def most_confused(target: Tensor, predicted: Tensor, classes: Sequence[str], most: int = 5) -> list[Confusion]:
    """The most frequent pairs of a class and a wrong answer, most frequent first."""
    images = Counter(target.tolist())
    wrong = [(-times, *pair) for pair, times in _pairs(target, predicted).items() if pair[0] != pair[1]]
    return [Confusion(classes[k], classes[j], -times, images[k]) for times, k, j in sorted(wrong)[:most]]


def rejection_threshold(target: Tensor, probs: Tensor, precision: float = 0.95) -> float | None:
    """The smallest probability t such that answers with a probability of at least t are correct often enough.

    Below it, "none of these" is the better answer.

    Args:
        target: (n,) labels.
        probs: (n, K) each row sums to 1; the answer is its largest entry.
        precision: the share of the answers at or above t that must be correct.

    Returns:
        t, or None if even the most confident answers are wrong too often.
    """
    predicted = probs.argmax(1)
    top = probs.float().gather(1, predicted[:, None])[:, 0]
    top, order = top.sort(descending=True)
    right = (predicted == target)[order].double().cumsum(0) / torch.arange(1, len(top) + 1)
    # Answers with equal probabilities are on the same side of the threshold.
    whole = torch.cat([top[:-1] != top[1:], top.new_ones(min(1, len(top)), dtype=torch.bool)])
    good = top[whole & (right >= precision)]
    return float(good[-1]) if len(good) else None
