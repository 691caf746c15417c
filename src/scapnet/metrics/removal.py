"""Deletion and insertion: the probability of the answer as pixels are removed by imputation (ROAD).

Rong et al., "A Consistent and Efficient Evaluation Strategy for Attribution Methods", ICML 2022. A removed pixel
becomes the weighted mean of its neighbours, which gives a linear system as these may be removed, too; a little noise
hides which pixels were removed.

H W size of an image.
"""

import numpy as np
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.linalg import splu
from torch import Tensor

# Weights of the neighbours at (dy, dx): 1/6 for direct ones, 1/12 for diagonal ones.
NEIGHBOURS = {
    (dy, dx): 1 / 6 if dy == 0 or dx == 0 else 1 / 12 for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0)
}
NOISE = 0.01  # standard deviation, of pixels in [0, 1]


def impute(image: Tensor, removed: Tensor, noise: Tensor | None = None) -> Tensor:
    """Noisy linear imputation: each removed pixel equals the weighted mean of its neighbours within the image.

    Args:
        image: (3, H, W) in [0, 1].
        removed: (H, W) bool.
        noise: (3, H, W) to add to the removed pixels, scaled by NOISE.

    Returns:
        (3, H, W); the image's mean colour if everything is removed.
    """
    count = int(removed.sum())
    if not count:
        return image
    if count == removed.numel():
        filled = image.mean((1, 2), keepdim=True).expand_as(image).clone()
    else:
        filled = image.clone()
        filled[:, removed] = torch.from_numpy(_solve(image.numpy(), removed.numpy())).T.to(image)
    if noise is not None:
        filled[:, removed] += NOISE * noise[:, removed]
    return filled


def _solve(image: np.ndarray, removed: np.ndarray) -> np.ndarray:
    """(n, 3) colours of the n removed pixels, in the order of their rows."""
    height, width = removed.shape
    count = int(removed.sum())
    number = np.full(removed.shape, -1)
    number[removed] = np.arange(count)
    ys, xs = np.nonzero(removed)
    own, others, weights = [np.arange(count)], [np.arange(count)], [np.zeros(count)]
    known = np.zeros((count, len(image)))
    for (dy, dx), weight in NEIGHBOURS.items():
        y, x = ys + dy, xs + dx
        inside = np.flatnonzero((y >= 0) & (x >= 0) & (y < height) & (x < width))
        y, x = y[inside], x[inside]
        weights[0][inside] += weight
        gone = removed[y, x]
        own.append(inside[gone])
        others.append(number[y[gone], x[gone]])
        weights.append(np.full(int(gone.sum()), -weight))
        known[inside[~gone]] += weight * image[:, y[~gone], x[~gone]].T
    entries = np.concatenate(weights), (np.concatenate(own), np.concatenate(others))
    matrix = coo_matrix(entries, shape=(count, count)).tocsc()
    # The matrix is symmetric, and this order of elimination is the fastest for grids.
    factors = splu(matrix, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})
    found: np.ndarray = factors.solve(known)
    return found


def most_important(values: Tensor, share: float) -> Tensor:
    """The share of the places (H, W) with the largest values: (H, W) bool; ties in the order of their place."""
    count = round(share * values.numel())
    order = values.flatten().sort(descending=True, stable=True).indices
    chosen = torch.zeros(values.numel(), dtype=torch.bool, device=values.device)
    chosen[order[:count]] = True
    return chosen.view_as(values)


def area_under(shares: list[float], values: list[float]) -> float:
    """The mean height of a curve through points, by the trapezoidal rule."""
    area = sum((b - a) * (u + v) / 2 for a, b, u, v in zip(shares, shares[1:], values, values[1:], strict=False))
    return area / (shares[-1] - shares[0])
