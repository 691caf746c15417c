"""Explanations of an answer as maps over the view: the evidence of the parts, and others for comparison.

B batch, C explained classes, M parts, S side of the view, R regions.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from scapnet.data.transforms import Views
from scapnet.faithfulness.activation import Activations, activations
from scapnet.faithfulness.evidence import class_scores, has_votes, part_evidence, part_maps
from scapnet.model import SCAPNet
from scapnet.modules.ggau import GridGate
from scapnet.network import Network

NAMES = {
    "parts": "parts",
    "parts_spread": "parts, per pixel",
    "random_boxes": "random boxes",
    "fixed_boxes": "fixed boxes",
    "cam": "CAM x gate",
    "parts_cam": "CAM of the parts",
    "whole_cam": "CAM of both branches",
    "input_x_gradient": "Input x Gradient",
    "chance": "random numbers",
}


class Explanation(NamedTuple):
    """What each place of a view adds to the scores of some classes."""

    maps: Tensor  # (B, C, S, S)
    total: Tensor  # (B, C) sum of the whole explanation
    mean: bool = False  # a region's importance is the map's mean over it; otherwise its sum

    def importance(self, i: int, regions: Tensor) -> Tensor:
        """Importance (C, R) of regions (R, S, S) bool of image i."""
        weights = regions.to(self.maps).flatten(1)  # (R, S * S)
        sums = self.maps[i].flatten(1) @ weights.T
        return sums / weights.sum(1).clamp(min=1) if self.mean else sums


def run(model: Network, batch: Views) -> Any:
    """The output of a network in evaluation mode for a batch of views."""
    return model(batch["image"], batch.get("source"), batch["index"])


@contextmanager
def chosen_by(model: SCAPNet, strategy: str) -> Iterator[None]:
    """Let the network choose its parts by another strategy: "random" or "fixed"."""
    assert model.selection is not None
    before = model.selection.strategy
    model.selection.strategy = strategy  # type: ignore[assignment]
    try:
        yield
    finally:
        model.selection.strategy = before


def by_parts(output: Any, classes: Tensor, size: int, spread: bool = False) -> Explanation:
    """The evidence of the parts (see `part_maps`): a region's importance is that of the parts that cover it."""
    maps = part_maps(output, classes, size, spread)
    total = part_evidence(output).sum(1).gather(1, classes)
    return Explanation(maps, total, mean=not spread)


def input_x_gradient(model: Network, batch: Views, classes: Tensor) -> Explanation:
    """Pixels in [0, 1] times the gradient of the class score, summed over the colours.

    The gradient flows from the score to the pixels both through the main branch and through the parts' crops; the
    choice of parts and the gate's mask are held fixed.
    """
    keys: list[str] = [key for key in ("image", "source") if key in batch]
    mean, std = (torch.tensor(values).view(3, 1, 1).to(batch["image"]) for values in (model.view.mean, model.view.std))
    size, maps = batch["image"].shape[-1], []
    for column in classes.T:
        with torch.enable_grad(), held(model):
            inputs = {key: batch[key].detach().clone().requires_grad_() for key in keys}
            score = class_scores(run(model, {**batch, **inputs})).gather(1, column[:, None]).sum()
            gradients = torch.autograd.grad(score, list(inputs.values()), allow_unused=True)
        total = torch.zeros_like(batch["image"][:, 0])
        for key, gradient in zip(keys, gradients, strict=True):
            if gradient is None:  # a network without parts does not use the source
                continue
            product = (gradient / std * (batch[key] * std + mean)).sum(1)
            total = total + gathered(product, size)
        maps.append(total.detach())
    stacked = torch.stack(maps, 1)
    return Explanation(stacked, stacked.sum((2, 3)))


@contextmanager
def held(model: Network) -> Iterator[None]:
    """Turn off the straight-through gradient of a hard gate, which its output does not have in evaluation."""
    gate = getattr(model, "gate", None)
    if not isinstance(gate, GridGate) or gate.mode != "hard":
        yield
        return
    hook = gate.fc2.register_forward_hook(lambda _module, _inputs, scores: scores.detach())
    try:
        yield
    finally:
        hook.remove()


def gathered(maps: Tensor, size: int) -> Tensor:
    """Maps (B, S', S') as (B, size, size) with the same sums: each value goes to the pixel that contains its centre."""
    large = maps.shape[-1]
    if large == size:
        return maps
    index = ((torch.arange(large, device=maps.device) + 0.5) * size / large).long()
    rows = maps.new_zeros(len(maps), size, large).index_add(1, index, maps)
    return maps.new_zeros(len(maps), size, size).index_add(2, index, rows)


def chance(batch: Views, classes: Tensor) -> Explanation:
    """Random numbers in blocks of a sixteenth of the side, the same each time for the same image."""
    size, maps = batch["image"].shape[-1], []
    for i in batch["index"].tolist():
        noise = torch.rand(classes.shape[1], 1, 16, 16, generator=torch.Generator().manual_seed(i))
        maps.append(F.interpolate(noise, size=(size, size))[:, 0])
    stacked = torch.stack(maps).to(batch["image"])
    return Explanation(stacked, stacked.sum((2, 3)))


def explanations(model: Network, batch: Views, classes: Tensor) -> dict[str, Explanation]:
    """All explanations that a network supports, by the keys of `NAMES`.

    Args:
        model: a network in evaluation mode.
        batch: a batch of views, on the network's device.
        classes: (B, C) to explain.
    """
    size = batch["image"].shape[-1]
    with torch.no_grad():
        output = run(model, batch)
    found = dict[str, Explanation]()
    if has_votes(output):
        found["parts"] = by_parts(output, classes, size)
        found["parts_spread"] = by_parts(output, classes, size, spread=True)
    if has_votes(output) and isinstance(model, SCAPNet) and can_choose(model):
        for strategy in ("random", "fixed"):
            with torch.no_grad(), chosen_by(model, strategy):
                found[f"{strategy}_boxes"] = by_parts(run(model, batch), classes, size)
    if (maps := _or_none(lambda: activations(model, batch, classes))) is not None:
        found["cam"] = _summed(maps.main)
        if maps.parts is not None:
            found["parts_cam"] = _summed(maps.parts)
            found["whole_cam"] = _summed(maps.main + maps.parts)
    found["input_x_gradient"] = input_x_gradient(model, batch, classes)
    found["chance"] = chance(batch, classes)
    return found


def can_choose(model: SCAPNet) -> bool:
    """Whether the chosen windows can be replaced by as many random or fixed ones."""
    selection = model.selection
    return selection is not None and selection.num_parts == sum(selection.keep)


def _summed(maps: Tensor) -> Explanation:
    return Explanation(maps, maps.sum((2, 3)))


def _or_none(work: Callable[[], Activations]) -> Activations | None:
    """None where the network has no such maps."""
    try:
        return work()
    except ValueError:
        return None
