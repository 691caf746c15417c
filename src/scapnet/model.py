"""SCAPNet: the main branch, gGAU, SCAPS, the sub-network and PRM, composed from given modules.

B batch, K classes, M parts, D feature size, S side of the view, N grid.
"""

from dataclasses import replace
from functools import partial
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

from scapnet.backbones.cnn import Backbone
from scapnet.backbones.factory import check_tokens, create
from scapnet.backbones.vit import TokenBackbone, fit_positions
from scapnet.backbones.weights import network_name
from scapnet.cam import class_activation_maps
from scapnet.config import GateConfig, LossConfig, ModelConfig, PartsConfig, RelationConfig
from scapnet.losses import SCAPNetLoss
from scapnet.modules.alternatives.classifiers import ConcatClassifier, EachClassifier, make_part_classifier
from scapnet.modules.alternatives.gcn import PartGraph
from scapnet.modules.boxes import crop_parts
from scapnet.modules.fusion import fused_answer, spread_rows
from scapnet.modules.ggau import GateOutput, GridGate, apply_mask, unit_cells
from scapnet.modules.prm import PartRelation
from scapnet.modules.scaps import PartSelection, PartsOutput
from scapnet.network import NetworkState, enabled_sections, separate_groups
from scapnet.terminal.hints import option


class SCAPNetOutput(NamedTuple):
    """Output of a forward pass. Modules that are missing or did not run give None."""

    logits: Tensor  # (B, K) of the main branch
    part_logits: Tensor | None  # (B, M, K); (B, 1, K) of a classifier over all parts at once
    probs: Tensor  # (B, K) the final answer
    gate: GateOutput | None
    parts: PartsOutput | None
    looked: Tensor | None = None  # (B,) whose parts were looked at; None where all are, or none can be
    pool: tuple[float, float] | None = None  # see `scapnet.modules.fusion`
    last: Tensor | None = None  # (B, D, H', W') the main branch's last map, for `cam_loss`; in training only


