"""Means, spreads and intervals of paired differences. n runs or pictures."""

import math
from collections.abc import Sequence
from statistics import fmean, stdev
from typing import NamedTuple

# 97.5% points of Student's t for 1 to 30 degrees of freedom: scipy.stats.t.ppf(0.975, range(1, 31)).round(3)
STUDENT = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131),
    *(2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)


class Difference(NamedTuple):
    """A paired difference and the 95% interval of its mean; NaN ends where one pair gives none."""

    mean: float
    low: float
    high: float
    n: int


def spread(values: Sequence[float]) -> float:
    """Standard deviation of a sample; NaN of a single value."""
    return stdev(values) if len(values) > 1 else math.nan


def student(freedom: int) -> float:
    """97.5% point of Student's t."""
    return STUDENT[freedom - 1] if freedom <= len(STUDENT) else 1.96 + 2.5 / freedom


def difference(ours: Sequence[float], theirs: Sequence[float]) -> Difference:
    """Mean of paired differences with the 95% interval of Student's t.

    Raises:
        ValueError: nothing to compare, or values without a partner.
    """
    if len(ours) != len(theirs) or not ours:
        raise ValueError(f"{len(ours)} and {len(theirs)} values are no pairs")
    gaps = [a - b for a, b in zip(ours, theirs, strict=True)]
    mean = fmean(gaps)
    if len(gaps) == 1:
        return Difference(mean, math.nan, math.nan, 1)
    half = student(len(gaps) - 1) * stdev(gaps) / math.sqrt(len(gaps))
    return Difference(mean, mean - half, mean + half, len(gaps))
