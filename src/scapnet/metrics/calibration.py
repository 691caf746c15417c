"""How far probabilities can be believed: expected calibration error, reliability bins and temperature scaling.

n samples, K classes.
"""

from typing import NamedTuple

import torch
from torch import Tensor

COLDEST, HOTTEST = 0.05, 20.0  # temperatures that are tried


class ReliabilityBin(NamedTuple):
    """The answers whose probability lies in (low, high]."""

    low: float
    high: float
    images: int
    confidence: float | None  # their mean probability; None without images
    accuracy: float | None  # the share of them that is right


def reliability(target: Tensor, probs: Tensor, bins: int = 15) -> list[ReliabilityBin]:
    """What a reliability diagram shows: mean probability and accuracy of the answers in bins of equal width.

    Args:
        target: (n,) labels.
        probs: (n, K) each row sums to 1; the answer is its largest entry.
        bins: how many.
    """
    confidence, answer = probs.double().max(1)
    right = (answer == target).double()
    place = (confidence * bins).ceil().long().clamp(1, bins) - 1
    images = place.bincount(minlength=bins)
    sums = [place.bincount(values, minlength=bins) for values in (confidence, right)]
    found = []
    for b, count in enumerate(images.tolist()):
        means = [float(one[b]) / count for one in sums] if count else [None, None]
        found.append(ReliabilityBin(b / bins, (b + 1) / bins, count, means[0], means[1]))
    return found


def calibration_error(target: Tensor, probs: Tensor, bins: int = 15) -> float:
    """The expected calibration error, ECE = sum_b n_b / n |accuracy_b - confidence_b| (Guo et al., ICML 2017).

    Args:
        target: (n,) labels.
        probs: (n, K) each row sums to 1.
        bins: of equal width, as in `reliability`.
    """
    gaps = (
        one.images * abs(one.accuracy - one.confidence)
        for one in reliability(target, probs, bins)
        if one.accuracy is not None and one.confidence is not None
    )
    return sum(gaps) / len(target)


def tempered(probs: Tensor, temperature: float) -> Tensor:
    """Probabilities (n, K) at a temperature T: p^(1/T), each row divided by its sum. The order of the classes stays.

    For one softmax this divides its logits by T; the answer of two branches is a mean of two, which has no logits.

    Args:
        probs: (n, K).
        temperature: T, above 1 for answers that were too sure.
    """
    logs = probs.double().clamp(min=torch.finfo(torch.float32).tiny).log()
    return (logs / temperature).softmax(1)


def fit_temperature(target: Tensor, probs: Tensor) -> float:
    """The temperature with the smallest negative log-likelihood of the labels (Guo et al., ICML 2017).

    Args:
        target: (n,) labels of photos that training did not see.
        probs: (n, K) each row sums to 1.

    Returns:
        T in [0.05, 20].
    """
    logs = probs.double().clamp(min=torch.finfo(torch.float32).tiny).log()

    def slope(inverse: float) -> float:
        """The derivative of the mean negative log-likelihood by 1/T, in which it is convex."""
        expected = ((logs * inverse).softmax(1) * logs).sum(1)
        return float((expected - logs.gather(1, target[:, None])[:, 0]).mean())

    low, high = 1 / HOTTEST, 1 / COLDEST
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if slope(middle) > 0 else (middle, high)
    return 2 / (low + high)
