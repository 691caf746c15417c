"""Parts as slots: embeddings are clustered on training photos, and slots are compared with annotated points.

NMI, ARI and the error of a keypoint regression, as reported by van der Klis et al., "PDiscoNet" (ICCV 2023) and Aniraj
et al., "PDiscoFormer" (ECCV 2024).

n rows, D feature size, T slots, R annotated points.
"""

import math

import torch
from torch import Tensor

CONSTANT = 1e-6  # a deviation up to which a column is constant: that of fixed boxes is the rounding of their centres


def kmeans(rows: Tensor, slots: int, seed: int = 0, rounds: int = 50) -> Tensor:
    """Centres (T, D) of Lloyd's algorithm, started by k-means++ (Arthur and Vassilvitskii, SODA 2007).

    Args:
        rows: (n, D), n >= T.
        slots: T.
        seed: seed of the initialisation.
        rounds: the largest number of iterations.

    Raises:
        ValueError: there are fewer rows than slots.
    """
    if len(rows) < slots:
        raise ValueError(f"{len(rows)} parts cannot be divided into {slots} slots")
    generator = torch.Generator().manual_seed(seed)
    centres = rows[torch.randint(len(rows), (1,), generator=generator)]
    while len(centres) < slots:
        far = torch.cdist(rows, centres).amin(1).square().double()
        chance = far if far.any() else torch.ones_like(far)
        centres = torch.cat((centres, rows[torch.multinomial(chance.cpu(), 1, generator=generator)]))
    for _ in range(rounds):
        nearest = torch.cdist(rows, centres).argmin(1)
        counts = nearest.bincount(minlength=slots)
        sums = torch.zeros_like(centres).index_add(0, nearest, rows)
        moved = torch.where(counts[:, None] > 0, sums / counts.clamp(min=1)[:, None], centres)
        if torch.equal(moved, centres):
            break
        centres = moved
    return centres


def _table(a: Tensor, b: Tensor) -> Tensor:
    """How often each pair of labels (n,) and (n,) occurs: (A, B) float64."""
    a, b = (torch.unique(labels, return_inverse=True)[1] for labels in (a, b))
    width = int(b.max()) + 1
    return (a * width + b).bincount(minlength=(int(a.max()) + 1) * width).view(-1, width).double()


def normalized_mutual_information(a: Tensor, b: Tensor) -> float:
    """I(a; b) over the mean of both entropies, of two labellings (n,): in [0, 1]; 1 if both have a single label."""
    joint = _table(a, b) / len(a)
    rows, columns = joint.sum(1), joint.sum(0)
    some = joint > 0
    mutual = (joint * (joint / (rows[:, None] * columns)).log())[some].sum()
    entropies = -(rows * rows.log()).sum() - (columns * columns.log()).sum()
    return float(2 * mutual / entropies) if entropies > 0 else 1.0


def adjusted_rand_index(a: Tensor, b: Tensor) -> float:
    """Agreement of two labellings (n,) on pairs, corrected for chance: 1 is perfect (Hubert and Arabie 1985)."""
    table = _table(a, b)

    def pairs(counts: Tensor) -> float:
        return float((counts * (counts - 1) / 2).sum())

    both, rows, columns = pairs(table), pairs(table.sum(1)), pairs(table.sum(0))
    every = len(a) * (len(a) - 1) / 2
    expected = rows * columns / every if every else 0.0
    most = (rows + columns) / 2
    return 1.0 if most == expected else (both - expected) / (most - expected)


def keypoint_error(fit: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor]) -> float:
    """Mean distance of annotated points from a linear regression on the slots' centres, as a share of the box.

    Slots' centres and points are standardised on the photos that the regression is fitted to; a slot without a part
    is then 0. There is one regression without intercept per point.

    Args:
        fit: centres (n, T, 2) with NaN for slots without a part, and points (n, R, 2) with NaN if a point is not
            visible; in units of the object's box.
        test: likewise for the photos on which the error is measured.

    Returns:
        NaN if no point can be regressed.
    """
    total, count = 0.0, 0
    centres, mean, deviation = _standard(fit[0].flatten(1))
    others = ((test[0].flatten(1) - mean) / deviation).nan_to_num(0.0)
    for r in range(fit[1].shape[1]):
        points, seen = fit[1][:, r], ~fit[1][:, r].isnan().any(1)
        wanted, here = test[1][:, r], ~test[1][:, r].isnan().any(1)
        if not seen.any() or not here.any():
            continue
        target, middle, spread = _standard(points[seen].double())
        weights = torch.linalg.lstsq(centres[seen], target, driver="gelsd").solution
        guess = others[here] @ weights * spread.nan_to_num(posinf=0.0) + middle
        total += float((guess - wanted[here]).norm(dim=1).sum())
        count += int(here.sum())
    return total / count if count else math.nan


def _standard(values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Standardised columns of (n, m) with 0 for NaN and constants, their means and deviations (inf of constants)."""
    values = values.double()
    mean = values.nanmean(0).nan_to_num(0.0)
    deviation = (values - mean).square().nanmean(0).sqrt().nan_to_num(0.0)
    deviation = torch.where(deviation > CONSTANT, deviation, torch.inf)  # so that it is 0
    return ((values - mean) / deviation).nan_to_num(0.0), mean, deviation
