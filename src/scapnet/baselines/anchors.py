"""NTS-Net's anchors, and the greedy choice among them.

B batch, H W cells of a level, T shapes of a level's anchors, A anchors of all levels, M chosen ones.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.ops import box_convert, box_iou

# The public settings of NTS-Net: sides in pixels of a view of 448, each with its scales, at strides 32, 64 and 128.
VIEW = 448
LEVELS = (
    (48, (2 ** (1 / 3), 2 ** (2 / 3))),
    (96, (2 ** (1 / 3), 2 ** (2 / 3))),
    (192, (1.0, 2 ** (1 / 3), 2 ** (2 / 3))),
)
RATIOS = (0.667, 1.0, 1.5)  # width over height
SHAPES = tuple(len(scales) * len(RATIOS) for _, scales in LEVELS)  # T of each level: 6, 6, 9


def anchor_shapes(level: int) -> list[tuple[float, float]]:
    """Width and height, in [0, 1] of the view, of a level's T anchors: by scale, then ratio, at equal area."""
    side, scales = LEVELS[level]
    sides = [side / VIEW * scale for scale in scales]
    return [(length * math.sqrt(ratio), length / math.sqrt(ratio)) for length in sides for ratio in RATIOS]


def anchors(maps: Sequence[tuple[int, int]], device: torch.device | None = None) -> Tensor:
    """Boxes of every anchor; their sides are shares of the view, so that they grow with it.

    Two deviations (ours): centres are the middles of a level's cells also where these do not divide the view (4 cells
    on 448, where the public code has centres on the border), and boxes end at the border, where the public code pads
    the image by 224 pixels. Views of 224 px and more are covered; a 64 px one has a single cell on levels 2 and 3.

    Args:
        maps: (H, W) of each level.
        device: where to make them.

    Returns:
        (A, 4) cxcywh in [0, 1]: by level, then shape, row and column, as the Navigator's maps are flattened.
    """
    found = []
    for level, (height, width) in enumerate(maps):
        shapes = torch.tensor(anchor_shapes(level), device=device)  # (T, 2)
        y = (torch.arange(height, device=device) + 0.5) / height
        x = (torch.arange(width, device=device) + 0.5) / width
        centre = torch.stack((x.expand(height, width), y[:, None].expand(height, width)), -1)  # (H, W, 2)
        grid = (len(shapes), height, width, 2)
        found.append(torch.cat((centre.expand(grid), shapes[:, None, None].expand(grid)), -1).flatten(0, 2))
    inside: Tensor = box_convert(box_convert(torch.cat(found), "cxcywh", "xyxy").clamp(0, 1), "xyxy", "cxcywh")
    return inside


def anchor_levels(maps: Sequence[tuple[int, int]], device: torch.device | None = None) -> Tensor:
    """Level of each anchor, from 1: (A,)."""
    sizes = torch.tensor([t * h * w for t, (h, w) in zip(SHAPES, maps, strict=True)], device=device)
    return torch.arange(1, len(maps) + 1, device=device).repeat_interleave(sizes, output_size=anchor_count(maps))


def anchor_count(maps: Sequence[tuple[int, int]]) -> int:
    """A."""
    return sum(t * h * w for t, (h, w) in zip(SHAPES, maps, strict=True))


def choose(scores: Tensor, boxes: Tensor, count: int, threshold: float = 0.25) -> Tensor:
    """The best anchors that do not overlap: non-maximum suppression, ended at M and run for all images at once.

    All images have the same anchors and few are wanted, so M steps do what torchvision's nms does for one image. Where
    fewer than M survive, the best of the suppressed ones follow.

    Args:
        scores: (B, A).
        boxes: (A, 4) cxcywh.
        count: M <= A.
        threshold: the largest intersection over union of two chosen ones.

    Returns:
        (B, M) indices, by falling score among the survivors.
    """
    corners = box_convert(boxes, "cxcywh", "xyxy")
    free, left = torch.ones_like(scores, dtype=torch.bool), torch.ones_like(scores, dtype=torch.bool)
    chosen = []
    for _ in range(count):
        candidates = torch.where(free.any(1, keepdim=True), free, left)
        best = scores.masked_fill(~candidates, -torch.inf).argmax(1)  # (B,)
        chosen.append(best)
        left = left.scatter(1, best[:, None], False)
        free = free & left & (box_iou(corners[best], corners) <= threshold)
    return torch.stack(chosen, 1)