class SCAPNet(NetworkState, nn.Module):
    """The network of Fig. 2.

    Args:
        backbone: the main branch.
        classifier: features (B, D) to logits (B, K).
        gate: gGAU. Without it there is no mask and there are no parts.
        selection: SCAPS.
        part_backbone: the sub-network; ``backbone`` itself if the two share weights.
        part_classifier: part features (B, M, D) to logits (B, M, K), or to (B, 1, K) for all parts at once.
        relation: PRM or `PartGraph`, between the sub-network and its classifier.
        part_size: side of a crop in pixels.
        mask: where the gate's mask goes: "stage3", "stage4" or "none".
        pool: weights of both branches' logits in the answer, see `scapnet.modules.fusion`.
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
        pool: tuple[float, float] | None = None,
    ) -> None:
        super().__init__()
        if selection is not None and (gate is None or part_backbone is None or part_classifier is None):
            raise ValueError("parts need a gate that scores them, a sub-network and a classifier of their own")
        if gate is not None and selection is not None and gate.grid != selection.grid:
            raise ValueError(f"the gate has a grid of {gate.grid} and the selection one of {selection.grid}")
        self.backbone, self.classifier = backbone, classifier
        self.gate, self.selection = gate, selection
        self.part_backbone, self.part_classifier, self.relation = part_backbone, part_classifier, relation
        self.part_size, self.mask, self.pool = part_size, mask, pool

    @classmethod
    def from_config(cls, config: ModelConfig, num_classes: int, size: int, start: bool = True) -> Self:
        """Build the network of a config; for the arguments see `scapnet.build.build_model`."""
        gate_config, parts = config.gate, config.parts
        if parts.enabled and not gate_config.enabled:
            raise ValueError(
                "parts are chosen by the gate's scorer; enable the gate, with mask none if it must not mask"
            )
        if config.relation.enabled and not parts.enabled:
            raise ValueError("the relation needs parts; enable them, or disable the relation")
        weights = config.weights if start else "none"
        backbone = create(config.backbone, weights, size, gate_config.enabled, gate_config.block)
        check_tokens(backbone, config, size)
        gate = selection = sub = part_classifier = relation = None
        if gate_config.enabled:
            gate = make_gate(backbone, gate_config, size)
        if parts.enabled:
            selection = make_selection(gate_config.grid, parts)
            sub = backbone if parts.shared else create(config.backbone, weights, parts.size, cut=False)
            part_classifier = make_part_classifier(parts.classifier, selection.num_parts, backbone.dim, num_classes)
        if config.relation.enabled:
            relation = make_relation(config.relation, backbone.dim)
        classifier = nn.Linear(backbone.dim, num_classes)
        kept = parts.size, gate_config.mask, parts.pool
        model = cls(backbone, classifier, gate, selection, sub, part_classifier, relation, *kept)
        model.config = config
        # A CPU trains up to 2.3 times as fast with channels last (results/memory-format.md), but safetensors could not
        # tell which weights are shared then.
        return model if parts.shared else model.to(memory_format=torch.channels_last)

    @classmethod
    def title(cls, config: ModelConfig) -> str:
        """The network's name in a table."""
        return "SCAPNet"

    @classmethod
    def part_count(cls, config: ModelConfig) -> int:
        """M, or 0 without parts."""
        return config.parts.count if config.parts.enabled else 0

    @classmethod
    def sections(cls, config: ModelConfig) -> frozenset[str]:
        """The enabled sections."""
        return enabled_sections(config)

    def make_loss(self, config: LossConfig, class_weights: Tensor | None = None) -> SCAPNetLoss:
        """Eq. 15 with the weights of a config."""
        if config.success and isinstance(self.part_classifier, ConcatClassifier):
            raise ValueError(
                f"{option('loss.success')} needs an answer of each part, and {option('model.parts.classifier')} concat "
                "gives one for all; use shared or each"
            )
        if config.cam and isinstance(self.backbone, TokenBackbone):
            raise ValueError(
                f"{option('loss.cam')} needs a class activation map, and {network_name(self.backbone.net)} ends in "
                "tokens; use a network that ends in a map"
            )
        weights = config.cls, config.act, config.con, config.sub
        ours = config.distill, config.distill_tau, config.success, config.cam
        cams = partial(class_activation_maps, self)
        return SCAPNetLoss(*weights, config.margin, config.smoothing, class_weights, *ours, cams)

    def location_module(self) -> nn.Module | None:
        """The gate, whose scorer chooses the parts."""
        return self.gate

    def clip_groups(self) -> list[list[nn.Parameter]]:
        """The main branch with the gate, and the rest.

        L_sub is a sum of M + 1 cross-entropies (Eq. 14): clipped together with it, the main branch would barely learn.
        """
        return separate_groups([(self.backbone, self.classifier, self.gate), (self,)])

    def set_stage(self, stage: int) -> None:
        """Stage 1 freezes the sub-network and PRM and does not run them (Sec. IV-C); stage 2 is the whole network."""
        self.stage = stage
        for module in (self.part_backbone, self.part_classifier, self.relation):
            if module is not None and module is not self.backbone:
                module.requires_grad_(stage == 2)

    def start_parts_from_main(self) -> None:
        """Copy the main branch's weights into the sub-network and its classifier."""
        pairs = ((self.part_backbone, self.backbone), (self.part_classifier, self.classifier))
        for part, main in pairs:
            if isinstance(part, EachClassifier | ConcatClassifier):
                part.start_from(main.state_dict())
            elif part is not None and part is not main:
                state = main.state_dict()
                part.load_state_dict(fit_positions(part.net, state, "net.") if isinstance(part, Backbone) else state)
        silence_relation(self.relation)

    def set_pool(self, pool: tuple[float, float]) -> None:
        """From now on the answer has these weights, and so has its config."""
        self.pool, self.config = pool, replace(self.config, parts=replace(self.config.parts, pool=pool))

    def forward(
        self,
        image: Tensor,
        source: Tensor | None = None,
        index: Tensor | None = None,
        sure: float | None = None,
        held: SCAPNetOutput | None = None,
    ) -> SCAPNetOutput:
        """Classify a batch.

        Args:
            image: (B, 3, S, S) normalised view.
            source: (B, 3, S', S') the same view with more pixels, from which parts are cropped; by default ``image``.
            index: (B,) sample numbers, which seed random parts in evaluation.
            sure: a probability: photos whose main branch is at least as sure of its answer skip the parts and have that
                answer (not in the paper). Their rows of ``parts``, which has no maps then, and of ``part_logits`` are
                NaN (0 for scales), and ``looked`` is False; where no photo is unsure, both are None.
            held: an earlier output, whose gate and parts are those of this one, too (not in the paper): only what is
                seen through them is computed again. Not together with ``sure``.

        Returns:
            `SCAPNetOutput`; its probs are the `fused_answer` of the two branches.
        """
        source = image if source is None else source
        if self.gate is None:
            logits = self.classifier(self.backbone(image))
            return SCAPNetOutput(logits, None, logits.float().softmax(-1), None, None)
        features, beside = self.backbone.start(image)  # (B, C, H, W)
        gate = self.gate(features) if held is None or held.gate is None else self.gate.hold(features, held.gate)
        last: Tensor | None = None
        if isinstance(self.backbone, TokenBackbone):
            cells = None if self.mask == "none" else unit_cells(self.gate.applied(gate.mask), *features.shape[-2:])
            logits = self.classifier(self.backbone.finish(features, beside, cells))
        else:
            last = masked_tail(self.backbone, features, self.gate, gate, self.mask)
            logits = self.classifier(self.backbone.pool(last))
        probs = logits.float().softmax(-1)
        if self.selection is None or self.stage == 1:
            return SCAPNetOutput(logits, None, probs, gate, None)
        if sure is None:
            parts, part_logits = self._look(features, gate.logits, source, index, held and held.parts)
            probs = fused_answer(logits, part_logits, self.pool)
            seen = last.detach() if self.training and last is not None else None
            return SCAPNetOutput(logits, part_logits, probs, gate, parts, pool=self.pool, last=seen)
        looked = probs.amax(1) < sure  # (B,)
        if not looked.any():
            return SCAPNetOutput(logits, None, probs, gate, None, looked)
        numbers = None if index is None else index[looked]
        parts, part_logits = self._look(features[looked], gate.logits[looked], source[looked], numbers)
        part_logits = spread_rows(part_logits, looked)
        probs = torch.where(looked[:, None], fused_answer(logits, part_logits, self.pool), probs)
        boxes, scores, scales = (spread_rows(tensor, looked) for tensor in parts[:3])
        parts = PartsOutput(boxes, scores, scales, ())
        return SCAPNetOutput(logits, part_logits, probs, gate, parts, looked, self.pool)

    def _look(
        self,
        features: Tensor,
        units: Tensor,
        source: Tensor,
        index: Tensor | None,
        held: PartsOutput | None = None,
    ) -> tuple[PartsOutput, Tensor]:
        """Choose parts by a stage-3 map (B, C, H, W) and its units' logits; with the parts' logits (B, M or 1, K)."""
        assert self.gate is not None
        assert self.selection is not None
        # Scores are of the unmasked map; otherwise a closed unit could never become a part.
        parts = held or self.selection(features, self.gate.score, index, units)
        return parts, self._parts(source, parts.boxes)

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


