"""Whether a part shows the same part of the object in every photo, also under noise.

Huang et al., "Evaluation and Improvement of Interpretability for Self-Explainable Part-Prototype Networks", ICCV 2023.
Each of their prototypes belongs to a class; here a slot takes that role: a part's place in the order of the parts, or
the cluster of its embedding (`scapnet.metrics.slots`).

n images, T slots, R annotated points.
"""

import torch
from torch import Tensor

HALF_SIDE = 36 / 224  # of the square around a part's centre, as a fraction of the view: 36 pixels at 224
SHARE = 0.8  # fraction of images in which a point must be in the square
NOISE, LARGEST = 0.2, 0.25  # standard deviation of the noise on normalised pixels, and where it is clipped


def hits(centres: Tensor, points: Tensor) -> Tensor:
    """Which annotated points are in the square around which part.

    Args:
        centres: (n, T, 2) x, y of the parts in [0, 1] of the view.
        points: (n, R, 2); NaN if a point is not visible.

    Returns:
        (n, T, R) bool. The square is clipped to the view and includes its left and top edges only.
    """
    low = (centres - HALF_SIDE).clamp(min=0).unsqueeze(2)
    high = (centres + HALF_SIDE).clamp(max=1).unsqueeze(2)
    points = points.unsqueeze(1)
    inside: Tensor = (low <= points) & (points < high)
    return inside.all(-1)


def consistency(found: Tensor, seen: Tensor, target: Tensor) -> float:
    """The share of (class, slot) pairs with a point that is in the slot's square in at least 80% of the class's images.

    Args:
        found: (n, T, R) from `hits`.
        seen: (n, R) bool, which points are annotated in which image.
        target: (n,) classes.
    """
    good = []
    for label in torch.unique(target):
        own = target == label
        count = seen[own].sum(0)  # (R,)
        share = found[own].sum(0) / count.clamp(min=1)  # (T, R)
        good.append(((share >= SHARE) & (count > 0)).any(1))
    return float(torch.cat(good).double().mean())


def stability(found: Tensor, noisy: Tensor, target: Tensor) -> float:
    """The share of images in which noise changes none of a slot's points, averaged over classes and slots.

    Args:
        found: (n, T, R) from `hits`.
        noisy: likewise for the images with noise.
        target: (n,) classes.
    """
    same = (found == noisy).all(2).double()  # (n, T)
    return float(torch.cat([same[target == label].mean(0) for label in torch.unique(target)]).mean())


def with_noise(views: Tensor, generator: torch.Generator) -> Tensor:
    """Normalised views (B, 3, S, S) plus normal noise of standard deviation 0.2, clipped at 0.25."""
    noise = torch.randn(views.shape, generator=generator).mul(NOISE).clamp(-LARGEST, LARGEST)
    return views + noise.to(views)
