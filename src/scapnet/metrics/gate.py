"""How well the gate's mask matches the object, compared with chance, and how much it depends on the image.

B batch, N grid, n images.
"""

import torch
from torch import Tensor

from scapnet.modules.boxes import unit_edges
from scapnet.network import NetworkOutput


def gate_overlap(output: NetworkOutput, box: Tensor) -> dict[str, Tensor]:
    """Precision and recall of the kept area for the object's box, each with the value of a random mask.

    A mask that keeps each place of the view with equal probability has, on average, the box's share of the view as its
    precision and its own kept share as its recall.

    Args:
        output: the output of a network with a gate.
        box: (B, 4) xyxy in [0, 1], beyond [0, 1] if the view cuts it; NaN if there is none.

    Returns:
        ``gate_precision``, ``random_gate_precision``, ``gate_recall`` and ``random_gate_recall``, (B,) each; NaN for
        images without a box in the view.
    """
    assert output.gate is not None
    mask = output.gate.mask.float()  # (B, N, N)
    grid = mask.shape[-1]
    height, width = output.gate.features.shape[-2:]
    y = torch.tensor(unit_edges(height, grid), device=mask.device) / height  # (N + 1,)
    x = torch.tensor(unit_edges(width, grid), device=mask.device) / width
    box = box.to(mask).clamp(0, 1)
    inside = _overlap(y, box[:, 1], box[:, 3])[:, :, None] * _overlap(x, box[:, 0], box[:, 2])[:, None]  # (B, N, N)
    kept = (mask * y.diff()[:, None] * x.diff()).sum((1, 2))
    size = (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1])
    both = (mask * inside).sum((1, 2))
    seen = size > 0  # False if the box is NaN or outside the view
    columns = {
        "gate_precision": both / kept,
        "random_gate_precision": size,
        "gate_recall": both / size,
        "random_gate_recall": kept,
    }
    return {key: torch.where(seen, value, torch.nan) for key, value in columns.items()}


def _overlap(edges: Tensor, first: Tensor, last: Tensor) -> Tensor:
    """Length (B, N) that each unit of edges (N + 1,) shares with the spans from first to last (B,)."""
    upper, lower = torch.minimum(edges[1:], last[:, None]), torch.maximum(edges[:-1], first[:, None])
    return (upper - lower).clamp(min=0)


def intraclass_correlation(masks: Tensor) -> Tensor:
    """How much of the gate's choice the position alone explains: the share of the masks' variance between units.

    0 if every unit is kept equally often, 1 if all images have the same mask. A gate that follows the content of the
    images has a low value. As in an analysis of variance, the contribution of chance in a finite number of images is
    subtracted, as if units varied independently.

    Args:
        masks: (n, N, N) in [0, 1], of n images, hard or soft.

    Returns:
        A scalar; NaN if nothing varies, as for a gate that keeps everything, or with fewer than two images or units.
    """
    units = masks.flatten(1).double()  # (n, N*N)
    if min(units.shape) < 2:
        return units.new_tensor(torch.nan)
    within = units.var(0).mean()
    between = (units.mean(0).var() - within / len(units)).clamp(min=0)
    return between / (between + within)
