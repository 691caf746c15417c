"""Noisy linear imputation against a dense system in plain loops."""

import numpy as np
import pytest
import torch
from torch import Tensor

from scapnet.metrics.removal import NEIGHBOURS, NOISE, area_under, impute, most_important


def slow(image: Tensor, removed: Tensor) -> Tensor:
    height, width = removed.shape
    gone = [(i, j) for i in range(height) for j in range(width) if removed[i, j]]
    matrix, right = np.zeros((len(gone), len(gone))), np.zeros((len(gone), 3))
    for n, (i, j) in enumerate(gone):
        for di in (-1, 0, 1):
            for dj in (-1, 0, 1):
                y, x = i + di, j + dj
                if (di, dj) == (0, 0) or not (0 <= y < height and 0 <= x < width):
                    continue
                weight = 1 / 12 if di and dj else 1 / 6
                matrix[n, n] += weight
                if removed[y, x]:
                    matrix[n, gone.index((y, x))] -= weight
                else:
                    right[n] += weight * image[:, y, x].numpy()
    filled = image.clone()
    for (i, j), colour in zip(gone, np.linalg.solve(matrix, right), strict=True):
        filled[:, i, j] = torch.from_numpy(colour)
    return filled


@pytest.mark.parametrize("share", [0.05, 0.4, 0.9])
def test_imputation_solves_the_system(share: float) -> None:
    torch.manual_seed(0)
    image, removed = torch.rand(3, 9, 7), torch.rand(9, 7) < share
    found = impute(image, removed)
    torch.testing.assert_close(found, slow(image, removed), atol=1e-5, rtol=0)
    assert torch.equal(found[:, ~removed], image[:, ~removed])


def test_neighbours_weigh_one_together_and_a_plane_stays() -> None:
    assert sum(NEIGHBOURS.values()) == pytest.approx(1)
    removed = torch.zeros(12, 12, dtype=torch.bool)
    removed[3:9, 2:8] = True
    plane = (torch.arange(12.0)[:, None] / 20 + torch.arange(12.0) / 30).expand(3, 12, 12)
    torch.testing.assert_close(impute(plane, removed), plane)


def test_everything_or_nothing_removed() -> None:
    image = torch.rand(3, 6, 6)
    assert torch.equal(impute(image, torch.zeros(6, 6, dtype=torch.bool)), image)
    grey = impute(image, torch.ones(6, 6, dtype=torch.bool))
    torch.testing.assert_close(grey, image.mean((1, 2), keepdim=True).expand_as(image))


def test_noise_is_on_removed_pixels_only() -> None:
    image, removed, noise = torch.rand(3, 6, 6), torch.rand(6, 6) < 0.5, torch.randn(3, 6, 6)
    change = impute(image, removed, noise) - impute(image, removed)
    torch.testing.assert_close(change, NOISE * noise * removed)


def test_the_most_important_places() -> None:
    torch.manual_seed(0)
    values = torch.rand(5, 8)
    chosen = most_important(values, 0.3)
    assert int(chosen.sum()) == 12
    assert values[chosen].min() > values[~chosen].max()
    ties = most_important(torch.ones(4, 4), 0.25)
    assert ties[0].all()
    assert int(ties.sum()) == 4


def test_the_area_under_a_line() -> None:
    assert area_under([0.0, 0.5, 1.0], [1.0, 0.5, 0.0]) == pytest.approx(0.5)
    assert area_under([0.2, 0.4], [3.0, 1.0]) == pytest.approx(2)
