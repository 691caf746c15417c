"""Figures of calibrated answers, against loops, and halves of a split that know nothing of each other."""

import math

import pytest
import torch

from scapnet.metrics.calibration import calibration_error, tempered
from scapnet.metrics.coverage import Held, calibrate, calibrated_scores
from scapnet.metrics.unknowns import evidence, known_score


def drawn(seed: int, n: int) -> Held:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(n, 4, generator=generator) * 2
    target = torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]
    probs, parts = (2 * logits).softmax(1), logits[:, None] + torch.randn(n, 3, 4, generator=generator)
    return Held(target, probs, evidence(probs, parts), evidence(probs, parts, hidden=target))


def test_a_calibration_is_of_its_own_photos() -> None:
    held = drawn(0, 50)
    found = calibrate(held)
    assert found.images == 50
    expected = sorted(1 - float(p[k]) for p, k in zip(held.probs, held.target, strict=True))
    assert list(found.conformity) == pytest.approx(expected)
    assert list(found.known) == pytest.approx(sorted(known_score(held.shown, found.weights).tolist()))


def test_the_figures_are_the_loop() -> None:
    before, held = calibrate(drawn(1, 99)), drawn(2, 60)
    parents = ("x", "x", "y", "")
    found = calibrated_scores(held, before, parents, 0.2)
    q = before.conformity[math.ceil(100 * 0.8) - 1]
    sets = [[k for k, p in enumerate(row) if 1 - p <= q or p == max(row)] for row in held.probs.tolist()]
    labels = held.target.tolist()
    assert found["set_coverage"] == pytest.approx(sum(k in s for k, s in zip(labels, sets, strict=True)) / 60)
    assert found["set_size"] == pytest.approx(sum(map(len, sets)) / 60)
    assert found["set_single"] == pytest.approx(sum(len(s) == 1 for s in sets) / 60)
    backed = [i for i, s in enumerate(sets) if s == [0, 1]]
    assert backed
    assert found["set_parent"] == pytest.approx(len(backed) / 60)
    assert found["set_parent_right"] == pytest.approx(sum(labels[i] in (0, 1) for i in backed) / len(backed))
    scores = known_score(held.shown, before.weights).tolist()
    low = sum((1 + sum(k <= s for k in before.known)) / 100 <= 0.05 for s in scores)
    assert found["false_alarms"] == pytest.approx(low / 60)
    assert found["calibration_error"] == calibration_error(held.target, held.probs)
    hot = tempered(held.probs, before.temperature)
    assert found["calibration_error_tempered"] == calibration_error(held.target, hot)
    assert found["calibration_error_tempered"] < found["calibration_error"]
    assert "set_parent" not in calibrated_scores(held, before)


def test_a_split_alone_is_scored_half_by_half() -> None:
    held = drawn(3, 200)
    found = calibrated_scores(held, None)
    even = torch.arange(0, 200, 2)
    halves = [
        calibrated_scores(held.some(mine), calibrate(held.some(other)))
        for mine, other in ((even, even + 1), (even + 1, even))
    ]
    for key in ("set_coverage", "set_size", "false_alarms"):
        assert found[key] == pytest.approx(sum(half[key] for half in halves) / 2)
    assert calibrated_scores(held.some(even[:1]), None) == {}
