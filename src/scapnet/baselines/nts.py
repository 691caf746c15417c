"""NTS-Net (Yang et al., Learning to Navigate for Fine-grained Classification, ECCV 2018), with or without PRM.

B batch, K classes, C channels, D feature size, H W map size, A anchors, M proposals, i s two proposals.
"""

from typing import NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scapnet.backbones.cnn import Backbone, evaluation_mode
from scapnet.backbones.factory import create
from scapnet.baselines.anchors import SHAPES, anchor_count, anchor_levels, anchors, choose
from scapnet.baselines.settings import check_parts
from scapnet.config import LossConfig, ModelConfig
from scapnet.losses import weighted_sum
from scapnet.model import make_relation, silence_relation
from scapnet.modules.boxes import crop_parts
from scapnet.modules.scaps import PartsOutput
from scapnet.network import NetworkState, enabled_sections, separate_groups

PROPOSALS = 6  # M
JOINED = 4  # the Scrutinizer sees this many of them, the most informative ones
DROPOUT = 0.5  # of the public code


class NTSOutput(NamedTuple):
    """A `SCAPNetOutput` with the Scrutinizer's logits. Fields of modules that stage 1 does not run are None."""

    logits: Tensor  # (B, K) of the whole image
    part_logits: Tensor | None  # (B, M, K) of the Teacher
    probs: Tensor  # (B, K) the final answer
    gate: None
    parts: PartsOutput | None  # scores are informativeness, unbounded; scales are anchor levels; there are no maps
    joint: Tensor | None  # (B, K) of the Scrutinizer


class Navigator(nn.Module):
    """The informativeness of each anchor. With 2048 channels it has the 2.65M parameters of Table III (2,657,301).

    Args:
        channels: C of the backbone's last map.
        hidden: output channels of each of the three 3x3 convolutions.
    """

    def __init__(self, channels: int, hidden: int = 128) -> None:
        super().__init__()
        widths = (channels, hidden, hidden)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(width, hidden, 3, stride, 1) for width, stride in zip(widths, (1, 2, 2), strict=True)
        )
        self.heads = nn.ModuleList(nn.Conv2d(hidden, shapes, 1) for shapes in SHAPES)

    def forward(self, features: Tensor) -> tuple[Tensor, list[tuple[int, int]]]:
        """Score the anchors.

        Args:
            features: (B, C, H, W), the backbone's last map.

        Returns:
            (B, A) informativeness, and the (H, W) of each level.
        """
        scores, maps = [], []
        for convolution, head in zip(self.convolutions, self.heads, strict=True):
            features = F.relu(convolution(features))
            scores.append(head(features).flatten(1))  # (B, T*H*W)
            maps.append((features.shape[-2], features.shape[-1]))
        return torch.cat(scores, 1), maps


