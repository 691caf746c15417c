"""From which probability on the main branch needs no parts, and what that saves."""

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from samples import make
from scapnet.metrics.skipping import PartsCost, parts_cost, sure_of, sure_threshold

TARGET = torch.zeros(10, dtype=torch.long)


def answers(right: list[bool], sure: list[float]) -> Tensor:
    """(n, 3) that give a probability to class 0 where they are right, and to class 1 where they are wrong."""
    probs = torch.zeros(len(right), 3)
    for row, good, p in zip(probs, right, sure, strict=True):
        row[:] = (1 - p) / 2
        row[0 if good else 1] = p
    return probs


SURE = [0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5]
ALL_RIGHT = answers([True] * 10, [0.9] * 10)


@pytest.mark.parametrize(
    ("wrong", "loss", "at_least"),
    [
        ((), 0.0, 0.5),  # parts are never missed
        ((7,), 0.0, 0.625),
        ((7,), 0.1, 0.5),  # one of ten is accepted
        ((3, 7), 0.1, 0.625),
        ((0,), 0.0, None),  # the surest photo is wrong without its parts
    ],
)
def test_the_threshold_is_the_lowest_that_loses_little(
    wrong: tuple[int, ...], loss: float, at_least: float | None
) -> None:
    main = answers([i not in wrong for i in range(10)], SURE)
    order = torch.randperm(10, generator=torch.Generator().manual_seed(1))
    found = sure_threshold(TARGET, main[order], ALL_RIGHT, loss)
    assert found == (None if at_least is None else pytest.approx(at_least))
    if found is not None:
        skip = main.amax(1) >= found
        accuracy = torch.where(skip, main.argmax(1) == 0, ALL_RIGHT.argmax(1) == 0).double().mean()
        assert accuracy >= 1 - loss - 1e-9


def test_a_loss_is_made_up_for_by_photos_that_the_parts_get_wrong() -> None:
    main = answers([True, False, True, *[False] * 7], SURE)
    probs = answers([True, True, False, *[True] * 7], [0.9] * 10)
    assert sure_threshold(TARGET, main, probs, 0.0) == pytest.approx(0.825)


@pytest.mark.parametrize(("share", "at_least"), [(0.0, 0.5), (0.1, 0.525), (0.25, 0.625), (0.9, 0.925), (1.0, None)])
def test_the_parts_of_a_share_are_looked_at_in_any_case(share: float, at_least: float | None) -> None:
    main = answers([True] * 10, SURE)
    found = sure_threshold(TARGET, main, ALL_RIGHT, 0.0, share)
    assert found == (None if at_least is None else pytest.approx(at_least))
    if found is not None:
        assert (main.amax(1) < found).double().mean() >= share


def test_what_a_part_of_the_full_cost_pays_for() -> None:
    cost = PartsCost(1.0, 4.5)
    assert cost.average(cost.affordable(0.4)) == pytest.approx(0.4)
    assert PartsCost(1.0, 2.0).affordable(0.4) == 0.0  # the main branch alone costs more
    assert PartsCost(1.0, 2.0).affordable(1.0) == 1.0
    assert PartsCost(1.0, 1.0).affordable(0.4) == 0.0


def test_equal_probabilities_skip_together() -> None:
    main = answers([True, True, False, *[True] * 7], [0.9, *[0.8] * 9])
    assert sure_threshold(TARGET, main, ALL_RIGHT, 0.0) == pytest.approx(0.85)


def test_whose_parts_a_network_looks_at() -> None:
    model = make()
    assert sure_of(model, "all") is None
    assert sure_of(model, "none") == 0.0
    assert sure_of(model, 0.7) == 0.7
    with pytest.raises(ValueError, match="has no threshold for skipping"):
        sure_of(model, "unsure")
    model.sure = 0.8
    assert sure_of(model, "unsure") == 0.8
    with pytest.raises(ValueError, match=r"parts for 1\.5"):
        sure_of(model, 1.5)
    plain = make(parts__enabled=False, relation__enabled=False)
    assert sure_of(plain, "all") is None
    with pytest.raises(ValueError, match="no parts that could be skipped"):
        sure_of(plain, "unsure")


def test_the_cost_is_that_of_the_photos_whose_parts_are_seen() -> None:
    assert PartsCost(1.0, 5.0).average(0.25) == 2.0 / 5.0
    model = make()
    cost = parts_cost(model)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 3, 64, 64))
    assert 2 * cost.full == counter.get_total_flops()
    size, part, count = model.view.size, model.part_size, model.config.parts.count
    assert cost.full / cost.main == pytest.approx(1 + count * (part / size) ** 2, rel=0.15)
    model.set_stage(1)  # without parts
    assert parts_cost(model) == (cost.main, cost.main)
    model.set_stage(2)
    assert parts_cost(model) == cost
