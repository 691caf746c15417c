"""How well a network's parts and its gate meet what is annotated, beside chance; no training ever sees any of it.

B batch, M parts, R marks, N grid, u scale, U scales, H W map size.
"""

import torch
from torch import Tensor
from torchvision.ops import box_convert

from scapnet.data.names import unpack_names
from scapnet.modules.boxes import unit_edges, window_boxes
from scapnet.network import NetworkOutput


def holding(boxes: Tensor, marks: Tensor) -> Tensor:
    """Which boxes hold the centre of which mark; a point is a mark of no size.

    Args:
        boxes: (B, M, 4) cxcywh in [0, 1].
        marks: (B, R, 4) xyxy in [0, 1]; rows without a mark are NaN.

    Returns:
        (B, M, R) bool.
    """
    corners = box_convert(boxes, "cxcywh", "xyxy").unsqueeze(2)  # (B, M, 1, 4)
    centre = ((marks[..., :2] + marks[..., 2:]) / 2).unsqueeze(1)  # (B, 1, R, 2)
    inside: Tensor = (corners[..., :2] <= centre) & (centre < corners[..., 2:])  # NaN compares false
    return inside.all(-1)


def holds(boxes: Tensor, marks: Tensor) -> Tensor:
    """Which boxes (B, M, 4) cxcywh hold the centre of any mark (B, R, 4) xyxy: (B, M) bool."""
    return holding(boxes, marks).any(-1)


def visible(marks: Tensor) -> Tensor:
    """Which marks (B, R, 4) xyxy in [0, 1] have their centre in the view: (B, R) bool."""
    whole = marks.new_tensor([0.5, 0.5, 1.0, 1.0]).expand(len(marks), 1, 4)
    return holding(whole, marks)[:, 0]


def any_of(holders: Tensor, windows: int, drawn: Tensor) -> Tensor:
    """Chance that windows drawn at random, each at most once, have one among them that holds a mark: exact.

    Args:
        holders: (B, R) how many of all windows hold the mark.
        windows: how many there are.
        drawn: (B,) how many are drawn.

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


def mark_columns(output: NetworkOutput, marks: Tensor) -> dict[str, Tensor]:
    """Per image and scale, the share of chosen windows that hold a mark's centre, and the share of all windows.

    The second is what windows chosen at random would get, exactly and without drawing any. Images without a visible
    mark in the view, and scales without a part, give NaN.
    """
    assert output.parts is not None
    chosen = holds(output.parts.boxes, marks)  # (B, M)
    seen = visible(marks).any(1)  # (B,)
    columns = {}
    for scale, scores in enumerate(output.parts.maps, 1):
        random = holds(windows_of(output, scale).expand(len(marks), -1, -1), marks).float().mean(1)
        here = (output.parts.scales == scale).to(scores)
        mine = (chosen * here).sum(1) / here.sum(1)  # 0 / 0 is NaN
        columns[f"hit_scale{scale}"] = torch.where(seen, mine, torch.nan)
        columns[f"random_scale{scale}"] = torch.where(seen & here.any(1), random, torch.nan)
    return columns


def covered(output: NetworkOutput, marks: Tensor) -> Tensor:
    """Whether a chosen part holds each mark's centre, beside the chance that as many random windows of each scale do.

    Args:
        output: of a network with parts.
        marks: (B, R, 4) xyxy in [0, 1]; rows without a mark are NaN.

    Returns:
        (B, R, U + 1, 2): parts of any scale, then of scale 1, 2, ...; found, then chance. NaN where the mark is not
        in the view, and at scales of which no part was chosen.
    """
    assert output.parts is not None
    chosen = holding(output.parts.boxes, marks)  # (B, M, R)
    pairs = []
    missed = torch.ones(marks.shape[:2], device=marks.device)
    for scale in range(1, len(output.parts.maps) + 1):
        here = output.parts.scales == scale  # (B, M)
        every = windows_of(output, scale)
        holders = holding(every.expand(len(marks), -1, -1), marks).sum(1)  # (B, R)
        chance = any_of(holders, len(every), here.sum(1))
        missed = missed * (1 - chance)
        found = (chosen & here[..., None]).any(1).float()
        pairs.append(torch.stack((found, chance), -1).masked_fill(~here.any(1)[:, None, None], torch.nan))
    together = torch.stack((chosen.any(1).float(), 1 - missed), -1)
    return torch.stack((together, *pairs), 2).masked_fill(~visible(marks)[..., None, None], torch.nan)


def gate_columns(output: NetworkOutput, box: Tensor) -> dict[str, Tensor]:
    """Precision and recall (B,) of the kept area against the object's box, each beside a random mask's.

    A mask that keeps each place of the view with the same chance has, on average, the box's share of the view for its
    precision, and its own kept share for its recall.

    Args:
        output: of a network with a gate.
        box: (B, 4) xyxy in [0, 1], reaching out of the view where it was cut; NaN where there is none.
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
    seen = size > 0  # false where the box is NaN or out of the view
    columns = {
        "gate_precision": both / kept,
        "random_gate_precision": size,
        "gate_recall": both / size,
        "random_gate_recall": kept,
    }
    return {key: torch.where(seen, value, torch.nan) for key, value in columns.items()}