class NTSNet(NetworkState, nn.Module):
    """Navigator, Teacher and Scrutinizer on one backbone, with the protocol `scapnet.network.Network`.

    Args:
        backbone: shared by the image and the parts.
        classifier: features (B, D) of the image to logits (B, K).
        navigator: the last map to informativeness.
        part_classifier: the Teacher's, part features (B, M, D) to logits (B, M, K).
        scrutinizer: features (B, (1 + JOINED) * D) of the most informative parts and the image to logits (B, K).
        relation: PRM, applied to the part features before Teacher and Scrutinizer.
        part_size: side of a crop in pixels.
        dropout: probability of dropout on the pooled features of image and parts, in training only; the public code
            leaves it on in evaluation.
    """

    def __init__(
        self,
        backbone: Backbone,
        classifier: nn.Module,
        navigator: Navigator,
        part_classifier: nn.Module,
        scrutinizer: nn.Module,
        relation: nn.Module | None = None,
        part_size: int = 224,
        dropout: float = DROPOUT,
    ) -> None:
        super().__init__()
        self.backbone, self.classifier = backbone, classifier
        self.part_classifier, self.relation, self.part_size = part_classifier, relation, part_size
        self.navigator, self.scrutinizer = navigator, scrutinizer
        self.dropout = nn.Dropout(dropout)

    @classmethod
    def from_config(cls, config: ModelConfig, num_classes: int, size: int, start: bool = True) -> Self:
        """NTS-Net, or PRM + NTS-Net if the relation is enabled; see `scapnet.build.build_model`.

        Raises:
            ValueError: settings that NTS-Net does not have, or a view with fewer anchors than proposals.
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
        dropout = DROPOUT if config.dropout is None else config.dropout
        model = cls(backbone, classifier, navigator, teacher, scrutinizer, relation, config.parts.size, dropout)
        model.config = config
        return model.to(memory_format=torch.channels_last)

    @classmethod
    def title(cls, config: ModelConfig) -> str:
        """The name of the network in a table."""
        return "PRM + NTS-Net" if config.relation.enabled else "NTS-Net"

    @classmethod
    def part_count(cls, config: ModelConfig) -> int:
        """M."""
        return PROPOSALS

    @classmethod
    def sections(cls, config: ModelConfig) -> frozenset[str]:
        """The enabled sections."""
        return enabled_sections(config)

    def make_loss(self, config: LossConfig, class_weights: Tensor | None = None) -> "NTSLoss":
        """The paper's loss, with the config's weights for the cross-entropies of the image and the parts."""
        entropy = nn.CrossEntropyLoss(class_weights, label_smoothing=config.smoothing)
        return NTSLoss(config.cls, config.sub, entropy=entropy)

    def location_module(self) -> nn.Module | None:
        """The Navigator."""
        return self.navigator

    def clip_groups(self) -> list[list[nn.Parameter]]:
        """The main branch, the Navigator, and the rest.

        The Navigator's loss is a sum over pairs of parts. If they were clipped together with it, the Teacher and the
        Scrutinizer would barely learn.
        """
        return separate_groups([(self.backbone, self.classifier), (self.navigator,), (self,)])

    def set_stage(self, stage: int) -> None:
        """Stage 1 trains and runs only the backbone and the image's classifier; stage 2 the whole network."""
        self.stage = stage
        for module in (self.part_classifier, self.relation, self.navigator, self.scrutinizer):
            if module is not None:
                module.requires_grad_(stage == 2)

    def start_parts_from_main(self) -> None:
        """Copy the weights of the image's classifier into the Teacher; the backbone is shared anyway."""
        self.part_classifier.load_state_dict(self.classifier.state_dict())
        silence_relation(self.relation)

    def navigate(self, features: Tensor) -> PartsOutput:
        """M boxes of each image from the last map (B, C, H, W), the most informative first."""
        scores, maps = self.navigator(features)  # (B, A)
        scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
        boxes = anchors(maps, features.device)  # (A, 4)
        chosen = choose(scores.detach(), boxes, PROPOSALS)  # (B, M)
        return PartsOutput(boxes[chosen], scores.gather(1, chosen), anchor_levels(maps, boxes.device)[chosen], ())

    def forward(self, image: Tensor, source: Tensor | None = None, index: Tensor | None = None) -> NTSOutput:
        """Classify a batch.

        Args:
            image: (B, 3, S, S) normalised view.
            source: (B, 3, S', S') the same view with more pixels, from which parts are cropped; by default ``image``.
            index: not used, as the choice of parts is not random.

        Returns:
            `NTSOutput`; its probs are the softmax of the Scrutinizer's logits, or of the image's in stage 1.
        """
        features = self.backbone.tail(self.backbone.head(image))  # (B, C, H, W)
        whole = self.dropout(self.backbone.pool(features))  # (B, D)
        logits = self.classifier(whole)
        if self.stage == 1:
            return NTSOutput(logits, None, logits.float().softmax(-1), None, None, None)
        # As in the public code, the ranking loss trains the Navigator only.
        parts = self.navigate(features.detach())
        crops = crop_parts(image if source is None else source, parts.boxes, self.part_size)  # (B*M, 3, s, s)
        part_features = self.dropout(self.backbone(crops)).unflatten(0, parts.boxes.shape[:2])  # (B, M, D)
        if self.relation is not None:
            part_features = self.relation(part_features, parts.boxes)
        joint = self.scrutinizer(torch.cat((part_features[:, :JOINED].flatten(1), whole), 1))
        return NTSOutput(logits, self.part_classifier(part_features), joint.float().softmax(-1), None, parts, joint)


