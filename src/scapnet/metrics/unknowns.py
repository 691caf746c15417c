"""Photos of no known class: scores that are low for them, and how well a score tells them from known ones.

B batch, M parts, K classes, D feature size, n known photos, m unknown ones, t training photos.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import normalize

WEIGHTS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.5)  # of the parts' evidence, that are tried


def evidence(
    probs: Tensor,
    part_logits: Tensor | None,
    features: Tensor | None = None,
    prototypes: Tensor | None = None,
    hidden: Tensor | None = None,
) -> Tensor:
    """How familiar photos look, to the main branch and to the parts.

    The main branch's evidence is the cosine of its features and the nearest class's prototype (see
    `scapnet.prototypes`); where either is missing, the maximum softmax of the answer. The parts' evidence is the mean
    over the parts of the probability that each alone gives the answered class; 0 without parts.

    Args:
        probs: (B, K) the answer.
        part_logits: (B, M, K).
        features: (B, D) of the main branch.
        prototypes: (K, D) of length 1.
        hidden: (B,) a class for each photo that is left out, as if the network did not know it.

    Returns:
        (B, 2) float32 on the CPU: the main branch's, and the parts'.
    """
    probs = probs.detach().double().cpu()
    gone = torch.zeros_like(probs, dtype=torch.bool)
    if hidden is not None:
        gone.scatter_(1, hidden.cpu()[:, None], True)
    left = probs.masked_fill(gone, 0)
    best, answer = (left / left.sum(1, keepdim=True).clamp(min=1e-300)).max(1)
    if features is not None and prototypes is not None:
        cosine = normalize(features.detach().double().cpu(), dim=1) @ prototypes.double().T
        best = cosine.masked_fill(gone, -1).max(1).values
    parts = torch.zeros_like(best)
    if part_logits is not None:
        own = part_logits.detach().double().cpu().masked_fill(gone[:, None], -math.inf).softmax(-1)  # (B, M, K)
        parts = own.gather(2, answer[:, None, None].expand(-1, own.shape[1], 1))[..., 0].mean(1)
    return torch.stack([best, parts], 1).float()


def known_score(evidence: Tensor, part_weight: float) -> Tensor:
    """The score (B,) of being known: the main branch's evidence and ``part_weight`` times the parts'.

    Args:
        evidence: (B, 2) of `evidence`.
        part_weight: of `choose_weight`.
    """
    return evidence[:, 0] + part_weight * evidence[:, 1]


def choose_weight(shown: Tensor, hidden: Tensor) -> float:
    """The weight of the parts that best tells photos from the same photos with their own class hidden.

    Unknown photos are not needed for it: a photo whose class the network is made to forget stands for one.

    Args:
        shown: (n, 2) evidence of photos that training did not see.
        hidden: (n, 2) the same with the true class of each hidden.
    """
    return max(WEIGHTS, key=lambda weight: auroc(known_score(shown, weight), known_score(hidden, weight)))


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
