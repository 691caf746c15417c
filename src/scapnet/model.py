"""SCAPNet: the main branch, gGAU, SCAPS, the sub-network and PRM, glued from the parts that it is given.

B batch, K classes, M parts, D feature size, S side of the view, N grid.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from scapnet.backbones import Backbone, create
from scapnet.config import ModelConfig, ViewConfig
from scapnet.heads import ConcatClassifier, EachClassifier, make_part_classifier
from scapnet.modules.boxes import crop_parts
from scapnet.modules.gcn import PartGraph
from scapnet.modules.ggau import GateOutput, GridGate, apply_mask
from scapnet.modules.prm import PartRelation
from scapnet.modules.scaps import PartSelection, PartsOutput


class SCAPNetOutput(NamedTuple):
    """Everything that a forward pass knows. What the network does not have, or did not run, is None."""

    logits: Tensor  # (B, K) of the main branch
    part_logits: Tensor | None  # (B, M, K); (B, 1, K) of a classifier over all parts at once
    probs: Tensor  # (B, K) the final answer
    gate: GateOutput | None
    parts: PartsOutput | None


class SCAPNet(nn.Module):
    """The network of Fig. 2.

    Args:
        backbone: the main branch.
        classifier: features (B, D) to logits (B, K).
        gate: gGAU. Without it there is no mask and nothing to choose parts by.
        selection: SCAPS.
        part_backbone: the sub-network; ``backbone`` itself where the two share weights.
        part_classifier: part features (B, M, D) to logits (B, M, K), or to (B, 1, K) for all parts at once.
        relation: PRM or `PartGraph`, between the sub-network and its classifier.
        part_size: side of a crop in pixels.
        mask: where the gate's mask goes: "stage3", "stage4" or "none".
    """

    def __init__(
        self,
        backbone: Backbone,
        classifier: nn.Module,
        gate: GridGate | None = None,
        selection: PartSelection | None = None,
        part_backbone: nn.Module | None = None,
        part_classifier: nn.Module | None = None,
        relation: nn.Module | None = None,
        part_size: int = 224,
        mask: str = "stage3",
    ) -> None:
        super().__init__()
        if selection is not None and (gate is None or part_backbone is None or part_classifier is None):
            raise ValueError("parts need a gate to choose by, a sub-network and a classifier of their own")
        if gate is not None and selection is not None and gate.grid != selection.grid:
            raise ValueError(f"the gate has a grid of {gate.grid} and the selection one of {selection.grid}")
        self.backbone, self.classifier = backbone, classifier
        self.gate, self.selection = gate, selection
        self.part_backbone, self.part_classifier, self.relation = part_backbone, part_classifier, relation
        self.part_size, self.mask = part_size, mask
        self.stage = 2
        # What a trained network knows of its input and its answers; `scapnet.from_pretrained` fills them.
        self.config = ModelConfig()
        self.view = ViewConfig()
        self.classes: tuple[str, ...] = ()

    def set_stage(self, stage: int) -> None:
        """Stage 1 freezes the sub-network and PRM and does not run them (Sec. IV-C); stage 2 is the whole network."""
        self.stage = stage
        for module in (self.part_backbone, self.part_classifier, self.relation):
            if module is not None and module is not self.backbone:
                module.requires_grad_(stage == 2)

    def start_parts_from_main(self) -> None:
        """Give the sub-network the main branch's weights, where nothing pretrained fits or it knows more by now."""
        pairs = ((self.part_backbone, self.backbone), (self.part_classifier, self.classifier))
        for part, main in pairs:
            if isinstance(part, EachClassifier | ConcatClassifier):
                part.start_from(main.state_dict())
            elif part is not None and part is not main:
                part.load_state_dict(main.state_dict())
        # The main branch's features are not to be mixed at random: the relation starts silent, f-hat = f in Eq. 13.
        value = getattr(self.relation, "value", None)
        if isinstance(value, nn.Linear):
            nn.init.zeros_(value.weight)

    def forward(self, image: Tensor, source: Tensor | None = None, index: Tensor | None = None) -> SCAPNetOutput:
        """Classify, with the parts that were looked at.

        Args:
            image: (B, 3, S, S) normalised view.
            source: (B, 3, S', S') the same view in more pixels, from which parts are cut; by default ``image``.
            index: (B,) sample numbers, which random parts are drawn by in evaluation.

        Returns:
            `SCAPNetOutput`; its probs are the mean of the two branches' softmax (Sec. IV-B).
        """
        gate, parts, part_logits = None, None, None
        if self.gate is None:
            logits = self.classifier(self.backbone(image))
        else:
            features = self.backbone.head(image)  # (B, C, H, W)
            gate = self.gate(features)
            logits = self.classifier(self.backbone.pool(self._tail(features, gate)))
            if self.selection is not None and self.stage == 2:
                # The choice scores the unmasked map, or a closed unit could never be looked at again.
                parts = self.selection(features, self.gate.score, index)
                part_logits = self._parts(image if source is None else source, parts.boxes)
        probs = logits.float().softmax(-1)
        if part_logits is not None:
            probs = (probs + part_logits.float().mean(1).softmax(-1)) / 2
        return SCAPNetOutput(logits, part_logits, probs, gate, parts)

    def _tail(self, features: Tensor, gate: GateOutput) -> Tensor:
        if self.mask == "stage4":
            return apply_mask(self.backbone.tail(features), gate.mask)
        return self.backbone.tail(gate.features if self.mask == "stage3" else features)

    def _parts(self, source: Tensor, boxes: Tensor) -> Tensor:
        """Part logits (B, M or 1, K) from source (B, 3, S', S') and boxes (B, M, 4)."""
        assert self.part_backbone is not None
        assert self.part_classifier is not None
        crops = crop_parts(source, boxes, self.part_size)  # (B*M, 3, s, s)
        features: Tensor = self.part_backbone(crops).unflatten(0, boxes.shape[:2])  # (B, M, D)
        if self.relation is not None:
            features = self.relation(features, boxes)
        logits: Tensor = self.part_classifier(features)
        return logits


