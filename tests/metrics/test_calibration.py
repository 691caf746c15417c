"""Calibration against loops, and the temperature against trying many."""

import pytest
import torch
from torch import Tensor

from scapnet.metrics.calibration import calibration_error, fit_temperature, reliability, tempered


def sure(seed: int, n: int = 400, classes: int = 5, scale: float = 3.0) -> tuple[Tensor, Tensor]:
    """Labels drawn from softmax(z), and answers softmax(scale * z) that are too sure."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(n, classes, generator=generator).double() * 2
    target = torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]
    return target, (scale * logits).softmax(1)


def test_the_error_is_the_loop() -> None:
    target, probs = sure(0)
    probs = probs.float()
    probs[0] = torch.tensor([1.0, 0, 0, 0, 0])  # the edges of bins belong to the lower one
    probs[1] = torch.tensor([0.2, 0.2, 0.2, 0.2, 0.2])
    expected = 0.0
    for b in range(15):
        inside = [i for i in range(len(target)) if b / 15 < float(probs[i].max()) <= (b + 1) / 15]
        if inside:
            right = sum(int(probs[i].argmax() == target[i]) for i in inside) / len(inside)
            expected += (
                len(inside) / len(target) * abs(right - sum(float(probs[i].max()) for i in inside) / len(inside))
            )
        assert reliability(target, probs)[b].images == len(inside)
    assert calibration_error(target, probs) == pytest.approx(expected)
    assert expected > 0.1


def test_the_temperature_has_the_smallest_loss_and_calibrates() -> None:
    target, probs = sure(1, 4000)

    def loss(temperature: float) -> float:
        return float(-tempered(probs, temperature).gather(1, target[:, None]).log().mean())

    found = fit_temperature(target, probs)
    assert found == pytest.approx(3.0, rel=0.1)
    assert loss(found) <= min(loss(found * factor) for factor in (0.5, 0.9, 0.99, 1.01, 1.1, 2))
    assert calibration_error(target, tempered(probs, found)) < 0.03 < calibration_error(target, probs)
    assert torch.equal(tempered(probs, found).argmax(1), probs.argmax(1))
    assert torch.allclose(tempered(probs, 1.0), probs)


def test_a_temperature_of_perfect_or_hopeless_answers_is_finite() -> None:
    probs = torch.eye(3)
    assert fit_temperature(torch.arange(3), probs) == pytest.approx(0.05, rel=0.01)
    assert fit_temperature((torch.arange(3) + 1) % 3, probs) == pytest.approx(20, rel=0.01)
    assert bool(tempered(probs, 0.05).isfinite().all())
