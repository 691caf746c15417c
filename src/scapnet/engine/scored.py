"""An engine in the place of a network, so that an evaluation can score it.

B batch, K classes, M parts, D feature size, S side of the view, S' side of the source.
"""

from typing import NamedTuple

from torch import Tensor, nn

from scapnet.calibration import Prototypes
from scapnet.engine.base import Engine


class EngineOutput(NamedTuple):
    """The answers of an engine as a network's output; what only the network itself knows is None."""

    logits: Tensor  # (B, K) of the main branch
    part_logits: Tensor | None  # (B, M, K)
    probs: Tensor  # (B, K)
    gate: None = None
    parts: None = None


class ScoredEngine(nn.Module):
    """An engine that is called as a network is. It has no parameters.

    Args:
        engine: see `scapnet.engine`.
        prototypes: of the network that the engine runs; see `scapnet.prototypes`.
    """

    def __init__(self, engine: Engine, prototypes: Prototypes | None) -> None:
        super().__init__()
        self.engine, self.prototypes = engine, prototypes
        self.classifier = nn.Identity()  # whose input an evaluation takes the features from

    def forward(self, image: Tensor, source: Tensor | None = None, index: Tensor | None = None) -> EngineOutput:
        """Classify views (B, 3, S, S) with their sources (B, 3, S', S') and numbers (B,)."""
        assert index is not None
        said = self.engine(image.cpu(), None if source is None else source.cpu(), index)
        assert said.logits is not None
        self.classifier(said.features)
        return EngineOutput(said.logits, said.part_logits, said.probs)
