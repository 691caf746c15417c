"""Paired differences against sums by hand and Student's t against the integral of its density."""

import math

import pytest

from scapnet.experiments.stats import difference, spread


def below(point: float, freedom: int, steps: int = 400) -> float:
    """Share of Student's t below a positive point: half, and the integral of its density from 0 by Simpson's rule."""
    scale = math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2) - math.log(freedom * math.pi) / 2
    total = 0.0
    for i in range(steps + 1):
        x = point * i / steps
        weight = 1 if i in (0, steps) else 4 if i % 2 else 2
        total += weight * math.exp(scale - (freedom + 1) / 2 * math.log1p(x * x / freedom))
    return 0.5 + total * point / steps / 3


@pytest.mark.parametrize("count", [2, 3, 5, 31, 200])
def test_an_interval_of_95_percent(count: int) -> None:
    ours, theirs = [88.1 + (7 * i) % 5 for i in range(count)], [87.0 + (3 * i) % 4 for i in range(count)]
    gap = difference(ours, theirs)
    mean = squares = 0.0
    for a, b in zip(ours, theirs, strict=True):
        mean += (a - b) / count
    for a, b in zip(ours, theirs, strict=True):
        squares += (a - b - mean) ** 2
    error = math.sqrt(squares / (count - 1)) / math.sqrt(count)
    assert gap.mean == pytest.approx(mean)
    assert gap.n == count
    assert gap.high - gap.mean == pytest.approx(gap.mean - gap.low)
    assert below((gap.high - gap.mean) / error, count - 1) == pytest.approx(0.975, abs=1e-4)
    back = difference(theirs, ours)
    assert (back.mean, back.low, back.high) == pytest.approx((-gap.mean, -gap.high, -gap.low))


def test_one_pair_has_no_interval_and_equal_gaps_have_none_between_them() -> None:
    gap = difference([2.0], [1.0])
    assert (gap.mean, gap.n) == (1.0, 1)
    assert math.isnan(gap.low)
    assert math.isnan(gap.high)
    assert difference([1.0, 1.0, 1.0], [0.0, 0.0, 0.0])[:3] == (1.0, 1.0, 1.0)


@pytest.mark.parametrize(("ours", "theirs"), [([], []), ([1.0], []), ([1.0, 2.0], [1.0])])
def test_values_without_a_partner_are_refused(ours: list[float], theirs: list[float]) -> None:
    with pytest.raises(ValueError, match="cannot be paired"):
        difference(ours, theirs)


def test_a_single_value_has_no_spread() -> None:
    assert math.isnan(spread([3.0]))
    assert spread([1.0, 3.0]) == pytest.approx(math.sqrt(2))
