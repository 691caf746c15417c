"""Consistency and stability of parts against plain loops."""

import math

import pytest
import torch

from scapnet.metrics.consistency import consistency, hits, stability, with_noise


def example(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(seed)
    target = torch.tensor([0, 0, 0, 0, 0, 2, 2, 2, 2, 2])
    centres = (
        torch.tensor([0.3, 0.7]).expand(10, 3, 2) + torch.randn(10, 3, 2) * torch.tensor([0.02, 0.1, 0.3])[:, None]
    )
    points = torch.tensor([[0.35, 0.65], [0.9, 0.9]]).expand(10, 2, 2) + torch.randn(10, 2, 2) * 0.03
    points[0, 0] = points[7] = math.nan
    return centres, points, target


@pytest.mark.parametrize("seed", range(3))
def test_consistency_counts_points_in_the_square_of_72_pixels(seed: int) -> None:
    centres, points, target = example(seed)
    found = hits(centres, points)
    good = []
    for label in (0, 2):
        own = [i for i in range(10) if target[i] == label]
        for slot in range(3):
            fits = []
            for r in range(2):
                known = [i for i in own if not math.isnan(float(points[i, r, 0]))]
                near = 0
                for i in known:
                    (x, y), (u, v) = (224 * points[i, r]).tolist(), (224 * centres[i, slot]).tolist()
                    inside_x = max(0, u - 36) <= x < min(224, u + 36)
                    near += inside_x and max(0, v - 36) <= y < min(224, v + 36)
                fits.append(near / len(known) >= 0.8)
            good.append(any(fits))
    seen = ~points.isnan().any(-1)
    assert consistency(found, seen, target) == pytest.approx(sum(good) / len(good))
    assert 0 < sum(good) < len(good)


def test_a_point_that_is_never_seen_makes_nothing_consistent() -> None:
    found = torch.zeros(4, 1, 1, dtype=torch.bool)
    assert consistency(found, torch.zeros(4, 1, dtype=torch.bool), torch.zeros(4)) == 0


def test_stability_is_the_share_of_images_without_any_change() -> None:
    centres, points, target = example(1)
    found, noisy = hits(centres, points), hits(centres + 0.1 * torch.randn(centres.shape), points)
    shares = []
    for label in (0, 2):
        own = [i for i in range(10) if target[i] == label]
        for slot in range(3):
            same = [all(found[i, slot, r] == noisy[i, slot, r] for r in range(2)) for i in own]
            shares.append(sum(same) / len(same))
    assert stability(found, noisy, target) == pytest.approx(sum(shares) / len(shares))
    assert stability(found, found, target) == 1


def test_the_noise_is_clipped() -> None:
    generator = torch.Generator().manual_seed(0)
    noise = with_noise(torch.zeros(2, 3, 64, 64), generator)
    assert float(noise.abs().max()) == 0.25
    assert float((noise.abs() == 0.25).float().mean()) == pytest.approx(0.2113, abs=0.01)  # beyond 1.25 deviations
