"""How the class scores of a network are the sum of its main branch and its parts.

B batch, C explained classes, K classes, M parts, S side of the view.
"""

from typing import Any

import torch
from torch import Tensor
from torchvision.ops import box_convert

from scapnet.network import NetworkOutput


def _centred(logits: Tensor) -> Tensor:
    """Logits (..., K) minus their mean over the classes, which does not change the softmax; 0 is then neutral."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return logits - logits.mean(-1, keepdim=True)


def has_votes(output: NetworkOutput) -> bool:
    """Whether each part has logits of its own; a classifier over all parts at once gives none."""
    parts, logits = output.parts, output.part_logits
    return parts is not None and logits is not None and logits.shape[1] == parts.boxes.shape[1]


def class_scores(output: NetworkOutput) -> Tensor:
    """The score (B, K) of each class: both branches' centred logits in their `_weights`, or the main branch's alone."""
    main = _centred(output.logits)
    if output.part_logits is None:
        return main
    a, b = _weights(output)
    return a * main + b * _centred(output.part_logits).mean(1)


def _weights(output: NetworkOutput) -> tuple[float, float]:
    """The weights of both branches: those of the answer's pool, or a half each."""
    return getattr(output, "pool", None) or (0.5, 0.5)


def part_evidence(output: NetworkOutput) -> Tensor:
    """What each part adds to `class_scores`: (B, M, K); the main branch adds its weighted centred logits."""
    assert output.part_logits is not None
    return _weights(output)[1] * _centred(output.part_logits) / output.part_logits.shape[1]


def pixels_inside(boxes: Tensor, size: int) -> Tensor:
    """Which pixels of a view have their centre in boxes (..., 4) cxcywh in [0, 1]: (..., size, size) bool."""
    corners = box_convert(boxes, "cxcywh", "xyxy").unsqueeze(-1)  # (..., 4, 1)
    centre = (torch.arange(size, device=boxes.device) + 0.5) / size
    across = (corners[..., 0, :] <= centre) & (centre < corners[..., 2, :])  # (..., S)
    down = (corners[..., 1, :] <= centre) & (centre < corners[..., 3, :])
    inside: Tensor = down.unsqueeze(-1) & across.unsqueeze(-2)
    return inside


def chosen_classes(values: Tensor, classes: Tensor) -> Tensor:
    """The values (B, ..., K) of the classes (B, C): (B, ..., C)."""
    index = classes.view(len(classes), *[1] * (values.dim() - 2), -1)
    return values.gather(-1, index.expand(*values.shape[:-1], -1))


def part_maps(output: Any, classes: Tensor, size: int, spread: bool = False) -> Tensor:
    """The evidence of all parts that cover a pixel: (B, C, S, S).

    Args:
        output: the output of a network whose parts vote separately.
        classes: (B, C) to explain.
        size: S.
        spread: divide each part's evidence among its pixels, so that the map sums to the parts' evidence.
    """
    inside = pixels_inside(output.parts.boxes, size).float()  # (B, M, S, S)
    if spread:
        inside = inside / inside.sum((-1, -2), keepdim=True).clamp(min=1)
    return torch.einsum("bmc,bmyx->bcyx", chosen_classes(part_evidence(output), classes), inside)
