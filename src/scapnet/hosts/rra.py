"""RRA (Shroff et al., Focus Longer to See Better: Recursively Refined Attention, 2020), with or without gGAU.

B batch, K classes, D feature size, M patches, T looks at each, h hidden size.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scapnet.backbones import Backbone, create
from scapnet.config import ModelConfig
from scapnet.losses import Losable, activation_loss
from scapnet.model import SCAPNet, SCAPNetOutput, make_gate
from scapnet.modules.boxes import crop_parts
from scapnet.modules.ggau import GridGate
from scapnet.modules.scaps import PartSelection


class RecurrentAttention(nn.Module):
    """Stacked LSTMs that look at each patch several times, and attention over all their time steps.

    The public code's sizes: two layers of 512, four looks at one patch. Several patches follow each other (ours).

    Args:
        dim: D.
        hidden: h.
        layers: LSTMs on top of each other.
        looks: T, time steps for each patch.
    """

    def __init__(self, dim: int, hidden: int = 512, layers: int = 2, looks: int = 4) -> None:
        super().__init__()
        self.looks, self.hidden = looks, hidden
        self.lstm = nn.LSTM(dim, hidden, layers, batch_first=True)
        self.attention = nn.Linear(hidden, 1)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Read the patches.

        Args:
            features: (B, M, D).

        Returns:
            (B, h) the weighted sum of the time steps' outputs, and their weights (B, M*T), which sum to 1.
        """
        steps, _ = self.lstm(features.repeat_interleave(self.looks, 1))  # (B, M*T, h)
        weights = self.attention(steps).squeeze(-1).float().softmax(-1)  # (B, M*T)
        return (weights.unsqueeze(1).to(steps.dtype) @ steps).squeeze(1), weights


def undecided(pooled: Tensor) -> Tensor:
    """A score for networks without a gate: (..., C) to (..., 2) logits that prefer nothing."""
    return pooled.new_zeros((*pooled.shape[:-1], 2))


class RRA(SCAPNet):
    """A global stream on the image and a local one on patches. It has the slots of a `SCAPNet`.

    Patches are windows of the grid, as many of each scale as ``selection`` says (ours; the public code has ten boxes of
    each image in a file, and takes one at random, in evaluation too). With gGAU the gate's scores choose them, as in
    SCAPS but without L_con, and its mask is on the global stream only (ours). Without it they are drawn at random, in
    evaluation by the sample's number, so that an answer repeats.

    Args:
        backbone: of the global stream. The two 1x1 convolutions that the public code puts on its VGG-19 are left out.
        classifier: features (B, D) of the image to logits (B, K).
        selection: which windows are patches.
        part_backbone: of the local stream; ``backbone`` itself where the two share weights.
        recurrent: patch features (B, M, D) to (B, h).
        part_classifier: (B, h) to logits (B, K).
        gate: gGAU, after stage 3.
        part_size: side of a patch in pixels.
        mask: where the gate's mask goes: "stage3", "stage4" or "none".
    """

    def __init__(
        self,
        backbone: Backbone,
        classifier: nn.Module,
        selection: PartSelection,
        part_backbone: nn.Module,
        recurrent: RecurrentAttention,
        part_classifier: nn.Module,
        gate: GridGate | None = None,
        part_size: int = 224,
        mask: str = "stage3",
    ) -> None:
        super().__init__(
            backbone, classifier, gate, None, part_backbone, part_classifier, part_size=part_size, mask=mask
        )
        self.selection = selection  # a SCAPNet's needs a gate, this one does not
        self.recurrent = recurrent

    def set_stage(self, stage: int) -> None:
        """Stage 1 freezes the local stream and does not run it; stage 2 is the whole network."""
        super().set_stage(stage)
        self.recurrent.requires_grad_(stage == 2)

    def start_parts_from_main(self) -> None:
        """Give the local stream's backbone the global one's weights; their classifiers see different features."""
        if self.part_backbone is not None and self.part_backbone is not self.backbone:
            self.part_backbone.load_state_dict(self.backbone.state_dict())

    def forward(self, image: Tensor, source: Tensor | None = None, index: Tensor | None = None) -> SCAPNetOutput:
        """Classify, with the patches that were looked at.

        Args:
            image: (B, 3, S, S) normalised view.
            source: (B, 3, S', S') the same view in more pixels, from which patches are cut; by default ``image``.
            index: (B,) sample numbers, which random patches are drawn by in evaluation.

        Returns:
            `SCAPNetOutput`; its part logits (B, 1, K) are the local stream's, its probs the softmax of both streams'
            sum, which is how the public code answers.
        """
        assert self.selection is not None
        gate = None
        if self.gate is None:
            logits, seen, score = self.classifier(self.backbone(image)), image, undecided
        else:
            seen, score = self.backbone.head(image), self.gate.score  # (B, C, H, W)
            gate = self.gate(seen)
            logits = self.classifier(self.backbone.pool(self._tail(seen, gate)))
        if self.stage == 1:
            return SCAPNetOutput(logits, None, logits.float().softmax(-1), gate, None)
        parts = self.selection(seen, score, index)
        local = self._parts(image if source is None else source, parts.boxes)  # (B, 1, K)
        probs = (logits.float() + local.float().squeeze(1)).softmax(-1)
        return SCAPNetOutput(logits, local, probs, gate, parts)

    def _parts(self, source: Tensor, boxes: Tensor) -> Tensor:
        """Logits (B, 1, K) of the local stream from source (B, 3, S', S') and boxes (B, M, 4)."""
        assert self.part_backbone is not None
        assert self.part_classifier is not None
        crops = crop_parts(source, boxes, self.part_size)  # (B*M, 3, s, s)
        looks, _ = self.recurrent(self.part_backbone(crops).unflatten(0, boxes.shape[:2]))  # (B, h)
        logits: Tensor = self.part_classifier(looks).unsqueeze(1)
        return logits