def build_model(config: ModelConfig, classes: int, size: int, start: bool = True) -> SCAPNet:
    """The network that a config describes, for K classes and views of ``size`` pixels.

    Args:
        config: see `ModelConfig`.
        classes: K.
        size: S, side of the view.
        start: load the starting weights that the config names; False where a checkpoint follows.

    Raises:
        ValueError: settings that do not fit each other, the view or the network.
    """
    _check_settings(config, classes)
    weights = config.weights if start else "none"
    backbone = create(config.backbone, weights, size, cut=config.gate)
    gate = selection = sub = part_classifier = relation = None
    if config.gate:
        gate = make_gate(backbone, config, size)
    if config.parts:
        selection = PartSelection(config.grid, config.keep, config.strategy, config.total)
        sub = backbone if config.shared else create(config.backbone, weights, config.part_size, cut=False)
        part_classifier = make_part_classifier(config.part_classifier, selection.parts, backbone.dim, classes)
    if config.relation:
        relation = make_relation(config, backbone.dim)
    classifier = nn.Linear(backbone.dim, classes)
    model = SCAPNet(
        backbone, classifier, gate, selection, sub, part_classifier, relation, config.part_size, config.mask
    )
    model.config = config
    # A CPU trains up to 2.3 times as fast with channels last (results/memory-format.md). safetensors cannot tell then
    # which weights are shared.
    return model if config.shared else model.to(memory_format=torch.channels_last)


def make_relation(config: ModelConfig, dim: int) -> nn.Module:
    """PRM, or what stands in its place, for features of size ``dim``."""
    if config.way == "gcn":
        return PartGraph(dim)
    return PartRelation(dim, config.key_dim, config.geo_dim, config.heads, config.appearance, config.geometry)


def _check_settings(config: ModelConfig, classes: int) -> None:
    if classes < 2:
        raise ValueError(f"a classifier needs at least 2 classes, {classes} were given")
    if config.parts and config.part_size < 8:
        raise ValueError(f"a part of {config.part_size} px is too small for a network; use at least 8")
    if config.parts and not config.gate:
        raise ValueError("parts are chosen by the gate's scorer; use a gate, with mask none where it shall not mask")
    if config.relation and not config.parts:
        raise ValueError("relation needs parts; switch parts on or relation off")
    if config.mask not in ("stage3", "stage4", "none"):
        raise ValueError(f"mask {config.mask!r} is unknown; use stage3, stage4 or none")
    if config.part_classifier != "shared" and not config.parts:
        raise ValueError(f"part_classifier {config.part_classifier} needs parts; switch parts on or use shared")
    _check_way(config)


def _check_way(config: ModelConfig) -> None:
    if config.way not in ("attention", "gcn"):
        raise ValueError(f"way {config.way!r} is unknown; use attention or gcn")
    if config.way == "gcn" and not config.relation:
        raise ValueError("way gcn is a way to model the relation; switch relation on or use attention")
    if config.way == "gcn" and not (config.heads == 1 and config.appearance and config.geometry):
        raise ValueError("heads, appearance and geometry belong to way attention; leave them alone with way gcn")


def make_gate(backbone: Backbone, config: ModelConfig, size: int) -> GridGate:
    """The gate that a config describes, for a cut backbone and views of ``size`` pixels.

    Raises:
        ValueError: the grid does not fit the map.
    """
    _check_grid(backbone, config, size)
    return GridGate(backbone.channels, config.grid, config.hidden, config.mode, config.noise, config.tau, config.open)


def _check_grid(backbone: Backbone, config: ModelConfig, size: int) -> None:
    with torch.no_grad():
        training, device = backbone.training, next(backbone.parameters()).device
        backbone.eval()
        features = backbone.head(torch.zeros(1, 3, size, size, device=device))
        last = features if config.mask != "stage4" else backbone.tail(features)
        backbone.train(training)
    cells = min(last.shape[-2:])
    if config.grid > cells:
        raise ValueError(
            f"a grid of {config.grid} does not fit the {cells} x {cells} map that {config.backbone} has at {size} px; "
            f"use grid <= {cells} or a larger size"
        )
