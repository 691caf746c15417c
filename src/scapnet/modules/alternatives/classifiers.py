"""Part classifiers that Table X compares with one shared by all parts.

B batch, M parts, D feature size, K classes. Weights are initialised as in `nn.Linear`.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn


class EachClassifier(nn.Module):
    """One classifier for each of the M = num_parts positions in the order of `PartsOutput`; D = dim."""

    def __init__(self, num_parts: int, dim: int, num_classes: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(dim)
        self.weight = nn.Parameter(torch.empty(num_parts, num_classes, dim).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(num_parts, num_classes).uniform_(-bound, bound))

    def forward(self, features: Tensor) -> Tensor:
        """Part features (B, M, D) to logits (B, M, K)."""
        return torch.einsum("bmd,mkd->bmk", features, self.weight) + self.bias

    @torch.no_grad()
    def start_from(self, main: dict[str, Any]) -> None:
        """Copy a classifier's state, weight (K, D) and bias (K,), into every part's classifier."""
        self.weight.copy_(main["weight"].expand_as(self.weight))
        self.bias.copy_(main["bias"].expand_as(self.bias))


class ConcatClassifier(nn.Module):
    """One classifier on the concatenated features (B, M * D) of the M = num_parts parts; D = dim.

    It returns one row of logits, which equals the mean over the parts that users of part logits compute. L_sub (Eq. 14)
    is then twice the same cross-entropy.
    """

    def __init__(self, num_parts: int, dim: int, num_classes: int) -> None:
        super().__init__()
        self.num_parts = num_parts
        self.linear = nn.Linear(num_parts * dim, num_classes)

    def forward(self, features: Tensor) -> Tensor:
        """Part features (B, M, D) to logits (B, 1, K)."""
        logits: Tensor = self.linear(features.flatten(1)).unsqueeze(1)
        return logits

    @torch.no_grad()
    def start_from(self, main: dict[str, Any]) -> None:
        """Start as the mean of a shared classifier's part logits, from its weight (K, D) and bias (K,)."""
        self.linear.weight.copy_(main["weight"].repeat(1, self.num_parts) / self.num_parts)
        self.linear.bias.copy_(main["bias"])


def make_part_classifier(kind: str, num_parts: int, dim: int, num_classes: int) -> nn.Module:
    """A part classifier by name, "shared", "each" or "concat": (B, M, D) to (B, M, K) or (B, 1, K).

    Raises:
        ValueError: the name is unknown.
    """
    if kind == "shared":
        return nn.Linear(dim, num_classes)
    if kind == "each":
        return EachClassifier(num_parts, dim, num_classes)
    if kind == "concat":
        return ConcatClassifier(num_parts, dim, num_classes)
    raise ValueError(f"part_classifier {kind!r} is unknown; use shared, each or concat")
