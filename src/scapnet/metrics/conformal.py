"""Prediction sets that hold the true class with a chosen probability (split conformal prediction).

n calibration samples, m others, K classes.

With scores s_i = s(x_i, y_i) of n samples that training did not see, and a new sample of the same kind,

    P(s(x, y) <= q) >= 1 - error,    q = the ceil((n + 1)(1 - error))-th smallest of s_1, ..., s_n

so the set of all classes k with s(x, k) <= q holds the true class with a probability of at least 1 - error, over
samples and calibration together (Vovk et al., 2005; Angelopoulos and Bates, A Gentle Introduction to Conformal
Prediction, 2021).
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def lac_scores(probs: Tensor) -> Tensor:
    """Scores (m, K) of all classes: 1 - p (LAC; Sadinle, Lei and Wasserman, JASA 2019). The sets are the smallest.

    Args:
        probs: (m, K) each row sums to 1.
    """
    return 1 - probs.double()


def aps_scores(probs: Tensor) -> Tensor:
    """Scores (m, K): the summed probability of a class and all likelier ones (APS; Romano et al., NeurIPS 2020).

    Without the random part of the paper, so that a photo always has the same set; sets are a little larger then. Easy
    photos get smaller sets and hard ones larger sets than by `lac_scores`.

    Args:
        probs: (m, K) each row sums to 1.
    """
    ordered, order = probs.double().sort(stable=True, dim=1, descending=True)
    return torch.empty_like(ordered).scatter_(1, order, ordered.cumsum(1))


def quantile(scores: Sequence[float] | Tensor, error: float) -> float:
    """q of the formula above; infinite where n is too small for the error rate, so that sets hold every class.

    Args:
        scores: of the true classes of n calibration samples.
        error: in (0, 1), how often a set may miss the true class.

    Raises:
        ValueError: an error rate out of (0, 1).
    """
    if not 0 < error < 1:
        raise ValueError(f"the error rate {error} must lie between 0 and 1, for example 0.1")
    values = torch.as_tensor(scores, dtype=torch.double).sort().values
    rank = math.ceil((len(values) + 1) * (1 - error) - 1e-9)
    return float(values[rank - 1]) if rank <= len(values) else math.inf


def prediction_sets(scores: Tensor, q: float) -> Tensor:
    """Which classes are in the set of each sample: (m, K) bool, always with the best class.

    Args:
        scores: (m, K), smaller is likelier.
        q: of `quantile`.
    """
    # A float32 probability that was calibrated on itself must not fall out by its last digit.
    inside = scores <= q + 1e-7
    return inside.scatter(1, scores.argmin(1, keepdim=True), True)
