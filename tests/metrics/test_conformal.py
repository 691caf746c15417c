"""Prediction sets: the quantile against a loop, and the coverage that they promise."""

import math

import pytest
import torch
from torch import Tensor

from scapnet.metrics.conformal import aps_scores, lac_scores, prediction_sets, quantile


def drawn(seed: int, n: int, classes: int = 6) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(n, classes, generator=generator) * 2
    target = torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]
    return target, (1.5 * logits).softmax(1)


def test_the_quantile_is_the_order_statistic() -> None:
    scores = [0.5, 0.1, 0.9, 0.3, 0.7, 0.2, 0.4, 0.6, 0.8]
    for error, rank in [(0.1, 9), (0.2, 8), (0.5, 5), (0.9, 1), (0.95, 1)]:
        assert quantile(scores, error) == sorted(scores)[rank - 1]
    assert quantile(scores, 0.05) == math.inf  # 9 samples cannot promise 95%
    assert quantile([], 0.1) == math.inf
    for error in (0.0, 1.0, -1):
        with pytest.raises(ValueError, match="must lie between 0 and 1"):
            quantile(scores, error)


def test_aps_scores_are_the_loop() -> None:
    _, probs = drawn(0, 20)
    found = aps_scores(probs)
    for row, mine in zip(probs.tolist(), found.tolist(), strict=True):
        for k, p in enumerate(row):
            assert mine[k] == pytest.approx(sum(other for other in row if other >= p))


@pytest.mark.parametrize("scores", [lac_scores, aps_scores])
@pytest.mark.parametrize("error", [0.05, 0.2])
def test_sets_cover_as_often_as_they_promise(scores: object, error: float) -> None:
    """Over 200 calibrations of 99 samples; the mean coverage of exact sets is (n + 1 - ...) / (n + 1) = 1 - error."""
    assert callable(scores)
    covered = []
    for seed in range(200):
        target, probs = drawn(seed, 199)
        found = scores(probs)
        q = quantile(found[:99].gather(1, target[:99, None])[:, 0], error)
        sets = prediction_sets(found[99:], q)
        covered.append(float(sets.gather(1, target[99:, None]).double().mean()))
        assert bool(sets.gather(1, probs[99:].argmax(1, keepdim=True)).all())
    mean = sum(covered) / len(covered)
    assert 1 - error - 0.01 < mean
    if scores is lac_scores and error == 0.05:  # no larger than need be
        assert mean < 1 - error + 0.01


def test_sets_grow_as_errors_shrink() -> None:
    target, probs = drawn(1, 500)
    scores = lac_scores(probs)
    mine = scores.gather(1, target[:, None])[:, 0]
    sizes = [float(prediction_sets(scores, quantile(mine, e)).sum(1).double().mean()) for e in (0.3, 0.1, 0.02, 0.001)]
    assert sizes == sorted(sizes)
    assert sizes[0] >= 1
    assert sizes[-1] == 6
