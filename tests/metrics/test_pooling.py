"""The weights of both branches: the likeliest ones, by a search without derivatives, and what few photos may decide."""

import pytest
import torch
from torch import Tensor

from scapnet.metrics.pooling import MOST, pool_weights


def noisy(target: Tensor, strength: float, seed: int, classes: int = 6) -> Tensor:
    """Answers (n, K) whose logits point at the label as strongly as said, with noise around them."""
    logits = torch.randn(len(target), classes, generator=torch.Generator().manual_seed(seed))
    return (2 * logits + strength * torch.nn.functional.one_hot(target, classes)).softmax(1)


def labels(count: int) -> Tensor:
    return torch.randint(0, 6, (count,), generator=torch.Generator().manual_seed(9))


def loss(target: Tensor, main: Tensor, parts: Tensor, a: float, b: float) -> float:
    """What the weights minimise, photo by photo."""
    total = (a - 0.5) ** 2 + (b - 0.5) ** 2
    for label, one, other in zip(target.tolist(), main.double(), parts.double(), strict=True):
        powers = one**a * other**b
        total -= float((powers[label] / powers.sum()).log())
    return total


def test_no_other_weights_are_likelier() -> None:
    target = labels(60)
    main, parts = noisy(target, 2.0, 1), noisy(target, 4.0, 2)
    found = pool_weights(target, main, parts)
    assert found is not None
    best = loss(target, main, parts, *found)
    for step in (0.3, 0.05, 0.01):
        for a, b in ((step, 0), (-step, 0), (0, step), (0, -step), (step, -step), (-step, step)):
            assert loss(target, main, parts, max(0.0, found[0] + a), max(0.0, found[1] + b)) >= best - 1e-6


def test_the_better_branch_counts_more_and_noise_counts_nothing() -> None:
    target = labels(600)
    weights = pool_weights(target, noisy(target, 0.0, 1), noisy(target, 4.0, 2))
    assert weights is not None
    assert weights[0] < 0.1
    assert weights[1] > 0.5
    turned = pool_weights(target, noisy(target, 4.0, 2), noisy(target, 0.0, 1))
    assert turned == pytest.approx(weights[::-1], abs=1e-3)


def test_a_few_photos_that_are_all_right_do_not_ask_for_certainty() -> None:
    target = labels(8)
    sure = noisy(target, 30.0, 1)
    weights = pool_weights(target, sure, sure)
    assert weights is None or max(weights) < 2 < MOST


def test_the_mean_stays_where_it_is_likelier() -> None:
    """Each branch is certain and right about its own half: a product has no answer where one of them is 0."""
    target = labels(40)
    wrong = torch.nn.functional.one_hot((target + 1) % 6, 6).double()
    right = torch.nn.functional.one_hot(target, 6).double()
    first = torch.arange(40)[:, None] < 20
    assert pool_weights(target, torch.where(first, right, wrong), torch.where(first, wrong, right)) is None
