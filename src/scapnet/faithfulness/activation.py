"""Class activation maps of a whole network: of its main branch, and of each part within the part's box.

B batch, C classes that are explained, M parts, D channels of a last map, h w its size, S side of the view.
"""

from contextlib import ExitStack
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import box_convert

from scapnet.backbones.cnn import Backbone
from scapnet.cam import last_maps
from scapnet.data.transforms import Views
from scapnet.faithfulness.evidence import class_scores, has_votes
from scapnet.network import Network


class Activations(NamedTuple):
    """What each place adds to the scores of some classes."""

    main: Tensor  # (B, C, S, S) of the main branch, 0 where the gate is closed
    parts: Tensor | None  # (B, C, S, S) of the parts, each within its box


def activations(model: Network, batch: Views, classes: Tensor) -> Activations:
    """The maps of a network for classes (B, C).

    A place adds the product of its features and of the gradient of the class score by them (for an average pool and a
    linear classifier this is the class activation map of Zhou et al., 2016). The parts' maps go through the relation
    between parts, so that a part also has what it adds to the votes of others.

    Raises:
        ValueError: the network has no map at its end.
    """
    sub = getattr(model, "part_backbone", None)
    backbones = [model.backbone, *([sub] if isinstance(sub, Backbone) and sub is not model.backbone else [])]
    with torch.enable_grad(), ExitStack() as stack:
        found = [stack.enter_context(last_maps(backbone, as_leaves=True)) for backbone in backbones]
        output = model(batch["image"], batch.get("source"), batch["index"])
        maps = [one for some in found for one in some]
        if any(one.dim() != 4 for one in maps):
            raise ValueError("CAM needs a network that ends in a map")
        cells = [list[Tensor]() for _ in maps]
        for column in classes.T:
            score = class_scores(output).gather(1, column[:, None]).sum()
            gradients = torch.autograd.grad(score, maps, retain_graph=True, allow_unused=True)
            for kept, one, gradient in zip(cells, maps, gradients, strict=True):
                kept.append((torch.zeros_like(one) if gradient is None else gradient * one).sum(1).detach().float())
    size = batch["image"].shape[-1]
    main = enlarged(torch.stack(cells[0], 1), size, size)
    if output.gate is not None:
        main = main * F.interpolate(output.gate.mask.detach().float()[:, None], size=(size, size), mode="nearest")
    if not has_votes(output) or len(cells) < 2:
        return Activations(main, None)
    boxes = output.parts.boxes
    parts = torch.stack(cells[1], 1)  # (B * M, C, h, w)
    return Activations(main, pasted(parts.view(*boxes.shape[:2], *parts.shape[1:]), boxes, size))


def enlarged(maps: Tensor, height: int, width: int) -> Tensor:
    """Maps (B, C, h, w) in another size with sums that are nearly the same."""
    large = F.interpolate(maps, size=(height, width), mode="bilinear", align_corners=False)
    return large * (maps.shape[-2] * maps.shape[-1] / (height * width))


def pasted(maps: Tensor, boxes: Tensor, size: int) -> Tensor:
    """The sum of maps (B, M, C, h, w) that are each laid into their box (B, M, 4) cxcywh: (B, C, size, size)."""
    canvas = maps.new_zeros(len(maps), maps.shape[2], size, size)
    corners = (box_convert(boxes, "cxcywh", "xyxy") * size).round().long().clamp(0, size).tolist()
    for i, row in enumerate(corners):
        for m, (x0, y0, x1, y1) in enumerate(row):
            if x1 > x0 and y1 > y0:
                canvas[i, :, y0:y1, x0:x1] += enlarged(maps[i, m][None], y1 - y0, x1 - x0)[0]
    return canvas