class RRALoss(nn.Module):
    """The cross-entropies of both streams, and L_act (Eq. 2 of SCAPNet) where there is a gate.

    Args:
        cls: weight of the global stream's cross-entropy.
        act: of `activation_loss`; a training loop may change it from epoch to epoch.
        sub: of the local stream's.
        smoothing: label smoothing of both cross-entropies.
    """

    def __init__(self, cls: float = 1.0, act: float = 1.0, sub: float = 1.0, smoothing: float = 0.0) -> None:
        super().__init__()
        self.cls, self.act, self.sub, self.smoothing = cls, act, sub, smoothing

    def forward(self, output: Losable, target: Tensor) -> dict[str, Tensor]:
        """Named terms of an output for target (B,), each before its weight, and "loss", their weighted sum."""
        terms = {"cls": F.cross_entropy(output.logits.float(), target, label_smoothing=self.smoothing)}
        if output.gate is not None:
            terms["act"] = activation_loss(output.gate.mask)
        if output.part_logits is not None:
            local = output.part_logits.float().squeeze(1)
            terms["sub"] = F.cross_entropy(local, target, label_smoothing=self.smoothing)
        loss = sum((getattr(self, name) * term for name, term in terms.items()), torch.zeros_like(terms["cls"]))
        return {**terms, "loss": loss}


def build_rra(config: ModelConfig, classes: int, size: int, start: bool = True) -> RRA:
    """RRA, or gGAU + RRA with ``gate``; for the arguments see `scapnet.model.build_model`.

    Raises:
        ValueError: settings that it does not have, or that do not fit the view or the network.
    """
    if config.relation:
        raise ValueError("RRA has no part relation; switch it off with --model.no-relation")
    if config.strategy == "top" and not config.gate:
        raise ValueError("strategy top goes by the gate's scores; use a gate, or strategy random")
    weights = config.weights if start else "none"
    backbone = create(config.backbone, weights, size, cut=config.gate)
    gate = make_gate(backbone, config, size) if config.gate else None
    strategy = config.strategy if config.gate else "random"
    selection = PartSelection(config.grid, config.keep, strategy, config.total)
    local = backbone if config.shared else create(config.backbone, weights, config.part_size, cut=False)
    recurrent = RecurrentAttention(backbone.dim)
    first, second = nn.Linear(backbone.dim, classes), nn.Linear(recurrent.hidden, classes)
    model = RRA(backbone, first, selection, local, recurrent, second, gate, config.part_size, config.mask)
    model.config = config
    return model if config.shared else model.to(memory_format=torch.channels_last)
