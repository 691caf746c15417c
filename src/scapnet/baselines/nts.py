"""NTS-Net (Yang et al., Learning to Navigate for Fine-grained Classification, ECCV 2018), with or without PRM.

B batch, K classes, D feature size, H W last map, A anchors, M proposals, i s two proposals.
"""

from typing import NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scapnet.backbones.cnn import Backbone, create, evaluation_mode
from scapnet.baselines.anchors import SHAPES, anchor_count, anchor_levels, anchors, choose
from scapnet.baselines.settings import check_parts
from scapnet.config import LossConfig, ModelConfig, ViewConfig
from scapnet.losses import weighted_sum
from scapnet.model import make_relation, silence_relation
from scapnet.modules.boxes import crop_parts
from scapnet.modules.scaps import PartsOutput
from scapnet.network import ConfigOfNetwork, enabled_sections, separate_groups

PROPOSALS = 6  # M
JOINED = 4  # the most informative of them, which the Scrutinizer sees


class NTSOutput(NamedTuple):
    """`SCAPNetOutput`, and the Scrutinizer's answer; in stage 1 the image's own is all that there is."""

    logits: Tensor  # (B, K) of the image alone
    part_logits: Tensor | None  # (B, M, K) of the Teacher
    probs: Tensor  # (B, K) the final answer
    gate: None
    parts: PartsOutput | None  # scores are informativeness, any real number; scales are levels of anchors; no maps
    joint: Tensor | None  # (B, K) of the Scrutinizer


class Navigator(nn.Module):
    """Informativeness of every anchor; at D = 2048 it has the 2.65M parameters of Table III (2,657,301).

    Args:
        channels: of the backbone's last map.
        hidden: channels of each of the three 3x3 convolutions.
    """

    def __init__(self, channels: int, hidden: int = 128) -> None:
        super().__init__()
        widths = (channels, hidden, hidden)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(width, hidden, 3, stride, 1) for width, stride in zip(widths, (1, 2, 2), strict=True)
        )
        self.heads = nn.ModuleList(nn.Conv2d(hidden, shapes, 1) for shapes in SHAPES)

    def forward(self, features: Tensor) -> tuple[Tensor, list[tuple[int, int]]]:
        """Score a last map.

        Args:
            features: (B, C, H, W).

        Returns:
            (B, A) informativeness, and the (H, W) of each level.
        """
        scores, maps = [], []
        for convolution, head in zip(self.convolutions, self.heads, strict=True):
            features = F.relu(convolution(features))
            scores.append(head(features).flatten(1))  # (B, T*H*W)
            maps.append((features.shape[-2], features.shape[-1]))
        return torch.cat(scores, 1), maps


