"""The losses of the paper: Eq. 2, 3, 7, 8, 14 and 15.

B batch, K classes, M parts, N grid, u scale.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scapnet.modules.boxes import averaging_matrix
from scapnet.modules.ggau import GateOutput
from scapnet.modules.scaps import PartsOutput


def activation_loss(mask: Tensor) -> Tensor:
    """L_act, Eq. 2: the square of each image's kept share, then the mean over the batch.

    Args:
        mask: (B, N, N).

    Returns:
        Scalar in [0, 1].
    """
    return mask.float().mean((-2, -1)).square().mean()


def estimated_scores(scores: Tensor, scale: int) -> Tensor:
    """S-hat of Eq. 7: the mean of the u*u scale-1 scores inside each window.

    Args:
        scores: (B, N, N) scale-1 scores.
        scale: u.

    Returns:
        (B, N-u+1, N-u+1).
    """
    grid = scores.shape[-1]
    mean = averaging_matrix(grid, grid, scale, device=scores.device, dtype=scores.dtype)  # (N-u+1, N)
    return mean @ scores @ mean.T


def consistency_loss(maps: Sequence[Tensor], margin: float = 0.1) -> Tensor:
    """L_con, Eq. 8: scale-1 scores should rank the windows of each coarser scale in the same order as its own scores.

    Only the signs of differences of the coarser scores are used, so gradients reach only the scale-1 scores.

    Args:
        maps: per scale (B, N-u+1, N-u+1), scale 1 first.
        margin: how far apart two windows' estimated scores should be.

    Returns:
        Scalar: the sum over pairs i < j and over the scales above 1, then the mean over the batch.
    """
    loss = maps[0].new_zeros(())
    for scale, coarse in enumerate(maps[1:], 2):
        estimated = estimated_scores(maps[0], scale).flatten(1)  # (B, n)
        own = coarse.detach().flatten(1)
        i, j = torch.triu_indices(own.shape[1], own.shape[1], 1, device=own.device)  # pairs i < j
        order = (own[:, i] - own[:, j]).sign()
        loss = loss + F.relu(margin - (estimated[:, i] - estimated[:, j]) * order).sum(1).mean()
    return loss


def part_loss(
    part_logits: Tensor, target: Tensor, smoothing: float = 0.0, class_weights: Tensor | None = None
) -> Tensor:
    """L_sub, Eq. 14: cross-entropy of the parts' mean logits, plus the sum of the parts' own cross-entropies.

    y-hat is the mean of the logits, as the paper also passes y to CE unnormalised in Eq. 3.

    Args:
        part_logits: (B, M, K).
        target: (B,) class indices, or (B, K) soft targets.
        smoothing: label smoothing.
        class_weights: (K,) for the cross-entropies.

    Returns:
        Scalar, the mean over the batch.
    """
    together = F.cross_entropy(part_logits.mean(1), target, class_weights, label_smoothing=smoothing)
    parts = part_logits.shape[1]
    targets = target.repeat_interleave(parts, 0)  # (B*M,) or (B*M, K)
    own = F.cross_entropy(part_logits.flatten(0, 1), targets, class_weights, label_smoothing=smoothing)
    return together + parts * own


def distillation_loss(logits: Tensor, part_logits: Tensor, tau: float = 2.0) -> Tensor:
    """The divergence of the main branch's answer from the mean of both branches (ours; not in the paper).

    The Kullback-Leibler divergence at a temperature, times the squared temperature, as in the distillation of Hinton,
    Vinyals and Dean (2015). The mean is the teacher and gets no gradient, so the parts learn nothing from this loss.

    Args:
        logits: (B, K) of the main branch.
        part_logits: (B, M, K).
        tau: the temperature.

    Returns:
        Scalar, the mean over the batch.
    """
    student = (logits / tau).log_softmax(-1)
    teacher = ((logits / tau).softmax(-1) + (part_logits.mean(1) / tau).softmax(-1)).detach() / 2
    return tau**2 * F.kl_div(student, teacher, reduction="batchmean")


def success_loss(parts: PartsOutput, part_logits: Tensor, target: Tensor) -> Tensor:
    """Teaches the scorer which windows are named right by themselves (ours; not in the paper).

    A chosen part's success is the probability that it gives to the right class by itself. Its rank among all parts of
    its scale in the batch, from 0 to 1, is what P(keep) shall be, by binary cross-entropy: ranks also tell parts
    apart while all of them are still poor. The log odds of P(keep) are shifted to a mean of 0, so that the order of the
    windows is learned and not how many units the gate keeps. They are not computed from P(keep), which is 1 for a sure
    scorer and has no gradient then. The success gets no gradient, so the sub-network learns nothing from this loss.

    Args:
        parts: the chosen parts, with their log odds.
        part_logits: (B, M, K).
        target: (B,) class indices, or (B, K) soft targets.

    Returns:
        Scalar, the mean over the parts of the batch; 0 for a single part.
    """
    probs = part_logits.detach().softmax(-1)  # (B, M, K)
    share = F.one_hot(target, probs.shape[-1]) if target.dim() == 1 else target
    success = (probs * share.unsqueeze(1)).sum(-1)  # (B, M)
    logits = parts.log_odds
    assert logits is not None
    loss = logits.new_zeros(())
    for scale in set(parts.scales.flatten().tolist()):
        these = parts.scales == scale
        if (count := int(these.sum())) > 1:
            rank = success[these].argsort().argsort().to(logits.dtype) / (count - 1)  # 1 for the highest success
            shifted = logits[these] - logits[these].mean()
            loss = loss + F.binary_cross_entropy_with_logits(shifted, rank, reduction="sum")
    return loss / success.numel()


def cam_loss(log_odds: Sequence[Tensor], scales: Sequence[int], cams: Tensor) -> Tensor:
    """Teaches the scorer where the main branch sees the right class (ours; not in the paper).

    A window's evidence is the mean of the class activation map inside it. The share of an image's windows of the same
    scale with less evidence is what its P(keep) shall be, by binary cross-entropy. As in `success_loss`, the log odds
    are shifted to a mean of 0, and the evidence gets no gradient.

    Args:
        log_odds: per scale (B, N-u+1, N-u+1), scale 1 first.
        scales: u of those that learn.
        cams: (B, H', W') class activation maps of the right classes, of the main branch.

    Returns:
        Scalar, the mean over the windows of a scale, the images and the scales.
    """
    size = list(log_odds[0].shape[-2:])
    units = F.interpolate(cams.detach().float()[:, None], size, mode="bilinear", antialias=True)[:, 0]  # (B, N, N)
    loss = units.new_zeros(())
    for scale in scales:
        evidence = estimated_scores(units, scale).flatten(1)  # (B, n)
        less = evidence.unsqueeze(2) > evidence.unsqueeze(1)
        rank = (less + 0.5 * (evidence.unsqueeze(2) == evidence.unsqueeze(1))).mean(2)
        logits = log_odds[scale - 1].flatten(1)
        loss = loss + F.binary_cross_entropy_with_logits(logits - logits.mean(1, keepdim=True), rank)
    return loss / len(scales)


class BranchOutput(Protocol):
    """The part of a network's output that the total loss needs. Fields of missing or inactive modules are None."""

    @property
    def logits(self) -> Tensor:
        """(B, K) of the main branch."""

    @property
    def part_logits(self) -> Tensor | None:
        """(B, M, K) of the parts, or (B, 1, K) of a classifier that sees all parts at once."""

    @property
    def gate(self) -> GateOutput | None:
        """The gate's output."""

    @property
    def parts(self) -> PartsOutput | None:
        """The chosen parts; ``maps`` is empty if they are not windows of a grid."""

    @property
    def last(self) -> Tensor | None:
        """(B, D, H', W') the main branch's last map, in training."""


