"""SCAPS, scale-consistent attention part selection: Definition 1 and the choice of parts (Sec. III-B).

B batch, C channels, H W map size, N grid, u scale, n = N - u + 1 windows per side, M parts.
"""

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from scapnet.modules.boxes import pool_windows, window_boxes

SURE = 4.0  # log odds
Strategy = Literal["score", "top", "random", "fixed", "sample"]


class PartsOutput(NamedTuple):
    """The chosen parts and their scores."""

    boxes: Tensor  # (B, M, 4) cxcywh in [0, 1]
    scores: Tensor  # (B, M) P(keep) of the chosen windows
    scales: Tensor  # (B, M) u of each chosen window
    maps: tuple[Tensor, ...]  # per scale (B, n, n) P(keep)
    log_odds: Tensor | None = None  # (B, M) of the chosen windows, which tell even those apart whose P(keep) is 1
    log_odds_maps: tuple[Tensor, ...] = ()  # per scale (B, n, n)


def window_logits(features: Tensor, score: Callable[[Tensor], Tensor], grid: int, scale: int) -> Tensor:
    """Logits of every window of a scale by the gate's own two layers; S^u is their `keep_probability`.

    Args:
        features: (B, C, H, W), not masked.
        score: (..., C) to (..., 2) logits, `GridGate.score`.
        grid: N.
        scale: u.

    Returns:
        (B, N-u+1, N-u+1, 2), of which [..., 1] is keep.
    """
    return score(pool_windows(features, grid, scale))


def keep_probability(logits: Tensor) -> Tensor:
    """P(keep) of logits (..., 2), in float32 or more."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32)).softmax(-1)[..., 1]


def keep_log_odds(logits: Tensor) -> Tensor:
    """log(P(keep) / (1 - P(keep))) of logits (..., 2), in float32 or more."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return logits[..., 1] - logits[..., 0]


def top_indices(scores: Tensor, count: int) -> Tensor:
    """Indices (B, count) of the highest of scores (B, n), best first; ties are in the order of their index.

    `torch.topk` does not define the order of ties, and ONNX has no stable sort. So the rank of each score is computed
    first; ranks are distinct, which makes topk well defined.
    """
    left, right = scores.unsqueeze(2), scores.unsqueeze(1)
    before = torch.ones(scores.shape[1], scores.shape[1], dtype=torch.bool, device=scores.device).tril(-1)  # j < i
    rank = ((right > left) | ((right == left) & before)).sum(2)  # (B, n) number of scores that precede
    return rank.topk(count, 1, largest=False).indices


