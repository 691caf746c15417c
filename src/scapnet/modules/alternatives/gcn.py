"""A graph convolution over the parts, compared with PRM in Table X.

B batch, M parts, D feature size, n the receiving part, m the sending part.

The paper says only that a graph needs "prior knowledge to construct the adjacency matrix". Our choice is the
proximity of the boxes, with one layer, no bias, no ReLU and the residual of Eq. 13, so that the rows of Table X differ
only in how the relation is modelled.
"""

import torch
from torch import Tensor, nn


def box_adjacency(boxes: Tensor) -> Tensor:
    """Proximity exp(-d^2) of every pair of parts, where d is the distance of their centres in units of their mean size.

    The diagonal is 1, the self-loop. Boxes that only touch have d >= 1.

    Args:
        boxes: (..., M, 4) cxcywh; sizes are clamped at 1e-6, so that a box without area is valid.

    Returns:
        (..., M, M) in [0, 1], symmetric, with ones on the diagonal.
    """
    one, other = boxes.unsqueeze(-2), boxes.unsqueeze(-3)  # (..., M, 1, 4), (..., 1, M, 4)
    size = ((one[..., 2:] + other[..., 2:]) / 2).clamp(min=1e-6)
    return (-((one[..., :2] - other[..., :2]) / size).square().sum(-1)).exp()


def normalise(adjacency: Tensor) -> Tensor:
    """D^-1/2 A D^-1/2 of Kipf and Welling (2017); (..., M, M) with self-loops, so that no degree is 0."""
    scale = adjacency.sum(-1).rsqrt()  # (..., M)
    return scale.unsqueeze(-1) * adjacency * scale.unsqueeze(-2)


class PartGraph(nn.Module):
    """One graph convolution over an image's parts, whose edge weights are the proximity of their boxes.

    Args:
        dim: D.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.value = nn.Linear(dim, dim, bias=False)

    def forward(self, features: Tensor, boxes: Tensor) -> Tensor:
        """Add to each part a weighted sum over all parts.

        Args:
            features: (B, M, D).
            boxes: (B, M, 4) cxcywh, in any unit.

        Returns:
            (B, M, D), f + D^-1/2 A D^-1/2 W_V f.
        """
        exact = torch.promote_types(boxes.dtype, torch.float32)
        weights = normalise(box_adjacency(boxes.to(exact))).to(features.dtype)  # (B, n, m)
        values: Tensor = self.value(features).to(features.dtype)
        return features + weights @ values
