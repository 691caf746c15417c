"""Anchors of NTS-Net, and non-maximum suppression among them.

B batch, H W map size of a level, T anchor shapes of a level, A anchors of all levels, M chosen anchors.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.ops import box_convert, box_iou

# Settings of NTS-Net's public code: base side in pixels of a 448 px view, and scales, at strides 32, 64 and 128.
VIEW = 448
LEVELS = (
    (48, (2 ** (1 / 3), 2 ** (2 / 3))),
    (96, (2 ** (1 / 3), 2 ** (2 / 3))),
    (192, (1.0, 2 ** (1 / 3), 2 ** (2 / 3))),
)
RATIOS = (0.667, 1.0, 1.5)  # width over height
SHAPES = tuple(len(scales) * len(RATIOS) for _, scales in LEVELS)  # T of each level: 6, 6, 9


def anchor_shapes(level: int) -> list[tuple[float, float]]:
    """Widths and heights of a level's T anchors in [0, 1] of the view, by scale, then ratio; ratios keep the area."""
    side, scales = LEVELS[level]
    sides = [side / VIEW * scale for scale in scales]
    return [(length * math.sqrt(ratio), length / math.sqrt(ratio)) for length in sides for ratio in RATIOS]


def anchors(maps: Sequence[tuple[int, int]], device: torch.device | None = None) -> Tensor:
    """Boxes of all anchors. Their sides are fractions of the view, so they scale with it.

    Two deviations (ours): anchors are centred on the cells of a level even if the cells do not divide the view (4 cells
    on 448 px, where the public code puts centres on the border), and boxes are clipped to the view, where the public
    code pads the image by 224 pixels. The anchors of a view of 224 px or more cover all of it; a view of 64 px has a
    single cell on levels 2 and 3.

    Args:
        maps: (H, W) of each level.
        device: device of the result.

    Returns:
        (A, 4) cxcywh in [0, 1], by level, then shape, row and column, the order in which the Navigator flattens its
        maps.
    """
    found = []
    for level, (height, width) in enumerate(maps):
        shapes = torch.tensor(anchor_shapes(level), device=device)  # (T, 2)
        y = (torch.arange(height, device=device) + 0.5) / height
        x = (torch.arange(width, device=device) + 0.5) / width
        centre = torch.stack((x.expand(height, width), y[:, None].expand(height, width)), -1)  # (H, W, 2)
        grid = (len(shapes), height, width, 2)
        found.append(torch.cat((centre.expand(grid), shapes[:, None, None].expand(grid)), -1).flatten(0, 2))
    clipped: Tensor = box_convert(box_convert(torch.cat(found), "cxcywh", "xyxy").clamp(0, 1), "xyxy", "cxcywh")
    return clipped


def anchor_levels(maps: Sequence[tuple[int, int]], device: torch.device | None = None) -> Tensor:
    """(A,) level of each anchor, counted from 1."""
    sizes = torch.tensor([t * h * w for t, (h, w) in zip(SHAPES, maps, strict=True)], device=device)
    return torch.arange(1, len(maps) + 1, device=device).repeat_interleave(sizes, output_size=anchor_count(maps))


def anchor_count(maps: Sequence[tuple[int, int]]) -> int:
    """A, the number of anchors of all levels."""
    return sum(t * h * w for t, (h, w) in zip(SHAPES, maps, strict=True))


def choose(scores: Tensor, boxes: Tensor, count: int, threshold: float = 0.25) -> Tensor:
    """Non-maximum suppression for a batch of images, which stops at M anchors.

    `torchvision.ops.nms` takes one image. Here all images share the same anchors, so M steps give its result for the
    whole batch. If fewer than M anchors survive, the best suppressed ones follow.

    Args:
        scores: (B, A).
        boxes: (A, 4) cxcywh.
        count: M <= A.
        threshold: the largest intersection over union that two surviving anchors may have.

    Returns:
        (B, M) indices, by descending score, survivors first.
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
