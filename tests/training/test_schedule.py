"""What changes over the epochs."""

from dataclasses import replace

import pytest

from samples import TINY
from scapnet.config import LossConfig, TrainConfig
from scapnet.training.schedule import activation_weight, last_phase_start, learning_rate, phase_of, stage_of


def test_learning_rate_and_activation_weight_are_functions_of_the_epoch() -> None:
    step = TrainConfig(lr=0.01, schedule="step")
    assert [round(learning_rate(step, e), 6) for e in (0, 9.99, 10, 20)] == [0.01, 0.01, 0.003, 0.0009]
    cosine = TrainConfig(epochs=11, lr=1.0, schedule="cosine", warmup_epochs=1)
    assert learning_rate(cosine, 0.5) == pytest.approx(0.5)
    assert learning_rate(cosine, 6) == pytest.approx(0.5)
    assert learning_rate(cosine, 11) == pytest.approx(0.0)
    ramp = LossConfig(act=2.0, act_ramp=(2.0, 4.0))
    assert [activation_weight(ramp, e) for e in (0, 2, 3, 4, 9)] == [0.0, 0.0, 1.0, 2.0, 2.0]
    assert activation_weight(LossConfig(), 0) == 1.0
    assert [stage_of(TINY, epoch) for epoch in (0, 1, 2)] == [1, 2, 2]


@pytest.mark.parametrize(
    ("freeze", "phases", "last"),
    [
        (0, [(1, False), (2, False), (2, False)], 1),
        (1, [(1, True), (2, False), (2, False)], 1),
        (2, [(1, True), (2, True), (2, False)], 2),
        (-1, [(1, True), (2, True), (2, True)], 1),
    ],
)
def test_phases(freeze: int, phases: list[tuple[int, bool]], last: int) -> None:
    config = replace(TINY, train=replace(TINY.train, freeze=freeze))
    assert [phase_of(config, epoch) for epoch in range(3)] == phases
    assert last_phase_start(config) == last