def weighted_sum(terms: dict[str, Tensor], weights: object) -> dict[str, Tensor]:
    """The terms and "loss", their weighted sum; the weights are the attributes of the same names."""
    loss = sum((getattr(weights, name) * term for name, term in terms.items()), torch.zeros_like(terms["cls"]))
    return {**terms, "loss": loss}


class SCAPNetLoss(nn.Module):
    """L of Eq. 15. The weights are attributes, which a training loop may change between epochs.

    Args:
        cls: alpha, the weight of the main branch's cross-entropy (Eq. 3).
        act: beta, the weight of `activation_loss`.
        con: gamma, the weight of `consistency_loss`.
        sub: lambda, the weight of `part_loss`.
        margin: the margin of `consistency_loss`.
        smoothing: label smoothing of every cross-entropy.
        class_weights: (K,) for every cross-entropy, as in `torch.nn.CrossEntropyLoss`.
        distill: the weight of `distillation_loss`; at 0 it is not computed.
        distill_tau: the temperature of `distillation_loss`.
        success: the weight of `success_loss`; at 0 it is not computed.
        cam: the weight of `cam_loss`; at 0 it is not computed.
        cams: last maps (B, D, H', W') and class indices (B,) to class activation maps (B, H', W'), for `cam_loss`.
    """

    def __init__(
        self,
        cls: float = 1.0,
        act: float = 1.0,
        con: float = 1.0,
        sub: float = 1.0,
        margin: float = 0.1,
        smoothing: float = 0.0,
        class_weights: Tensor | None = None,
        distill: float = 0.0,
        distill_tau: float = 2.0,
        success: float = 0.0,
        cam: float = 0.0,
        cams: Callable[[Tensor, Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.cls, self.act, self.con, self.sub = cls, act, con, sub
        self.distill, self.distill_tau, self.success = distill, distill_tau, success
        self.margin, self.smoothing, self.cam, self.cams = margin, smoothing, cam, cams
        self.entropy = nn.CrossEntropyLoss(class_weights, label_smoothing=smoothing)

    def forward(self, output: BranchOutput, target: Tensor) -> dict[str, Tensor]:
        """Named terms of an output, each before its weight, and "loss", their weighted sum.

        Terms of modules that the network lacks are left out.

        Args:
            output: the network's output.
            target: (B,) class indices, or (B, K) soft targets, whose rows need not sum to 1.
        """
        terms = {"cls": self.entropy(output.logits.float(), target)}
        if output.gate is not None:
            terms["act"] = activation_loss(output.gate.mask)
        if output.parts is not None:
            terms["con"] = consistency_loss(output.parts.maps, self.margin)
        if output.part_logits is not None:
            terms["sub"] = part_loss(output.part_logits.float(), target, self.smoothing, self.entropy.weight)
            if self.distill:
                terms["distill"] = distillation_loss(
                    output.logits.float(), output.part_logits.float(), self.distill_tau
                )
            if self.success and output.parts is not None:
                terms["success"] = success_loss(output.parts, output.part_logits.float(), target)
            if self.cam and self.cams and output.parts is not None and output.last is not None:
                classes = target if target.dim() == 1 else target.argmax(1)
                scales = sorted(set(output.parts.scales.flatten().tolist()))
                terms["cam"] = cam_loss(output.parts.log_odds_maps, scales, self.cams(output.last, classes))
        return weighted_sum(terms, self)
