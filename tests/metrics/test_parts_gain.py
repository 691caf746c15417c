"""What the parts bring, and the advice that follows."""

import pytest
import torch
from torch import Tensor

from scapnet.metrics.parts_gain import advice, parts_gain
from scapnet.metrics.skipping import PartsCost

COUNT = 200
TARGET = torch.zeros(COUNT, dtype=torch.long)
COST = PartsCost(1.0, 4.0)


def answers(wrong: set[int]) -> Tensor:
    """(n, 2), the first photos the least sure."""
    top = torch.linspace(0.6, 0.99, COUNT)
    probs = torch.stack([top, 1 - top], 1)
    rows = sorted(wrong)
    probs[rows] = probs[rows].flip(1)
    return probs


def test_the_gain_is_of_the_photos_that_differ() -> None:
    found = parts_gain(TARGET, answers({1, 2, 3, 9}), answers({9, 50}))
    assert (found.fixed, found.broken) == (3, 1)
    assert found.gain == pytest.approx(0.01)
    differences = torch.tensor([1.0] * 3 + [-1.0] + [0.0] * (COUNT - 4))
    assert found.half == pytest.approx(1.959964 * float(differences.std(correction=0)) / COUNT**0.5, abs=1e-6)


@pytest.mark.parametrize(
    ("main", "both", "sure", "parts"),
    [
        ({1, 2}, {1, 2, 3}, 0.7, "none"),
        ({1, 2}, {1, 2}, None, "none"),
        ({1, 2, 3}, set(), 0.7, "unsure"),  # what the parts bring is below the threshold
        ({1, 2, 190}, set(), 0.7, "all"),  # one photo of 200 is lost, more than 0.1 points
        ({1, 2, 190}, set(), 1.1, "all"),  # "unsure" would look at all
        ({1, 2, 3}, set(), None, "all"),
    ],
)
def test_the_advice_is_what_loses_nothing(main: set[int], both: set[int], sure: float | None, parts: str) -> None:
    told = advice(TARGET, answers(main), answers(both), sure, COST)
    assert told.parts == parts
    assert f"--parts {parts}" in told.sentence
    assert "4.0 times" in told.sentence


def test_the_sentence_says_what_chance_can_do() -> None:
    told = advice(TARGET, answers({1, 2}), answers({1}), None, COST)
    assert "+0.5 ± 1.0 points, which may be chance" in told.sentence
    told = advice(TARGET, answers(set(range(20))), answers(set()), 0.7, COST)
    assert "+10.0 ± 4.2 points, for" in told.sentence
    looked = float((answers(set()).amax(1) < 0.7).double().mean())
    assert f"+10.0 points for {1 + 3 * looked:.1f} times" in told.sentence
