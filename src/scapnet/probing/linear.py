"""A linear classifier and nearest neighbours on features that stay as they are.

n photos, m other photos, D feature size, K classes.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

PENALTIES = (1.0, 0.1, 0.01, 1e-3, 1e-4)  # of the mean cross-entropy's L2 term, on features of unit variance
FOLDS = 5
STEPS = 200  # of L-BFGS
NEIGHBOURS = (1, 3, 5, 10, 20, 50)
BLOCK = 1024  # photos that are compared with all others at a time
TAU = 0.07  # temperature of the neighbours' votes (Wu et al., CVPR 2018)


class Linear(NamedTuple):
    """A classifier: features @ weight.T + bias."""

    weight: Tensor  # (K, D)
    bias: Tensor  # (K,)

    def logits(self, features: Tensor) -> Tensor:
        """Features (n, D) to logits (n, K)."""
        return features @ self.weight.T + self.bias


def fit_linear(features: Tensor, labels: Tensor, classes: int, penalty: float, start: Linear | None = None) -> Linear:
    """Minimise the mean cross-entropy + penalty / 2 * |weight|^2 by L-BFGS; the bias is not penalised.

    Args:
        features: (n, D) float32.
        labels: (n,) class indices.
        classes: K.
        penalty: weight of the L2 term.
        start: a classifier to start from, such as that of a larger penalty.
    """
    if start is None:
        start = Linear(features.new_zeros(classes, features.shape[1]), features.new_zeros(classes))
    weight, bias = (one.clone().requires_grad_() for one in start)
    optimizer = torch.optim.LBFGS((weight, bias), max_iter=STEPS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(features @ weight.T + bias, labels) + penalty / 2 * weight.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    with torch.enable_grad():
        optimizer.step(closure)  # type: ignore[no-untyped-call]
    return Linear(weight.detach(), bias.detach())


def folds_of(labels: Tensor, folds: int = FOLDS, seed: int = 0) -> Tensor:
    """(n,) a fold for each photo; each fold has as nearly as possible the same number of photos of each class."""
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    order = order[labels[order].argsort(stable=True)]
    found = torch.empty_like(labels)
    found[order] = torch.arange(len(labels)) % folds
    return found


def choose_penalty(
    features: Tensor, labels: Tensor, classes: int, penalties: Sequence[float] = PENALTIES, folds: int = FOLDS
) -> float:
    """The penalty with the lowest cross-entropy on held-out folds.

    Args:
        features: (n, D).
        labels: (n,).
        classes: K.
        penalties: to choose from.
        folds: of the cross-validation; fewer where there are fewer photos.
    """
    parts = folds_of(labels, min(folds, len(labels)))
    losses = dict.fromkeys(sorted(penalties, reverse=True), 0.0)
    for fold in range(int(parts.max()) + 1):
        held, found = parts == fold, None
        for penalty in losses:  # from strong to weak: each starts from the last
            found = fit_linear(features[~held], labels[~held], classes, penalty, found)
            losses[penalty] += float(F.cross_entropy(found.logits(features[held]), labels[held], reduction="sum"))
    return min(losses, key=lambda one: losses[one])


def linear_probe(features: Tensor, labels: Tensor, classes: int) -> tuple[Linear, float]:
    """The classifier of features as they come, and its penalty, which is chosen on folds.

    Features are standardised while the classifier is fitted; what is returned has this undone.
    """
    mean, std = features.mean(0), features.std(0, correction=0)
    std = torch.where(std > 1e-6 * std.max().clamp(min=1e-12), std, torch.ones_like(std))  # a constant feature is left
    scaled = (features - mean) / std
    penalty = choose_penalty(scaled, labels, classes)
    found = fit_linear(scaled, labels, classes, penalty)
    weight = found.weight / std
    return Linear(weight, found.bias - weight @ mean), penalty


class Neighbours(NamedTuple):
    """Nearest-neighbour answers."""

    k: int
    predicted: Tensor  # (m,) classes


def nearest_neighbours(features: Tensor, labels: Tensor, others: Tensor, classes: int) -> Neighbours:
    """Classify by the k nearest training photos, each with a vote of exp(cosine / TAU).

    k is the one with the most right answers when each training photo is answered by the others.

    Args:
        features: (n, D) of training photos.
        labels: (n,) theirs.
        others: (m, D) to classify.
        classes: K.
    """
    known, asked = F.normalize(features, dim=1), F.normalize(others, dim=1)
    choices = [k for k in NEIGHBOURS if k < len(known)] or [1]
    right = dict.fromkeys(choices, 0)
    for start in range(0, len(known), BLOCK):
        rows = torch.arange(start, min(start + BLOCK, len(known)))
        similar = known[rows] @ known.T
        similar[torch.arange(len(rows)), rows] = -torch.inf
        for k, answers in _votes(similar, labels, choices, classes):
            right[k] += int((answers == labels[rows]).sum())
    best = max(choices, key=lambda k: right[k])  # the first of equals, which is the smallest
    blocks = [asked[start : start + BLOCK] for start in range(0, len(asked), BLOCK)]
    found = [_votes(block @ known.T, labels, [best], classes)[0][1] for block in blocks]
    return Neighbours(best, torch.cat(found) if found else labels[:0])


def _votes(similar: Tensor, labels: Tensor, choices: Sequence[int], classes: int) -> list[tuple[int, Tensor]]:
    """For each k the answers (m,) by similarities (m, n)."""
    values, places = similar.topk(min(max(choices), similar.shape[1]), 1)
    weights, voters = ((values - values[:, :1]) / TAU).exp(), labels[places]
    return [
        (k, weights.new_zeros(len(similar), classes).scatter_add_(1, voters[:, :k], weights[:, :k]).argmax(1))
        for k in choices
    ]