def _even(windows: int, count: int) -> list[int]:
    """Indices of ``count`` windows, evenly spaced from the first to the last; a single one is the middle one."""
    if count == 1:
        return [windows // 2]
    return [round(i * (windows - 1) / (count - 1)) for i in range(count)]


class PartSelection(nn.Module):
    """Choose parts at several scales with one scorer. The module has no parameters.

    Args:
        grid: N, units per side.
        keep: number of parts at scale 1, 2, ...; a scale with quota 0 is still scored, because L_con needs its scores.
        strategy: "score" takes the best windows of each scale (the paper's 3, 2, 1), "top" the best over all scales,
            "random" random windows with the same quotas (Table VIII), "fixed" the same windows in every image, evenly
            spaced over a scale (a control of ours that uses no scores), "sample" draws windows in training, in
            proportion to the squared odds of P(keep) within limits, and takes the best in evaluation (ours, so that
            `success_loss` sees other windows).
        total: M of "top"; the sum of ``keep`` by default.

    Raises:
        ValueError: a quota or the total is larger than the number of windows.
    """

    def __init__(
        self, grid: int = 4, keep: Sequence[int] = (3, 2, 1), strategy: Strategy = "score", total: int | None = None
    ) -> None:
        super().__init__()
        self.grid, self.keep, self.strategy = grid, tuple(keep), strategy
        self.total = sum(self.keep) if total is None else total
        self._check()

    def _check(self) -> None:
        if self.strategy not in get_args(Strategy):
            raise ValueError(f"part strategy {self.strategy!r} is unknown; use one of {', '.join(get_args(Strategy))}")
        if not 1 <= len(self.keep) <= self.grid:
            raise ValueError(f"{len(self.keep)} scales do not fit a grid of {self.grid}; use 1 to {self.grid} quotas")
        for scale, quota in enumerate(self.keep, 1):
            windows = (self.grid - scale + 1) ** 2
            if not 0 <= quota <= windows:
                raise ValueError(
                    f"quota {quota} at scale {scale} does not fit: a grid of {self.grid} has {windows} windows there; "
                    f"use 0 to {windows}"
                )
        windows = sum((self.grid - scale) ** 2 for scale in range(len(self.keep)))
        if not 1 <= self.total <= windows:
            raise ValueError(f"{self.total} parts cannot be chosen from {windows} windows; use 1 to {windows}")

    @property
    def num_parts(self) -> int:
        """M, the number of parts of an image."""
        return self.total if self.strategy == "top" else sum(self.keep)

    def forward(
        self,
        features: Tensor,
        score: Callable[[Tensor], Tensor],
        index: Tensor | None = None,
        units: Tensor | None = None,
    ) -> PartsOutput:
        """Score every window and choose.

        Args:
            features: (B, C, H, W), the unmasked map.
            score: (..., C) to (..., 2) logits, `GridGate.score`.
            index: (B,) sample numbers; they seed "random" in evaluation, so that results are repeatable.
            units: (B, N, N, 2) logits of scale 1 where they are known, as `GateOutput.logits`; by default computed.

        Returns:
            `PartsOutput`: by scale, then descending score, then window index; for "top" by descending score, then
            scale, then index; for "fixed" by scale, then index.
        """
        scales = range(1, len(self.keep) + 1)
        height, width = features.shape[-2:]
        first = () if units is None else (units,)
        logits = (*first, *(window_logits(features, score, self.grid, u) for u in scales[len(first) :]))
        maps, odds = (tuple(map(f, logits)) for f in (keep_probability, keep_log_odds))
        boxes = torch.cat(
            [window_boxes(height, width, self.grid, u, device=features.device, dtype=torch.float32) for u in scales]
        )  # (windows of all scales, 4)
        scores, log_odds = (torch.cat([m.flatten(1) for m in all_], 1) for all_ in (maps, odds))  # (B, windows)
        sizes = [m[0].numel() for m in maps]
        # By log odds, in the same order: a sure scorer's probabilities are 1 for more than one window.
        chosen = self._choose(log_odds.detach(), sizes, index)  # (B, M)
        scale_of = torch.cat(
            [torch.full((m[0].numel(),), u, device=m.device) for u, m in zip(scales, maps, strict=True)]
        )
        found = boxes[chosen], scores.gather(1, chosen), scale_of[chosen], maps
        return PartsOutput(*found, log_odds.gather(1, chosen), odds)

    def _choose(self, scores: Tensor, sizes: list[int], index: Tensor | None) -> Tensor:
        if self.strategy == "top":
            return top_indices(scores, self.total)
        if self.strategy == "fixed":
            return self._fixed(sizes, scores.device).expand(scores.shape[0], -1)
        drawn = self.strategy == "random" or (self.strategy == "sample" and self.training)
        draw = self._draw(scores, sizes, index) if drawn else scores
        chosen, start = [], 0
        for quota, size in zip(self.keep, sizes, strict=True):
            picked = start + top_indices(draw[:, start : start + size], quota)
            if drawn:  # by score, and equal ones by index
                picked = picked.sort(1).values
                picked = picked.gather(1, top_indices(scores.gather(1, picked), quota))
            chosen.append(picked)
            start += size
        return torch.cat(chosen, 1)

    def _fixed(self, sizes: list[int], device: torch.device) -> Tensor:
        chosen, start = list[int](), 0
        for quota, size in zip(self.keep, sizes, strict=True):
            chosen += [start + k for k in _even(size, quota)]
            start += size
        return torch.tensor(chosen, device=device)  # (M,)

    def _draw(self, scores: Tensor, sizes: list[int], index: Tensor | None) -> Tensor:
        if self.strategy == "sample":  # Gumbel noise on log odds draws without replacement, by their softmax
            scales = scores.tensor_split([*accumulate(sizes)][:-1], 1)
            centred = torch.cat([odds - odds.mean(1, keepdim=True) for odds in scales], 1)
            # Odds squared, so that more of the crops in training hold what the scorer has found; but at most SURE from
            # the mean, so that a scorer that is sure before it has learned anything sees other windows, too.
            return 2 * centred.clamp(-SURE, SURE) - torch.empty_like(scores).exponential_().log()
        if self.training:
            return torch.rand_like(scores)
        if index is None:  # the same draw for every image, so that a result does not depend on the batch
            index = torch.zeros(len(scores))
        rows = [torch.rand(scores.shape[1], generator=torch.Generator().manual_seed(int(i))) for i in index]
        return torch.stack(rows).to(scores)