def masked_tail(backbone: Backbone, features: Tensor, gate: GridGate, said: GateOutput, mask: str) -> Tensor:
    """Stage 4 of a stage-3 map (B, C, H, W) with the gate's mask on its input ("stage3"), its output, or nowhere."""
    if mask == "stage4":
        return apply_mask(backbone.tail(features), gate.applied(said.mask))
    return backbone.tail(said.features if mask == "stage3" else features)


def make_relation(config: RelationConfig, dim: int) -> nn.Module:
    """PRM or a graph convolution for features of size ``dim``."""
    if config.type == "gcn":
        return PartGraph(dim)
    return PartRelation(dim, config.key_dim, config.geo_dim, config.heads, config.appearance, config.geometry)


def silence_relation(relation: nn.Module | None) -> None:
    """Initialise a relation with f-hat = f (Eq. 13), so that it does not mix trained features at random."""
    value = getattr(relation, "value", None)
    if isinstance(value, nn.Linear):
        nn.init.zeros_(value.weight)


def make_selection(grid: int, config: PartsConfig) -> PartSelection:
    """SCAPS on a grid of N units."""
    return PartSelection(grid, config.keep, config.strategy, config.total)


def make_gate(backbone: Backbone, config: GateConfig, size: int) -> GridGate:
    """The gate of a cut backbone for views of ``size`` pixels.

    Raises:
        ValueError: the grid does not fit the map.
    """
    cells = min(backbone.map_cells(size, 4 if config.mask == "stage4" else 3))
    if config.grid > cells:
        raise ValueError(
            f"a grid of {config.grid} does not fit the {cells} x {cells} map of {network_name(backbone.net)} at "
            f"{size} px; use grid <= {cells} or a larger size"
        )
    settings = config.grid, config.hidden, config.mode, config.noise, config.tau, config.open
    return GridGate(backbone.channels, *settings, config.unmasked, config.mask_in_evaluation)