def by_place(masks: Tensor) -> Tensor:
    """How much of the gate's choice the place alone tells: the share of the masks' variance that lies between units.

    0 where every unit is kept as often as every other, 1 where all images have the same mask. A gate that follows
    what the images show lies low; one near 1 tells nothing about an image. What few images add by chance is taken off
    as if units varied independently (the intraclass correlation of an analysis of variance).

    Args:
        masks: (n, N, N) in [0, 1], of n images, hard or soft.

    Returns:
        A scalar; NaN where nothing varies, as in a gate that keeps everything, and of fewer than two images or units.
    """
    units = masks.flatten(1).double()  # (n, N*N)
    if min(units.shape) < 2:
        return units.new_tensor(torch.nan)
    within = units.var(0).mean()
    between = (units.mean(0).var() - within / len(units)).clamp(min=0)
    return between / (between + within)


def _overlap(edges: Tensor, first: Tensor, last: Tensor) -> Tensor:
    """Length (B, N) that each unit of edges (N + 1,) shares with the spans from first to last (B,)."""
    upper, lower = torch.minimum(edges[1:], last[:, None]), torch.maximum(edges[:-1], first[:, None])
    return (upper - lower).clamp(min=0)


class MarkTable:
    """Sums of `covered` by the name of a mark, over the batches of a split."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}  # (U + 1, 2)
        self.counts: dict[str, Tensor] = {}

    def add(self, cover: Tensor, names: Tensor) -> None:
        """Count a batch: cover (B, R, U + 1, 2) of `covered`, and packed names (B, R, WIDTH)."""
        shown = ~cover[:, :, 0, 0].isnan()  # (B, R)
        for row, name in zip(cover[shown].cpu().double(), unpack_names(names[shown]), strict=True):
            self.sums[name] = self.sums.get(name, torch.zeros_like(row)) + row.nan_to_num()
            self.counts[name] = self.counts.get(name, torch.zeros_like(row)) + ~row.isnan()

    def result(self) -> dict[str, dict[str, float]]:
        """For each name how many marks were in view, and the shares of them that a part held and that chance holds."""
        found = {}
        for name in sorted(self.sums):
            means = (self.sums[name] / self.counts[name]).tolist()  # scales without any part are NaN
            found[name] = {"marks": float(self.counts[name][0, 0]), "covered": means[0][0], "random": means[0][1]}
            for scale, (mine, chance) in enumerate(means[1:], 1):
                if mine == mine:
                    found[name] |= {f"covered_scale{scale}": mine, f"random_scale{scale}": chance}
        return found
