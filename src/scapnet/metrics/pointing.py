"""Where an explanation points: its maximum and its energy, compared with an object's box or annotated points.

H W size of a map.
"""

import torch
from torch import Tensor

NEAR = 36 / 224  # half the side of the square around a point, as a fraction of the view


def region_of(boxes: Tensor, height: int, width: int, margin: float = 0.0) -> Tensor:
    """The places of a map inside any of the boxes, enlarged by a margin.

    Args:
        boxes: (R, 4) xyxy in [0, 1] of the view; NaN if there is none. A point is a box without size.
        height: H.
        width: W.
        margin: as a fraction of the view.

    Returns:
        (H, W) bool: places whose centre is inside.
    """
    y = (torch.arange(height, device=boxes.device) + 0.5) / height
    x = (torch.arange(width, device=boxes.device) + 0.5) / width
    x0, y0, x1, y1 = (boxes + boxes.new_tensor([-margin, -margin, margin, margin])).unbind(-1)
    down = (y0[:, None] <= y) & (y < y1[:, None])  # NaN compares false
    across = (x0[:, None] <= x) & (x < x1[:, None])
    return (down[:, :, None] & across[:, None]).any(0)


def points_inside(values: Tensor, region: Tensor) -> float:
    """The pointing game (Zhang et al., IJCV 2018): 1 if the maximum of a map is in the region.

    If several places have the maximum, as in a map of boxes, the share of them in the region.
    """
    highest = values == values.max()
    return float((highest & region).sum() / highest.sum())


def energy_inside(values: Tensor, region: Tensor) -> float:
    """The share of the sum of a map's positive values in the region (Wang et al., Score-CAM, CVPR workshops 2020)."""
    positive = values.clamp(min=0)
    return float((positive * region).sum() / positive.sum()) if positive.any() else float("nan")
