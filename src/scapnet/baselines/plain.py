"""The plain backbone: a timm network with one linear classifier, the first row of the paper's tables.

B batch, K classes, D feature size, S side of the view.
"""

from typing import Self

import torch
from torch import Tensor, nn

from scapnet.backbones.cnn import Backbone
from scapnet.backbones.factory import create
from scapnet.config import LossConfig, ModelConfig
from scapnet.losses import SCAPNetLoss
from scapnet.model import SCAPNetOutput
from scapnet.network import NetworkState


class PlainNet(NetworkState, nn.Module):
    """A backbone and a classifier, with the protocol `scapnet.network.Network`.

    Args:
        backbone: need not be cut in two.
        classifier: features (B, D) to logits (B, K).
    """

    def __init__(self, backbone: Backbone, classifier: nn.Module) -> None:
        super().__init__()
        self.backbone, self.classifier = backbone, classifier

    @classmethod
    def from_config(cls, config: ModelConfig, num_classes: int, size: int, start: bool = True) -> Self:
        """Build the network; see `scapnet.build.build_model`. The settings of gate, parts and relation are not used."""
        backbone = create(config.backbone, config.weights if start else "none", size, cut=False)
        model = cls(backbone, nn.Linear(backbone.dim, num_classes))
        model.config = config
        return model.to(memory_format=torch.channels_last)

    @classmethod
    def title(cls, config: ModelConfig) -> str:
        """The name of the network in a table."""
        return "backbone"

    @classmethod
    def part_count(cls, config: ModelConfig) -> int:
        """0."""
        return 0

    @classmethod
    def sections(cls, config: ModelConfig) -> frozenset[str]:
        """None."""
        return frozenset()

    def make_loss(self, config: LossConfig, class_weights: Tensor | None = None) -> SCAPNetLoss:
        """The cross-entropy of Eq. 3, the only term of Eq. 15 here."""
        return SCAPNetLoss(config.cls, smoothing=config.smoothing, class_weights=class_weights)

    def location_module(self) -> nn.Module | None:
        """None, as there are no parts."""
        return None

    def clip_groups(self) -> list[list[nn.Parameter]]:
        """All parameters together."""
        return [list(self.parameters())]

    def set_stage(self, stage: int) -> None:
        """Both stages train the whole network."""
        self.stage = stage

    def start_parts_from_main(self) -> None:
        """Do nothing, as there are no parts."""

    def forward(self, image: Tensor, source: Tensor | None = None, index: Tensor | None = None) -> SCAPNetOutput:
        """Classify images (B, 3, S, S); ``source`` and ``index`` are not used."""
        logits = self.classifier(self.backbone(image))
        return SCAPNetOutput(logits, None, logits.float().softmax(-1), None, None)
