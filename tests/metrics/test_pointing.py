"""The pointing game and the energy inside, in plain loops."""

import math

import pytest
import torch

from scapnet.metrics.pointing import energy_inside, points_inside, region_of


@pytest.mark.parametrize("margin", [0.0, 0.1])
def test_a_region_holds_the_places_whose_centre_lies_in_a_box(margin: float) -> None:
    boxes = torch.tensor([[0.1, 0.2, 0.45, 0.5], [0.7, 0.7, 0.7, 0.7], [math.nan] * 4])
    found = region_of(boxes, 8, 10, margin)
    for i in range(8):
        for j in range(10):
            y, x = (i + 0.5) / 8, (j + 0.5) / 10
            inside = any(
                x0 - margin <= x < x1 + margin and y0 - margin <= y < y1 + margin
                for x0, y0, x1, y1 in boxes[:2].tolist()
            )
            assert bool(found[i, j]) == inside


def test_points_and_energy() -> None:
    values = torch.tensor([[5.0, -4.0, 1.0], [0.0, 2.0, 2.0]])
    region = torch.tensor([[True, True, False], [False, False, True]])
    assert points_inside(values, region) == 1
    assert points_inside(values, ~region) == 0
    assert energy_inside(values, region) == pytest.approx(7 / 10)
    assert points_inside(torch.ones(2, 3), region) == 0.5  # every place is the highest
    assert math.isnan(energy_inside(-torch.ones(2, 3), region))
