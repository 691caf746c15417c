"""gGAU, the grid gate attention unit: Eq. 1, 4, 5 and 6.

B batch, C channels, H W map size, N grid.
"""

from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scapnet.modules.boxes import averaging_matrix, pool_windows

Mode = Literal["hard", "soft"]


class GateOutput(NamedTuple):
    """The output of the gate."""

    features: Tensor  # (B, C, H, W) Eq. 1
    mask: Tensor  # (B, N, N) 0 or 1 forward, softmax gradient in training; P(keep) of a soft gate
    logits: Tensor  # (B, N, N, 2) [..., 1] is keep


def gate_mask(logits: Tensor, mode: Mode = "hard", noise: bool = False, tau: float = 1.0) -> Tensor:
    """Decide which units are kept, Eq. 5 and 6.

    The scores s of Eq. 4 are logits, so log(s_k) of Eq. 5 is s itself. If all units of an image would be closed, the
    one with the highest keep probability is kept.

    Args:
        logits: (B, N, N, 2), [..., 1] is keep.
        mode: "hard" gives 0 or 1 with the softmax's gradient (straight through), "soft" P(keep).
        noise: add Gumbel noise, from torch's generator.
        tau: temperature of the softmax.

    Returns:
        (B, N, N).
    """
    if noise:
        logits = logits - torch.empty_like(logits).exponential_().log()  # -log of an exponential is Gumbel
    keep = (logits / tau).softmax(-1)[..., 1]  # (B, N, N)
    if mode == "soft":
        return keep
    # The argmax over two logits, which is exact even if both probabilities round to 0.5.
    margin = (logits[..., 1] - logits[..., 0]).flatten(1)  # (B, N*N)
    best = F.one_hot(margin.argmax(1), margin.shape[1]).bool()
    kept = (margin > 0) | (best & (margin <= 0).all(1, keepdim=True))
    hard = kept.view_as(keep).to(keep.dtype)
    # In this order of additions the value is exactly 0 or 1; otherwise a kept unit could be 0.99999994.
    return hard + (keep - keep.detach()) if keep.requires_grad else hard


def apply_mask(features: Tensor, mask: Tensor) -> Tensor:
    """X' = M * X, Eq. 1: each cell is multiplied by the mask of its unit.

    Args:
        features: (B, C, H, W).
        mask: (B, N, N).

    Returns:
        (B, C, H, W).
    """
    return features * unit_cells(mask, *features.shape[-2:]).unsqueeze(1).to(features.dtype)


def unit_cells(mask: Tensor, height: int, width: int) -> Tensor:
    """The value of each cell's unit: a mask (B, N, N) to (B, H, W)."""
    grid = mask.shape[-1]
    # With every weight set to one, the averaging matrices of scale 1 copy a unit's value to its cells.
    rows = (averaging_matrix(height, grid, 1, device=mask.device) > 0).to(mask.dtype)  # (N, H)
    columns = (averaging_matrix(width, grid, 1, device=mask.device) > 0).to(mask.dtype)
    return rows.T @ mask @ columns


def mask_pixels(images: Tensor, mask: Tensor, cells: tuple[int, int], margin: int = 0) -> Tensor:
    """Images in which the pixels of closed units are 0, the mean colour of a normalised view (not in the paper).

    A pixel belongs to the unit of the cell that its centre lies in, so a unit is the same area as in a part's box.

    Args:
        images: (B, 3, h, w) normalised.
        mask: (B, N, N); a unit is closed where it is 0.
        cells: H and W of the map that the mask was made for.
        margin: pixels this near to a closed unit's are masked, too.

    Returns:
        (B, 3, h, w).
    """
    open_ = unit_cells((mask > 0).to(images.dtype), *cells).unsqueeze(1)
    closed = 1 - F.interpolate(open_, size=images.shape[-2:], mode="nearest-exact")  # (B, 1, h, w)
    if margin:
        closed = F.max_pool2d(closed, 2 * margin + 1, 1, margin)
    # Not a product: whatever the pixels hold, NaN too, must not matter.
    return images.masked_fill(closed > 0, 0.0)


class GridGate(nn.Module):
    """Hard attention over the units of an N x N grid on a feature map; its only parameters are two small layers.

    Args:
        channels: C.
        grid: N, units per side.
        hidden: d of Eq. 4; 16 gives the 0.02M parameters of Table III at C = 1024.
        mode: "hard" (Eq. 6) or "soft" (Table VII).
        noise: Gumbel noise in training; evaluation never has any.
        tau: temperature of the softmax.
        open: initial bias of the logits, (-open, +open); a positive one keeps (nearly) every unit at the start.
        unmasked: fraction of the images in a training batch that are not masked; the output still has their mask, and
            Eq. 2 counts it; not in the paper.
        mask_in_evaluation: whether to mask in evaluation too, as the paper does.
    """

    def __init__(
        self,
        channels: int,
        grid: int = 4,
        hidden: int = 16,
        mode: Mode = "hard",
        noise: bool = True,
        tau: float = 1.0,
        open: float = 0.0,
        unmasked: float = 0.0,
        mask_in_evaluation: bool = True,
    ) -> None:
        super().__init__()
        if mode not in get_args(Mode):
            raise ValueError(f"gate mode {mode!r} is unknown; use one of {', '.join(get_args(Mode))}")
        if grid < 1 or hidden < 1 or tau <= 0:
            raise ValueError(f"grid {grid}, hidden {hidden} and tau {tau} must all be positive")
        self.grid, self.mode, self.noise, self.tau = grid, mode, noise, tau
        self.unmasked, self.mask_in_evaluation = unmasked, mask_in_evaluation
        self.fc1 = nn.Linear(channels, hidden)
        self.fc2 = nn.Linear(hidden, 2)
        with torch.no_grad():  # torch's random initial bias would close random units
            self.fc2.bias.copy_(torch.tensor([-open, open]))

    def score(self, pooled: Tensor) -> Tensor:
        """Score s of a pooled region at any scale, Eq. 4: (..., C) to (..., 2) logits, [..., 1] is keep."""
        logits: Tensor = self.fc2(F.relu(self.fc1(pooled)))
        return logits

    def forward(self, features: Tensor) -> GateOutput:
        """Score, decide and mask: features (B, C, H, W) to a `GateOutput`.

        Raises:
            ValueError: the map has fewer cells per side than the grid has units.
        """
        logits = self.score(pool_windows(features, self.grid, 1))  # (B, N, N, 2)
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        mask = gate_mask(logits, self.mode, self.noise and self.training, self.tau)
        return GateOutput(apply_mask(features, self.applied(mask)), mask, logits)

    def hold(self, features: Tensor, said: GateOutput) -> GateOutput:
        """An earlier output's decision on another map (B, C, H, W)."""
        return said._replace(features=apply_mask(features, self.applied(said.mask)))

    def applied(self, mask: Tensor) -> Tensor:
        """The factors of a map: the mask (B, N, N), with ones for the images that a new random draw leaves unmasked."""
        if self.training and self.unmasked:
            whole = torch.rand(len(mask), 1, 1, device=mask.device) < self.unmasked
            return torch.where(whole, torch.ones_like(mask), mask)
        return mask if self.training or self.mask_in_evaluation else torch.ones_like(mask)
