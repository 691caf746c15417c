"""Clusters and what they are worth: NMI and ARI by counting, the keypoint regression by hand."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from scapnet.metrics.slots import adjusted_rand_index, keypoint_error, kmeans, normalized_mutual_information


def labellings(seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    a = torch.randint(0, 4, (30,), generator=generator)
    return a, torch.where(
        torch.rand(30, generator=generator) < 0.5, a + 7, torch.randint(0, 3, (30,), generator=generator)
    )


@pytest.mark.parametrize("seed", range(3))
def test_nmi_from_entropies(seed: int) -> None:
    a, b = labellings(seed)

    def entropy(labels: list[object]) -> float:
        return -sum(labels.count(v) / 30 * math.log(labels.count(v) / 30) for v in set(labels))

    one, other = entropy(a.tolist()), entropy(b.tolist())
    both = entropy(list(zip(a.tolist(), b.tolist(), strict=True)))
    assert normalized_mutual_information(a, b) == pytest.approx((one + other - both) / ((one + other) / 2))
    assert normalized_mutual_information(a, a * 3 + 1) == pytest.approx(1)


@pytest.mark.parametrize("seed", range(3))
def test_ari_from_pairs(seed: int) -> None:
    a, b = labellings(seed)
    pairs = list(itertools.combinations(range(30), 2))
    same_a = sum(bool(a[i] == a[j]) for i, j in pairs)
    same_b = sum(bool(b[i] == b[j]) for i, j in pairs)
    both = sum(bool(a[i] == a[j] and b[i] == b[j]) for i, j in pairs)
    expected = same_a * same_b / len(pairs)
    assert adjusted_rand_index(a, b) == pytest.approx((both - expected) / ((same_a + same_b) / 2 - expected))
    assert adjusted_rand_index(a, 5 - a) == pytest.approx(1)


def test_one_label_everywhere() -> None:
    one = torch.zeros(5, dtype=torch.long)
    assert normalized_mutual_information(one, one) == 1
    assert adjusted_rand_index(one, one) == 1


def test_kmeans_finds_groups_and_is_repeatable() -> None:
    torch.manual_seed(0)
    middles = torch.tensor([[0.0, 0], [5, 0], [0, 5]])
    rows = (middles[:, None] + 0.3 * torch.randn(3, 20, 2)).flatten(0, 1)
    centres = kmeans(rows, 3)
    assert torch.cdist(middles, centres).amin(1).max() < 0.3
    nearest = torch.cdist(rows, centres).argmin(1)
    for t in range(3):
        torch.testing.assert_close(centres[t], rows[nearest == t].mean(0))
    assert torch.equal(kmeans(rows, 3), centres)
    assert kmeans(torch.zeros(4, 2), 3).shape == (3, 2)  # nothing tells the rows apart
    with pytest.raises(ValueError, match="2 parts cannot be divided into 3 slots"):
        kmeans(torch.zeros(2, 2), 3)


def test_the_keypoint_regression_by_hand() -> None:
    torch.manual_seed(0)
    weights = torch.randn(4, 6)

    def photos(count: int) -> tuple[Tensor, Tensor]:
        centres = torch.rand(count, 2, 2)
        points = (centres.flatten(1) @ weights).view(count, 3, 2) + 0.1 * torch.randn(count, 3, 2)
        centres[0, 1] = math.nan  # a slot without a part
        points[1, 2] = math.nan
        points[:, 0] = math.nan  # a point that is never seen
        return centres, points

    fit, test = photos(40), photos(12)
    flat = fit[0].flatten(1).double().numpy()
    mean, std = np.nanmean(flat, 0), np.nanstd(flat, 0)
    x, z = (np.nan_to_num((one[0].flatten(1).double().numpy() - mean) / std) for one in (fit, test))
    distances = []
    for r in (1, 2):
        y = fit[1][:, r].double().numpy()
        seen = ~np.isnan(y).any(1)
        middle, spread = y[seen].mean(0), y[seen].std(0)
        solution = np.linalg.lstsq(x[seen], (y[seen] - middle) / spread, rcond=None)[0]
        wanted = test[1][:, r].double().numpy()
        error = np.sqrt((((z @ solution) * spread + middle - wanted) ** 2).sum(1))
        distances += [d for d in error.tolist() if not math.isnan(d)]
    assert keypoint_error(fit, test) == pytest.approx(sum(distances) / len(distances), rel=1e-4)


def test_points_that_slots_give_exactly_have_no_error() -> None:
    centres = torch.rand(20, 2, 2, generator=torch.Generator().manual_seed(1))
    assert keypoint_error((centres, 2 * centres), (centres[:5], 2 * centres[:5])) == pytest.approx(0, abs=1e-6)
    assert math.isnan(keypoint_error((centres, torch.full((20, 1, 2), math.nan)), (centres, centres[:, :1])))


def test_centres_that_never_move_leave_the_mean_of_the_points() -> None:
    torch.manual_seed(0)
    centres = torch.tensor([0.25, 0.75]).expand(30, 2, 2) + 1e-8 * torch.randn(30, 2, 2)  # float32 rounds
    points = torch.rand(30, 1, 2)
    expected = float((points[:10] - points.mean(0)).norm(dim=-1).mean())
    assert keypoint_error((centres, points), (centres[:10] + 1e-7, points[:10])) == pytest.approx(expected, rel=1e-3)
