"""Photos of no known class: scores that are low for them, and how well a score tells them from known ones.

B batch, M parts, K classes, D feature size, n known photos, m unknown ones, t training photos.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

from scapnet.calibration import Prototypes

WEIGHTS = (0.0, 0.25, 0.5, 1.0, 2.0)  # of the parts' evidence, that are tried
NOWHERE = 1e3  # a squared distance that is larger than all others


def evidence(
    probs: Tensor,
    part_logits: Tensor | None,
    features: Tensor | None = None,
    prototypes: Prototypes | None = None,
    hidden: Tensor | None = None,
) -> Tensor:
    """How familiar photos look, to the main branch and to the parts.

    The main branch's evidence is that of `familiarity`; where features or prototypes are missing, the maximum softmax
    of the answer and 0. The parts' evidence is their `agreement`; 0 without parts, or where they were skipped.

    Args:
        probs: (B, K) the answer.
        part_logits: (B, M, K); NaN for photos whose parts were skipped.
        features: (B, D) of the main branch.
        prototypes: of the training photos.
        hidden: (B,) a class for each photo that is left out, as if the network did not know it.

    Returns:
        (B, 3) float32 on the CPU: the main branch's two columns, and the parts'.
    """
    probs = probs.detach().double().cpu()
    gone = torch.zeros_like(probs, dtype=torch.bool)
    if hidden is not None:
        gone.scatter_(1, hidden.cpu()[:, None], True)
    left = probs.masked_fill(gone, 0)
    best, none = (left / left.sum(1, keepdim=True).clamp(min=1e-300)).max(1).values, torch.zeros(len(probs))
    main = [best, none]
    if features is not None and prototypes is not None:
        exact = Prototypes(*(one.double() if one.is_floating_point() else one for one in prototypes))
        main = list(familiarity(features.detach().double().cpu(), exact, gone))
    parts = none
    if part_logits is not None:
        said = part_logits.detach().double().cpu().masked_fill(gone[:, None], -math.inf)
        parts = agreement(left, said).nan_to_num(0)
    return torch.stack([one.float() for one in (*main, parts)], 1)


def familiarity(features: Tensor, prototypes: Prototypes, gone: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """How near photos are to what training has shown, in two ways; both are higher for familiar ones.

    The relative Mahalanobis distance (Ren et al., 2021), as a ratio: minus the squared distance to the nearest class's
    mean, by the covariance within classes, over that to the mean of all, by the covariance of all. And minus the
    distance to the nearest training photo, in the main directions of all (Sun et al., ICML 2022, use all directions).

    Args:
        features: (B, D).
        prototypes: of the same precision.
        gone: (B, K) classes that are left out.

    Returns:
        (B,) each.
    """
    x = normalize(features, dim=1)
    away = x - prototypes.centre
    spread = away.square().sum(1) - (away @ prototypes.total).square().sum(1)
    own = squared(x, prototypes.means) - squared(x @ prototypes.within, prototypes.means @ prototypes.within)  # (B, K)
    near = squared(away @ normalize(prototypes.total, dim=0), prototypes.photos)  # (B, t)
    if gone is not None:
        own, near = own.masked_fill(gone, NOWHERE), near.masked_fill(gone[:, prototypes.labels], NOWHERE)
    return -own.amin(1) / spread.clamp(min=1e-6), -near.amin(1).clamp(min=0).sqrt()


def squared(rows: Tensor, others: Tensor) -> Tensor:
    """Squared distances (B, n) of rows (B, D) and (n, D)."""
    return rows.square().sum(1, keepdim=True) - 2 * rows @ others.T + others.square().sum(1)


def agreement(probs: Tensor, part_logits: Tensor) -> Tensor:
    """The mean (B,) over the parts of the probability that each alone gives the answered class.

    Args:
        probs: (B, K), or any multiple of them.
        part_logits: (B, M, K).
    """
    own, answer = part_logits.softmax(-1), probs.argmax(1)[:, None, None]
    return own.gather(2, answer.expand(-1, own.shape[1], 1))[..., 0].mean(1)


def known_score(evidence: Tensor, weights: Sequence[float]) -> Tensor:
    """The score (B,) of being known: a weighted sum.

    Args:
        evidence: (B, 3) of `evidence`.
        weights: of `choose_weights`.
    """
    return evidence @ torch.tensor(weights, dtype=evidence.dtype)


def choose_weights(shown: Tensor, hidden: Tensor) -> tuple[float, ...]:
    """The weights of the evidence: the main branch's columns count alike, and the parts as far as they help.

    Each column is divided by its standard deviation. Of `WEIGHTS`, the parts get the one that best tells photos from
    the same photos with their own class hidden. Unknown photos are not needed for it: a photo whose class the network
    is made to forget stands for one.

    Args:
        shown: (n, 3) evidence of photos that training did not see.
        hidden: (n, 3) the same with the true class of each hidden.
    """
    deviations = shown.double().std(0, correction=0).tolist()
    first, second, parts = (1 / one if one > 1e-9 else 0.0 for one in deviations)
    tried = [(first or 1.0, second, weight * parts) for weight in WEIGHTS]
    return max(tried, key=lambda weights: auroc(known_score(shown, weights), known_score(hidden, weights)))


def max_softmax(probs: Tensor) -> Tensor:
    """The probability of the answer (B,) (Hendrycks and Gimpel, ICLR 2017)."""
    return probs.double().max(-1).values


def knn_score(features: Tensor, training: Tensor, k: int = 10) -> Tensor:
    """Minus the distance (B,) to the k-th nearest training photo, of features of length 1 (Sun et al., ICML 2022).

    Args:
        features: (B, D).
        training: (t, D) of the training photos.
        k: which neighbour.
    """
    cosine = normalize(features.double(), dim=1) @ normalize(training.double(), dim=1).T
    nearest = cosine.topk(min(k, len(training)), dim=1).values[:, -1]
    return -(2 - 2 * nearest).clamp(min=0).sqrt()


def auroc(known: Tensor, unknown: Tensor) -> float:
    """The chance that a known photo has a higher score than an unknown one, a tie counting half.

    Args:
        known: (n,) scores.
        unknown: (m,) scores.
    """
    both = torch.cat([known, unknown]).double()
    _, group = torch.unique(both, return_inverse=True)
    counts = group.bincount()
    ranks = (counts.cumsum(0) - (counts - 1) / 2)[group]  # the mean rank of equal scores
    n, m = len(known), len(unknown)
    return float((ranks[:n].sum() - n * (n + 1) / 2) / (n * m))


def false_positive_rate(known: Tensor, unknown: Tensor, recall: float = 0.95) -> float:
    """FPR95: the share of unknown photos above the threshold that ``recall`` of the known ones reach.

    Args:
        known: (n,) scores.
        unknown: (m,) scores.
        recall: the share of the known photos that must be taken for known.
    """
    ordered = known.double().sort(descending=True).values
    threshold = ordered[max(1, math.ceil(recall * len(known) - 1e-9)) - 1]
    return float((unknown.double() >= threshold).double().mean())