class NTSNet(nn.Module):
    """Navigator, Teacher and Scrutinizer on one backbone. It keeps the protocol `scapnet.network.Network`.

    Args:
        backbone: of the image and of the parts.
        classifier: features (B, D) of the image to logits (B, K).
        navigator: last map to `Navigator`'s scores.
        part_classifier: the Teacher's, part features (B, M, D) to logits (B, M, K).
        scrutinizer: features (B, (1 + JOINED) * D) of the most informative parts and the image to logits (B, K).
        relation: PRM, before the parts are classified and joined.
        part_size: side of a crop in pixels.
        dropout: of every pooled feature, of the image as of its parts, in training only; the public code's stays on in
            evaluation.
    """

    config = ConfigOfNetwork()

    def __init__(
        self,
        backbone: Backbone,
        classifier: nn.Module,
        navigator: Navigator,
        part_classifier: nn.Module,
        scrutinizer: nn.Module,
        relation: nn.Module | None = None,
        part_size: int = 224,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.backbone, self.classifier = backbone, classifier
        self.part_classifier, self.relation, self.part_size = part_classifier, relation, part_size
        self.navigator, self.scrutinizer = navigator, scrutinizer
        self.dropout = nn.Dropout(dropout)
        self.stage = 2
        self.view, self.classes = ViewConfig(), tuple[str, ...]()

    @classmethod
    def from_config(cls, config: ModelConfig, num_classes: int, size: int, start: bool = True) -> Self:
        """NTS-Net, or PRM + NTS-Net if the relation is enabled; see `scapnet.build.build_model`.

        Raises:
            ValueError: settings that it does not have, or a view with fewer anchors than proposals.
        """
        check_parts(config, "NTS-Net")
        if config.gate.enabled:
            raise ValueError("NTS-Net has no gate; disable it with --model.gate.no-enabled")
        backbone = create(config.backbone, config.weights if start else "none", size)
        example = _last_map(backbone, size)
        navigator = Navigator(example.shape[1])
        found = anchor_count(navigator(example)[1])
        if found < PROPOSALS:
            raise ValueError(
                f"a view of {size} px has {found} anchors, fewer than {PROPOSALS} proposals; use a larger one"
            )
        dim = backbone.dim
        relation = make_relation(config.relation, dim) if config.relation.enabled else None
        teacher, scrutinizer = nn.Linear(dim, num_classes), nn.Linear((1 + JOINED) * dim, num_classes)
        classifier = nn.Linear(dim, num_classes)
        model = cls(backbone, classifier, navigator, teacher, scrutinizer, relation, config.parts.size)
        model.config = config
        return model.to(memory_format=torch.channels_last)

    @classmethod
    def title(cls, config: ModelConfig) -> str:
        """What the network is called in a table."""
        return "PRM + NTS-Net" if config.relation.enabled else "NTS-Net"

    @classmethod
    def part_count(cls, config: ModelConfig) -> int:
        """M."""
        return PROPOSALS

    @classmethod
    def sections(cls, config: ModelConfig) -> frozenset[str]:
        """The enabled ones."""
        return enabled_sections(config)

    def make_loss(self, config: LossConfig) -> "NTSLoss":
        """The paper's loss with those weights of a config that it has."""
        return NTSLoss(config.cls, config.sub, smoothing=config.smoothing)

    def location_module(self) -> nn.Module | None:
        """The Navigator."""
        return self.navigator

    def clip_groups(self) -> list[list[nn.Parameter]]:
        """The main branch, the Navigator and all the rest.

        The Navigator's loss is a sum over pairs of parts: clipped together with it, what judges the parts would all but
        stop.
        """
        return separate_groups([(self.backbone, self.classifier), (self.navigator,), (self,)])

    def set_stage(self, stage: int) -> None:
        """Stage 1 trains and runs the backbone and the image's own classifier only; stage 2 is the whole network."""
        self.stage = stage
        for module in (self.part_classifier, self.relation, self.navigator, self.scrutinizer):
            if module is not None:
                module.requires_grad_(stage == 2)

    def start_parts_from_main(self) -> None:
        """Give the Teacher the weights of the image's own classifier; the backbone is shared anyway."""
        self.part_classifier.load_state_dict(self.classifier.state_dict())
        silence_relation(self.relation)

    def navigate(self, features: Tensor) -> PartsOutput:
        """Propose parts: last map (B, C, H, W) to M boxes of each image, the most informative first."""
        scores, maps = self.navigator(features)  # (B, A)
        scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
        boxes = anchors(maps, features.device)  # (A, 4)
        chosen = choose(scores.detach(), boxes, PROPOSALS)  # (B, M)
        return PartsOutput(boxes[chosen], scores.gather(1, chosen), anchor_levels(maps, boxes.device)[chosen], ())

    def forward(self, image: Tensor, source: Tensor | None = None, index: Tensor | None = None) -> NTSOutput:
        """Classify, with the parts that were looked at.

        Args:
            image: (B, 3, S, S) normalised view.
            source: (B, 3, S', S') the same view in more pixels, from which parts are cut; by default ``image``.
            index: not used; nothing about the choice of parts is random.

        Returns:
            `NTSOutput`; its probs are the Scrutinizer's.
        """
        features = self.backbone.tail(self.backbone.head(image))  # (B, C, H, W)
        whole = self.dropout(self.backbone.pool(features))  # (B, D)
        logits = self.classifier(whole)
        if self.stage == 1:
            return NTSOutput(logits, None, logits.float().softmax(-1), None, None, None)
        # As in the public code, the ranking teaches the Navigator only.
        parts = self.navigate(features.detach())
        crops = crop_parts(image if source is None else source, parts.boxes, self.part_size)  # (B*M, 3, s, s)
        looks = self.dropout(self.backbone(crops)).unflatten(0, parts.boxes.shape[:2])  # (B, M, D)
        if self.relation is not None:
            looks = self.relation(looks, parts.boxes)
        joint = self.scrutinizer(torch.cat((looks[:, :JOINED].flatten(1), whole), 1))
        return NTSOutput(logits, self.part_classifier(looks), joint.float().softmax(-1), None, parts, joint)


def ranking_loss(scores: Tensor, confidence: Tensor) -> Tensor:
    """L_I of the paper: where the Teacher prefers s to i, I_s should be above I_i by 1.

    Args:
        scores: (B, M) informativeness.
        confidence: (B, M) the Teacher's, of which the order alone counts.

    Returns:
        Scalar: the sum over the pairs of proposals, then the mean over the batch.
    """
    better = confidence.unsqueeze(1) > confidence.unsqueeze(2)  # (B, i, s)
    gap = scores.unsqueeze(1) - scores.unsqueeze(2)  # I_s - I_i
    return (F.relu(1 - gap) * better).sum((1, 2)).mean()


class NTSLoss(nn.Module):
    """The image's cross-entropy, the parts', the Scrutinizer's and the ranking; every weight is 1 in the paper.

    Args:
        cls: weight of the image's own cross-entropy.
        sub: of the sum over the parts' cross-entropies, L_C of the paper (the public code takes their mean).
        joint: of the Scrutinizer's, L_S.
        rank: of `ranking_loss`.
        smoothing: label smoothing of every cross-entropy.
    """

    def __init__(
        self, cls: float = 1.0, sub: float = 1.0, joint: float = 1.0, rank: float = 1.0, smoothing: float = 0.0
    ) -> None:
        super().__init__()
        self.cls, self.sub, self.joint, self.rank, self.smoothing = cls, sub, joint, rank, smoothing

    def _entropy(self, logits: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(logits.float(), target, label_smoothing=self.smoothing)

    def forward(self, output: NTSOutput, target: Tensor) -> dict[str, Tensor]:
        """Named terms of an output for target (B,), each before its weight, and "loss", their weighted sum."""
        terms = {"cls": self._entropy(output.logits, target)}
        if output.part_logits is not None and output.parts is not None and output.joint is not None:
            parts = output.part_logits.shape[1]
            labels = target[:, None].expand(-1, parts)  # (B, M)
            known = output.part_logits.detach().float().log_softmax(-1)  # in log space no two confidences underflow
            confidence = known.gather(2, labels.unsqueeze(2)).squeeze(2)  # (B, M)
            terms["sub"] = parts * self._entropy(output.part_logits.flatten(0, 1), labels.flatten())
            terms["joint"] = self._entropy(output.joint, target)
            terms["rank"] = ranking_loss(output.parts.scores, confidence)
        return weighted_sum(terms, self)


@torch.no_grad()
def _last_map(backbone: Backbone, size: int) -> Tensor:
    with evaluation_mode(backbone):
        return backbone.tail(backbone.head(torch.zeros(1, 3, size, size, device=next(backbone.parameters()).device)))
