"""Whether gate and parts follow the content of a photo, tested on mirrored and shifted photos.

A choice that follows the content moves with it; one that prefers fixed places stays. Only units and windows for which
the two differ are counted, so that objects at the same place in all photos do not count as fixed places.

B batch, N grid, U scales, n = N - u + 1 windows on a side of scale u, S side of the view.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scapnet.data.transforms import Views
from scapnet.metrics.localization import windows_of
from scapnet.network import NetworkOutput

MOVES = ("mirror", "shift")
Maps = list[Tensor]  # (B, n, n) bool: whether each unit or window was chosen


def rows_of(output: Any, some: Tensor) -> Any:
    """The gate and the parts of some images (B,) bool of a batch; the rest of the output stays whole."""
    gate, parts = output.gate, output.parts
    gate = gate._replace(features=gate.features[some], mask=gate.mask[some], logits=gate.logits[some])
    if parts is not None:
        kept = {key: getattr(parts, key)[some] for key in ("boxes", "scores", "scales")}
        parts = parts._replace(**kept, maps=tuple(scores[some] for scores in parts.maps))
    return output._replace(gate=gate, parts=parts)


def follows(before: Tensor, expected: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
    """Count the places that followed, and those where following and staying differ.

    Args:
        before: (B, P) bool, the choice in the photo; a choice that stays is the same in the moved photo.
        expected: (B, P) bool, the choice in the moved photo if it follows.
        after: (B, P) bool, the actual choice in the moved photo.

    Returns:
        (B,) places that followed and (B,) places that could.
    """
    differ = before != expected
    return (differ & (after == expected)).sum(1), differ.sum(1)


def moved_views(views: Mapping[str, Tensor], move: str, grid: int) -> dict[str, Tensor]:
    """Mirrored views, or views shifted to the right by a unit of the grid, filled up by reflection.

    Args:
        views: "image" (B, 3, S, S) and perhaps "source" (B, 3, S', S').
        move: one of MOVES.
        grid: N.
    """
    if move == "mirror":
        return {key: view.flip(-1) for key, view in views.items()}
    return {key: _shifted(view, round(view.shape[-1] / grid)) for key, view in views.items()}


def _shifted(view: Tensor, pixels: int) -> Tensor:
    pixels = min(pixels, view.shape[-1] - 1)  # the whole view is one unit
    return F.pad(view, (pixels, 0, 0, 0), mode="reflect")[..., : view.shape[-1]]


def expected_map(chosen: Tensor, move: str) -> tuple[Tensor, Tensor]:
    """A choice (B, n, n) in the moved photo if it follows, and before the move: both (B, places) bool.

    The first column of a shifted photo shows something else and is left out.
    """
    if move == "mirror":
        return chosen.flip(-1).flatten(1), chosen.flatten(1)
    return chosen[..., :-1].flatten(1), chosen[..., 1:].flatten(1)


def observed_map(chosen: Tensor, move: str) -> Tensor:
    """A moved photo's choice (B, n, n) at the places of `expected_map`."""
    return (chosen if move == "mirror" else chosen[..., 1:]).flatten(1)


def gate_choice(output: NetworkOutput) -> Maps:
    """The units that the gate keeps; for a soft gate, those with a mask above 1/2."""
    assert output.gate is not None
    return [output.gate.mask > 0.5]


def part_choice(output: NetworkOutput) -> Maps:
    """The windows of each scale that are parts."""
    assert output.parts is not None
    maps = []
    for scale, scores in enumerate(output.parts.maps, 1):
        same = torch.isclose(output.parts.boxes.unsqueeze(2), windows_of(output, scale), atol=1e-4).all(-1)  # (B, M, P)
        maps.append(same.any(1).view(-1, *scores.shape[1:]))
    return maps


def following(
    output: NetworkOutput, views: Mapping[str, Tensor], run: Callable[[dict[str, Tensor]], Any]
) -> dict[str, Tensor]:
    """For each photo, the share of places where the choice followed, among those where following and staying differ.

    1 means following the content, 0 fixed places whatever a photo shows; a random choice has 1/2.

    Args:
        output: the output for the views, of a network with a gate.
        views: "image" (B, 3, S, S) and perhaps "source" (B, 3, S', S').
        run: computes the output for other views of the same photos.

    Returns:
        ``gate_follows_mirror`` and ``gate_follows_shift``, and the same of ``parts`` where there are any that are
        windows of the grid, (B,) each; NaN where no place can tell.
    """
    assert output.gate is not None
    grid = output.gate.mask.shape[-1]
    choices = {"gate": gate_choice} | ({"parts": part_choice} if output.parts is not None else {})
    found = {}
    for move in MOVES:
        moved = run(moved_views(views, move, grid))
        for name, choice in choices.items():
            followed, could = torch.zeros(2, len(views["image"]), device=views["image"].device)
            for before, after in zip(choice(output), choice(moved), strict=True):
                expected, same = expected_map(before, move)
                ones, all_ = follows(same, expected, observed_map(after, move))
                followed, could = followed + ones, could + all_
            found[f"{name}_follows_{move}"] = followed / could  # 0 / 0 is NaN
    return found


def follow_columns(model: nn.Module, output: Any, batch: Views, every: int) -> dict[str, Tensor]:
    """`following` for every so many samples by their index; NaN for the others, which are not run again."""
    index = batch["index"]
    some = wanted = (index % every == 0) & ~batch["broken"]
    if not some.any():  # every process must run the model equally often
        some = torch.arange(len(index), device=index.device) == 0
    keys: list[str] = [key for key in ("image", "source") if key in batch]

    def run(views: dict[str, Tensor]) -> Any:
        return model(views["image"], views.get("source"), index[some])

    found = {}
    for key, values in following(rows_of(output, some), {key: batch[key][some] for key in keys}, run).items():
        found[key] = torch.full(index.shape, torch.nan, device=values.device)
        found[key][some] = values
        found[key][~wanted] = torch.nan
    return found
