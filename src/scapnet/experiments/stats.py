"""Means, standard deviations and confidence intervals of paired differences."""

import math
from collections.abc import Sequence
from statistics import fmean, stdev
from typing import NamedTuple

from scipy.stats import sem, t


class Difference(NamedTuple):
    """Mean of n paired differences with its 95% confidence interval, whose ends are NaN if n is 1."""

    mean: float
    low: float
    high: float
    n: int


def spread(values: Sequence[float]) -> float:
    """Standard deviation of a sample; NaN of a single value."""
    return stdev(values) if len(values) > 1 else math.nan


def difference(ours: Sequence[float], theirs: Sequence[float]) -> Difference:
    """Mean of ours - theirs, pair by pair, with the 95% interval of Student's t.

    Raises:
        ValueError: there are no values, or not as many of both.
    """
    if len(ours) != len(theirs) or not ours:
        raise ValueError(f"{len(ours)} and {len(theirs)} values cannot be paired")
    gaps = [a - b for a, b in zip(ours, theirs, strict=True)]
    mean = fmean(gaps)
    if len(gaps) == 1:
        return Difference(mean, math.nan, math.nan, 1)
    half = float(t.ppf(0.975, len(gaps) - 1) * sem(gaps))
    return Difference(mean, mean - half, mean + half, len(gaps))
