"""Scores by class against loops, and the threshold against trying every one."""

import pytest
import torch

from scapnet.metrics.per_class import (
    ClassScore,
    Confusion,
    class_scores,
    mean_per_class,
    most_confused,
    rejection_threshold,
)

NAMES = ("crow", "jay", "rook", "owl")
TARGET = torch.tensor([0, 0, 0, 0, 1, 1, 2, 2, 2])
ANSWER = torch.tensor([0, 2, 2, 1, 1, 1, 0, 0, 2])


def test_each_class_has_its_own_score() -> None:
    crow, jay, rook, owl = class_scores(TARGET, ANSWER, NAMES)
    assert crow == ClassScore("crow", 4, 1, 3, "rook", 2)
    assert crow.accuracy == 0.25
    assert crow.precision == pytest.approx(1 / 3)
    assert jay == ClassScore("jay", 2, 2, 3, "", 0)
    assert rook == ClassScore("rook", 3, 1, 3, "crow", 2)
    assert owl == ClassScore("owl", 0, 0, 0, "", 0)
    assert owl.accuracy is None
    assert owl.precision is None


def test_each_class_weighs_the_same_in_the_mean() -> None:
    assert mean_per_class(TARGET, ANSWER) == pytest.approx((1 / 4 + 1 + 1 / 3) / 3)
    many, few = torch.tensor([5] * 99 + [9]), torch.tensor([5] * 100)
    assert mean_per_class(many, few) == 0.5


def test_the_classes_that_are_confused_come_by_how_often() -> None:
    found = most_confused(TARGET, ANSWER, NAMES)
    assert found == [Confusion("crow", "rook", 2, 4), Confusion("rook", "crow", 2, 3), Confusion("crow", "jay", 1, 4)]
    assert most_confused(TARGET, ANSWER, NAMES, 1) == found[:1]
    assert most_confused(TARGET, TARGET, NAMES) == []


def slow_threshold(target: torch.Tensor, probs: torch.Tensor, precision: float) -> float | None:
    """Try every probability that occurs, from the smallest on."""
    for t in sorted(probs.max(1).values.tolist()):
        chosen = [i for i in range(len(target)) if float(probs[i].max()) >= t]
        if sum(int(probs[i].argmax()) == int(target[i]) for i in chosen) >= precision * len(chosen):
            return float(t)
    return None


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("precision", [0.5, 0.8, 0.95])
def test_the_threshold_is_the_smallest_that_is_right_often_enough(seed: int, precision: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    probs = (3 * torch.randn(40, 3, generator=generator)).softmax(1)
    probs = (probs * 8).round().clamp(min=1)  # many answers of the same probability
    probs = probs / probs.sum(1, keepdim=True)
    target = torch.where(torch.rand(40, generator=generator) < 0.7, probs.argmax(1), 0)
    assert rejection_threshold(target, probs, precision) == slow_threshold(target, probs, precision)


def test_there_is_no_threshold_if_the_most_confident_answer_is_wrong() -> None:
    probs = torch.tensor([[0.9, 0.1], [0.6, 0.4]])
    assert rejection_threshold(torch.tensor([1, 0]), probs) is None
    assert rejection_threshold(torch.tensor([0, 1]), probs) == pytest.approx(0.9)
    assert rejection_threshold(torch.tensor([0, 0]), probs) == pytest.approx(0.6)
    assert rejection_threshold(torch.zeros(0), torch.zeros(0, 2)) is None
