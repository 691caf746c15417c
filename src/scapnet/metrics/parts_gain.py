"""What the parts bring on some photos and what they cost, and which way of looking at them that speaks for.

n photos, K classes.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from scapnet.metrics.skipping import LOSS, PartsCost

Z95 = 1.959964  # half the width of a 95% interval, in standard deviations


class Gain(NamedTuple):
    """The accuracy with the parts less that of the main branch alone, on the same photos."""

    gain: float
    half: float  # half of its 95% interval
    fixed: int  # photos that only the parts get right
    broken: int  # photos that only the main branch gets right


class Advice(NamedTuple):
    """How to predict with a model."""

    parts: str  # "all", "unsure" or "none", as ``predict --parts`` takes them
    sentence: str


def parts_gain(target: Tensor, main: Tensor, probs: Tensor) -> Gain:
    """The gain by the parts.

    Args:
        target: (n,) labels.
        main: (n, K) the main branch's answers.
        probs: (n, K) the final answers.
    """
    both, alone = probs.argmax(1) == target, main.argmax(1) == target
    fixed, broken = int((both & ~alone).sum()), int((alone & ~both).sum())
    return Gain(*paired_gain(fixed, broken, len(target)), fixed, broken)


def paired_gain(fixed: int, broken: int, photos: int) -> tuple[float, float]:
    """The difference of two accuracies on the same photos, and half of its 95% interval.

    >>> paired_gain(8, 4, 100)[0]
    0.04

    Args:
        fixed: photos that only the first gets right.
        broken: photos that only the second gets right.
        photos: all of them.
    """
    gain = (fixed - broken) / photos
    variance = ((fixed + broken) / photos - gain**2) / photos
    return gain, Z95 * math.sqrt(max(variance, 0.0))


def advice(target: Tensor, main: Tensor, probs: Tensor, sure: float | None, cost: PartsCost) -> Advice:
    """What the parts brought and cost on held-out photos, and what to use.

    Parts that brought nothing are advised against; parts for unsure photos are advised where they lose at most 0.1
    points against the parts of all photos.

    Args:
        target: (n,) labels.
        main: (n, K) the main branch's answers.
        probs: (n, K) the final answers.
        sure: the model's threshold for skipping parts; None where it has none.
        cost: of an answer without and with the parts.
    """
    found = parts_gain(target, main, probs)
    top, answer = main.float().max(1)
    accuracy = float((probs.argmax(1) == target).double().mean())
    times = f"{cost.full / cost.main:.1f} times the multiply-adds"
    chance = "" if abs(found.gain) > found.half else ", which may be chance"
    sentence = f"the parts bring {100 * found.gain:+.1f} ± {100 * found.half:.1f} points{chance}, for {times}"
    if found.gain <= 0:
        return Advice("none", f"{sentence}: --parts none is as good here")
    if sure is not None:
        looked = top < sure
        adaptive = torch.where(looked, probs.argmax(1), answer)
        lost = accuracy - float((adaptive == target).double().mean())
        if lost <= LOSS + 1e-9 and not looked.all():
            part = cost.average(float(looked.double().mean())) * cost.full / cost.main
            words = f"{sentence}; for unsure photos only, {100 * (found.gain - lost):+.1f} points for {part:.1f} times"
            return Advice("unsure", f"{words}: --parts unsure is advised")
    return Advice("all", f"{sentence}: --parts all, the default, is advised")
