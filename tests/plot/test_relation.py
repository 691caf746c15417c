"""Arrows between parts."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from scapnet.plot import draw_relation
from scapnet.plot.relation import _apart

BLACK = Image.new("RGB", (400, 400))
BOXES = [[20, 20, 120, 120], [280, 20, 380, 120], [150, 260, 250, 360]]
ALONE = torch.eye(3)


def difference(one: Image.Image, other: Image.Image) -> Any:
    return (np.array(one) != np.array(other)).any(-1)


def test_an_arrow_joins_its_two_parts_and_grows_with_its_weight() -> None:
    alone, areas = draw_relation(BLACK, BOXES, ALONE), []
    for weight in (0.4, 0.6, 0.9):
        weights = torch.eye(3)
        weights[1] = torch.tensor([weight, 1 - weight, 0.0])  # the second takes from the first
        changed = difference(alone, draw_relation(BLACK, BOXES, weights))
        assert not changed[160:].any()  # the third has no part in it
        assert changed[40:110, 190:210].any()
        areas.append(int(changed[:, 150:250].sum()))
    assert areas == sorted(set(areas))


def test_there_and_back_are_two_arrows() -> None:
    there, back, both = torch.eye(3), torch.eye(3), torch.eye(3)
    there[1, 0] = back[0, 1] = both[0, 1] = both[1, 0] = 0.8
    alone = draw_relation(BLACK, BOXES, ALONE)
    one, two, all_ = (difference(alone, draw_relation(BLACK, BOXES, w))[:, 180:220] for w in (there, back, both))
    assert (all_ == (one | two)).all()
    assert not (one & two).any()


def test_the_ring_is_what_a_part_takes_from_itself() -> None:
    areas = [int((np.array(draw_relation(BLACK, BOXES, share * ALONE)) > 250).all(-1).sum()) for share in (0.1, 0.5, 1)]
    assert areas == sorted(set(areas))


def test_small_weights_are_left_out_and_heads_are_averaged() -> None:
    weights = torch.tensor([[0.8, 0.1, 0.1], [0.2, 0.6, 0.2], [0.3, 0.3, 0.4]])
    diagonal = weights * ALONE
    assert draw_relation(BLACK, BOXES, weights).tobytes() == draw_relation(BLACK, BOXES, diagonal).tobytes()
    assert difference(draw_relation(BLACK, BOXES, weights, least=0.25), draw_relation(BLACK, BOXES, diagonal)).any()
    heads = torch.stack([weights * 0.5, weights * 1.5])
    assert draw_relation(BLACK, BOXES, heads).tobytes() == draw_relation(BLACK, BOXES, weights).tobytes()


@pytest.mark.parametrize("side", [100, 2100])
def test_any_size_and_any_place(side: int) -> None:
    boxes = [[0, 0, side, side]] * 4 + [[0, 0, 1, 1], [side - 1, side - 1, side, side]]
    picture = draw_relation(Image.new("RGB", (side, side)), boxes, torch.full((6, 6), 1 / 6), [1, 1, 2, 2, 3, 3])
    assert max(picture.size) == max(side, 320)


def test_numbers_of_parts_in_one_place_are_moved_apart() -> None:
    places = _apart([(50.0, 50.0)] * 4 + [(52.0, 50.0), (500.0, 500.0)], 30)
    assert all(math.dist(one, other) > 28 for one, other in itertools.combinations(places, 2))
    assert places[-1] == (500, 500)


def test_weights_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match=r"the weights are \(3, 3\), not \(2, 3\)"):
        draw_relation(BLACK, BOXES, torch.zeros(2, 3))
    assert draw_relation(BLACK, [], torch.zeros(0, 0)).size == (400, 400)
