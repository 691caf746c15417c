"""How well the parts cover annotated marks, compared with chance; training never uses annotations.

B batch, M parts, R marks, U scales, N grid, n images.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.ops import box_convert

from scapnet.modules.boxes import window_boxes
from scapnet.network import NetworkOutput


def holds_centre(boxes: Tensor, marks: Tensor) -> Tensor:
    """Which boxes contain the centre of which mark, as in the pointing game; a point is a mark without size.

    Args:
        boxes: (B, M, 4) cxcywh in [0, 1].
        marks: (B, R, 4) xyxy in [0, 1]; NaN if a mark is not visible; no box contains it.

    Returns:
        (B, M, R) bool.
    """
    corners = box_convert(boxes, "cxcywh", "xyxy").unsqueeze(2)  # (B, M, 1, 4)
    centre = ((marks[..., :2] + marks[..., 2:]) / 2).unsqueeze(1)  # (B, 1, R, 2)
    inside: Tensor = (corners[..., :2] <= centre) & (centre < corners[..., 2:])  # NaN compares false
    return inside.all(-1)


def in_view(marks: Tensor) -> Tensor:
    """Which marks (B, R, 4) xyxy in [0, 1] have their centre in the view: (B, R) bool."""
    whole = marks.new_tensor([0.5, 0.5, 1.0, 1.0]).expand(len(marks), 1, 4)
    return holds_centre(whole, marks)[:, 0]


def chance_of_a_hit(holders: Tensor, windows: int, drawn: Tensor) -> Tensor:
    """The probability that windows drawn without replacement include one with a mark (hypergeometric, exact).

    Args:
        holders: (B, R) number of windows that contain the mark.
        windows: number of all windows.
        drawn: (B,) number of drawn windows.

    Returns:
        (B, R) 1 - C(windows - holders, drawn) / C(windows, drawn).
    """
    none = torch.ones(holders.shape, device=holders.device)
    for i in range(int(drawn.max())):
        step = (windows - holders - i).clamp(min=0).float() / (windows - i)
        none = torch.where((drawn > i)[:, None], none * step, none)
    return 1 - none


def windows_of(output: NetworkOutput, scale: int) -> Tensor:
    """Every window of a scale, (n, 4) cxcywh in [0, 1]."""
    assert output.gate is not None
    height, width = output.gate.features.shape[-2:]
    return window_boxes(height, width, output.gate.mask.shape[-1], scale, device=output.gate.mask.device)


def hit_rates(output: NetworkOutput, marks: Tensor) -> dict[str, Tensor]:
    """For each image and scale, the share of the chosen windows that contain a mark, and that of all windows.

    The second is the average of randomly chosen windows.

    Args:
        output: the output of a network whose parts are windows of its gate's grid.
        marks: (B, R, 4) xyxy in [0, 1]; NaN if a mark is not visible.

    Returns:
        ``hit_scale1``, ``random_scale1`` and so on, (B,) each; NaN for images without a mark in the view, and for
        scales without a chosen part.
    """
    assert output.parts is not None
    chosen = holds_centre(output.parts.boxes, marks).any(-1)  # (B, M)
    seen = in_view(marks).any(1)  # (B,)
    columns = {}
    for scale, scores in enumerate(output.parts.maps, 1):
        every = windows_of(output, scale).expand(len(marks), -1, -1)
        random = holds_centre(every, marks).any(-1).float().mean(1)
        here = (output.parts.scales == scale).to(scores)
        mine = (chosen * here).sum(1) / here.sum(1)  # 0 / 0 is NaN
        columns[f"hit_scale{scale}"] = torch.where(seen, mine, torch.nan)
        columns[f"random_scale{scale}"] = torch.where(seen & here.any(1), random, torch.nan)
    return columns


def coverage(output: NetworkOutput, marks: Tensor) -> Tensor:
    """Whether a chosen part contains each mark, with the probability that as many random windows of each scale do.

    Args:
        output: the output of a network whose parts are windows of its gate's grid.
        marks: (B, R, 4) xyxy in [0, 1]; NaN if a mark is not visible.

    Returns:
        (B, R, U + 1, 2): parts of any scale, then of scale 1, 2, ...; found, then chance. NaN if the mark is not in
        the view, and at scales without a chosen part.
    """
    assert output.parts is not None
    chosen = holds_centre(output.parts.boxes, marks)  # (B, M, R)
    pairs = []
    missed = torch.ones(marks.shape[:2], device=marks.device)
    for scale in range(1, len(output.parts.maps) + 1):
        here = output.parts.scales == scale  # (B, M)
        every = windows_of(output, scale)
        holders = holds_centre(every.expand(len(marks), -1, -1), marks).sum(1)  # (B, R)
        chance = chance_of_a_hit(holders, len(every), here.sum(1))
        missed = missed * (1 - chance)
        found = (chosen & here[..., None]).any(1).float()
        pairs.append(torch.stack((found, chance), -1).masked_fill(~here.any(1)[:, None, None], torch.nan))
    together = torch.stack((chosen.any(1).float(), 1 - missed), -1)
    return torch.stack((together, *pairs), 2).masked_fill(~in_view(marks)[..., None, None], torch.nan)


def coverage_by_mark(cover: Tensor, names: Sequence[str]) -> dict[str, dict[str, float]]:
    """Means of `coverage` over the images of a split, by the name of a mark.

    Args:
        cover: (n, R, U + 1, 2).
        names: R names; marks of one name are counted together.

    Returns:
        For each visible name, the number of ``marks`` in view, the share ``covered`` by a part and by ``random``
        windows, and both for each scale with parts.
    """
    found = {}
    for name in sorted(set(names)):
        rows = cover[:, [i for i, other in enumerate(names) if other == name]].double().flatten(0, 1)  # (n * r, U+1, 2)
        count = int((~rows[:, 0, 0].isnan()).sum())
        if not count:
            continue
        means = rows.nanmean(0).tolist()  # NaN at scales without parts
        found[name] = {"marks": float(count), "covered": means[0][0], "random": means[0][1]}
        for scale, (mine, chance) in enumerate(means[1:], 1):
            if mine == mine:
                found[name] |= {f"covered_scale{scale}": mine, f"random_scale{scale}": chance}
    return found