def ranking_loss(scores: Tensor, confidence: Tensor) -> Tensor:
    """L_I of the NTS-Net paper: if the Teacher is more confident in s than in i, I_s should exceed I_i by 1.

    Args:
        scores: (B, M) informativeness.
        confidence: (B, M) the Teacher's; only its order is used.

    Returns:
        Scalar: the sum over the pairs of proposals, then the mean over the batch.
    """
    better = confidence.unsqueeze(1) > confidence.unsqueeze(2)  # (B, i, s)
    gap = scores.unsqueeze(1) - scores.unsqueeze(2)  # I_s - I_i
    return (F.relu(1 - gap) * better).sum((1, 2)).mean()


Entropy = nn.CrossEntropyLoss


class NTSLoss(nn.Module):
    """Cross-entropies of the image, the parts and the Scrutinizer, and the ranking loss; all weights 1 in the paper.

    Args:
        cls: weight of the image's cross-entropy.
        sub: weight of L_C, the sum of the parts' cross-entropies (the public code takes their mean).
        joint: weight of L_S, the Scrutinizer's cross-entropy.
        rank: weight of `ranking_loss`.
        entropy: used for every cross-entropy, with its label smoothing and class weights; by default without either.
    """

    def __init__(
        self, cls: float = 1.0, sub: float = 1.0, joint: float = 1.0, rank: float = 1.0, entropy: Entropy | None = None
    ) -> None:
        super().__init__()
        self.entropy = entropy or nn.CrossEntropyLoss()
        self.cls, self.sub = cls, sub
        self.joint, self.rank = joint, rank

    def forward(self, output: NTSOutput, target: Tensor) -> dict[str, Tensor]:
        """Terms "cls", "sub", "joint", "rank" and "loss"; see `scapnet.network.Loss`."""
        whole = output.logits.float()
        terms = {"cls": self.entropy(whole, target)}
        if output.part_logits is None or output.parts is None or output.joint is None:  # stage 1
            return weighted_sum(terms, self)
        parts = output.part_logits.shape[1]
        targets = target.repeat_interleave(parts, 0)  # (B*M,) or (B*M, K)
        terms["sub"] = parts * self.entropy(output.part_logits.flatten(0, 1).float(), targets)
        terms["joint"] = self.entropy(output.joint.float(), target)
        terms["rank"] = ranking_loss(output.parts.scores, confidences(output.part_logits.detach(), target))
        return weighted_sum(terms, self)


def confidences(part_logits: Tensor, target: Tensor) -> Tensor:
    """(B, M) log-probabilities of target (B,) by part logits (B, M, K); for soft targets (B, K) the weighted means."""
    # In log space, because confidences that underflow to 0 would be tied.
    log_probs = part_logits.float().log_softmax(-1)
    if target.dim() == 2:
        return (log_probs * target.unsqueeze(1)).sum(2)
    return log_probs.gather(2, target[:, None, None].expand(-1, log_probs.shape[1], 1)).squeeze(2)


@torch.no_grad()
def _last_map(backbone: Backbone, size: int) -> Tensor:
    with evaluation_mode(backbone):
        return backbone.tail(backbone.head(torch.zeros(1, 3, size, size, device=next(backbone.parameters()).device)))
