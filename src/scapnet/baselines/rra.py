"""RRA (Shroff et al., Focus Longer to See Better: Recursively Refined Attention, 2020), with or without gGAU.

B batch, K classes, D feature size, M patches, T time steps per patch, h hidden size.
"""

from dataclasses import replace
from typing import Self

import torch
from torch import Tensor, nn

from scapnet.backbones.cnn import Backbone
from scapnet.backbones.factory import create
from scapnet.baselines.settings import check_parts
from scapnet.config import LossConfig, ModelConfig
from scapnet.losses import BranchOutput, activation_loss, weighted_sum
from scapnet.model import SCAPNetOutput, make_gate, make_selection, masked_tail
from scapnet.modules.boxes import crop_parts
from scapnet.modules.ggau import GridGate
from scapnet.modules.scaps import PartSelection
from scapnet.network import NetworkState, enabled_sections, separate_groups


class RecurrentAttention(nn.Module):
    """Stacked LSTMs that read each patch several times, and attention over all time steps.

    The sizes are those of the public code: two layers of 512, and four time steps for its single patch. Several patches
    are read one after the other (ours).

    Args:
        dim: D.
        hidden: h.
        layers: number of stacked LSTMs.
        steps: T.
    """

    def __init__(self, dim: int, hidden: int = 512, layers: int = 2, steps: int = 4) -> None:
        super().__init__()
        self.steps, self.hidden = steps, hidden
        self.lstm = nn.LSTM(dim, hidden, layers, batch_first=True)
        self.attention = nn.Linear(hidden, 1)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Read the patches in order.

        Args:
            features: (B, M, D).

        Returns:
            The weighted sum (B, h) of the outputs of all time steps, and the weights (B, M*T), which sum to 1.
        """
        steps, _ = self.lstm(features.repeat_interleave(self.steps, 1))  # (B, M*T, h)
        weights = self.attention(steps).squeeze(-1).float().softmax(-1)  # (B, M*T)
        return (weights.unsqueeze(1).to(steps.dtype) @ steps).squeeze(1), weights


def neutral_score(pooled: Tensor) -> Tensor:
    """Equal scores for a network without a gate: (..., C) to (..., 2) logits of 0."""
    return pooled.new_zeros((*pooled.shape[:-1], 2))


class RRA(NetworkState, nn.Module):
    """A global stream on the image and a local stream on patches, with the protocol `scapnet.network.Network`.

    Patches are windows of the grid, chosen by ``selection`` (ours; the public code reads ten boxes per image from a
    file and takes one at random, also in evaluation). With gGAU, the gate's scores choose them, as in SCAPS but without
    L_con, and the mask is applied to the global stream only (ours). Without it they are random; in evaluation the
    sample number seeds them, so that results are repeatable.

    Args:
        backbone: the global stream's, without the two 1x1 convolutions that the public code adds to its VGG-19.
        classifier: features (B, D) of the image to logits (B, K).
        selection: chooses the windows that are patches.
        part_backbone: the local stream's; ``backbone`` itself if the two share weights.
        recurrent: patch features (B, M, D) to (B, h).
        part_classifier: (B, h) to logits (B, K).
        gate: gGAU, after stage 3.
        part_size, mask: as in `SCAPNet`.
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
        super().__init__()
        self.backbone, self.classifier, self.gate, self.selection = backbone, classifier, gate, selection
        self.part_backbone, self.part_classifier, self.recurrent = part_backbone, part_classifier, recurrent
        self.part_size, self.mask = part_size, mask

    @classmethod
    def from_config(cls, config: ModelConfig, num_classes: int, size: int, start: bool = True) -> Self:
        """RRA, or gGAU + RRA if the gate is enabled; see `scapnet.build.build_model`.

        Raises:
            ValueError: settings that RRA does not have, or that do not fit together, the view or the backbone.
        """
        parts = config.parts
        check_parts(config, "RRA")
        if config.relation.enabled:
            raise ValueError("RRA has no part relation; disable it with --model.relation.no-enabled")
        if parts.strategy == "top" and not config.gate.enabled:
            raise ValueError("strategy top needs the gate's scores; enable the gate, or use strategy random")
        weights = config.weights if start else "none"
        backbone = create(config.backbone, weights, size, cut=config.gate.enabled)
        gate = make_gate(backbone, config.gate, size) if config.gate.enabled else None
        chosen = parts if config.gate.enabled else replace(parts, strategy="random")
        local = backbone if parts.shared else create(config.backbone, weights, parts.size, cut=False)
        recurrent = RecurrentAttention(backbone.dim)
        first, second = nn.Linear(backbone.dim, num_classes), nn.Linear(recurrent.hidden, num_classes)
        selection = make_selection(config.gate.grid, chosen)
        model = cls(backbone, first, selection, local, recurrent, second, gate, parts.size, config.gate.mask)
        model.config = config
        return model if parts.shared else model.to(memory_format=torch.channels_last)

    @classmethod
    def title(cls, config: ModelConfig) -> str:
        """The name of the network in a table."""
        return "gGAU + RRA" if config.gate.enabled else "RRA"

    @classmethod
    def part_count(cls, config: ModelConfig) -> int:
        """M."""
        return config.parts.count

    @classmethod
    def sections(cls, config: ModelConfig) -> frozenset[str]:
        """The enabled sections."""
        return enabled_sections(config)

    def make_loss(self, config: LossConfig, class_weights: Tensor | None = None) -> "RRALoss":
        """The paper's loss and L_act, with the weights of a config."""
        entropy = nn.CrossEntropyLoss(class_weights, label_smoothing=config.smoothing)
        return RRALoss(config.cls, config.act, config.sub, entropy)

    def location_module(self) -> nn.Module | None:
        """The gate, if there is one."""
        return self.gate

    def clip_groups(self) -> list[list[nn.Parameter]]:
        """The global stream with the gate, and the local stream."""
        return separate_groups([(self.backbone, self.classifier, self.gate), (self,)])

    def set_stage(self, stage: int) -> None:
        """Stage 1 freezes the local stream and does not run it; stage 2 is the whole network."""
        self.stage = stage
        for module in (self.part_backbone, self.part_classifier, self.recurrent):
            if module is not self.backbone:
                module.requires_grad_(stage == 2)

    def start_parts_from_main(self) -> None:
        """Copy the global stream's backbone into the local one; not the classifiers, which take different features."""
        if self.part_backbone is not self.backbone:
            self.part_backbone.load_state_dict(self.backbone.state_dict())

    def forward(self, image: Tensor, source: Tensor | None = None, index: Tensor | None = None) -> SCAPNetOutput:
        """Classify a batch, as `SCAPNet.forward` does.

        Returns:
            `SCAPNetOutput`; its part logits (B, 1, K) are the local stream's, its probs the softmax of the sum of both
            streams' logits, as in the public code.
        """
        gate = None
        if self.gate is None:
            logits, seen, score = self.classifier(self.backbone(image)), image, neutral_score
        else:
            seen, score = self.backbone.head(image), self.gate.score  # (B, C, H, W)
            gate = self.gate(seen)
            logits = self.classifier(self.backbone.pool(masked_tail(self.backbone, seen, self.gate, gate, self.mask)))
        if self.stage == 1:
            return SCAPNetOutput(logits, None, logits.float().softmax(-1), gate, None)
        parts = self.selection(seen, score, index)
        local = self._parts(image if source is None else source, parts.boxes)  # (B, 1, K)
        probs = (logits.float() + local.float().squeeze(1)).softmax(-1)
        return SCAPNetOutput(logits, local, probs, gate, parts)

    def _parts(self, source: Tensor, boxes: Tensor) -> Tensor:
        """Logits (B, 1, K) of the local stream from source (B, 3, S', S') and boxes (B, M, 4)."""
        crops = crop_parts(source, boxes, self.part_size)  # (B*M, 3, s, s)
        features, _ = self.recurrent(self.part_backbone(crops).unflatten(0, boxes.shape[:2]))  # (B, h)
        logits: Tensor = self.part_classifier(features).unsqueeze(1)
        return logits


class RRALoss(nn.Module):
    """Cross-entropies of both streams, and L_act (Eq. 2 of the SCAPNet paper) if there is a gate.

    Args:
        cls: weight of the global stream's cross-entropy.
        act: weight of `activation_loss`; a training loop may change it between epochs.
        sub: weight of the local stream's cross-entropy.
        entropy: used for both cross-entropies, with its label smoothing and class weights; by default without either.
    """

    def __init__(
        self, cls: float = 1.0, act: float = 1.0, sub: float = 1.0, entropy: nn.CrossEntropyLoss | None = None
    ) -> None:
        super().__init__()
        self.cls, self.act, self.sub = cls, act, sub
        self.entropy = entropy or nn.CrossEntropyLoss()

    def forward(self, output: BranchOutput, target: Tensor) -> dict[str, Tensor]:
        """Terms "cls", "act", "sub" and "loss"; see `scapnet.network.Loss`."""
        terms = {"cls": self.entropy(output.logits.float(), target)}
        if output.gate is not None:
            terms["act"] = activation_loss(output.gate.mask)
        if output.part_logits is not None:
            terms["sub"] = self.entropy(output.part_logits.float().squeeze(1), target)
        return weighted_sum(terms, self)
