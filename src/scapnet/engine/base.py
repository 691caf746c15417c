"""What every engine does: answer a batch of views.

B batch, K classes, M parts, N grid, D feature size, S side of the view, S' side of the source.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol

from torch import Tensor

from scapnet.config import ViewConfig
from scapnet.network import Network, NetworkOutput


class Answers(NamedTuple):
    """What a network says of a batch. What it does not have is None."""

    probs: Tensor  # (B, K)
    mask: Tensor | None = None  # (B, N, N) the gate's
    boxes: Tensor | None = None  # (B, M, 4) cxcywh in [0, 1] of the view
    scores: Tensor | None = None  # (B, M) P(keep)
    scales: Tensor | None = None  # (B, M) sides of the parts in units of the grid
    part_logits: Tensor | None = None  # (B, M, K), or (B, 1, K) of a classifier over all parts at once
    features: Tensor | None = None  # (B, D) the main branch's input to its classifier
    looked: Tensor | None = None  # (B,) whose parts were looked at; None where all are, or none can be
    logits: Tensor | None = None  # (B, K) of the main branch
    known: Tensor | None = None  # (B,) the score of being known, where a graph computes it

    @classmethod
    def of(cls, output: NetworkOutput, features: Tensor | None = None) -> "Answers":
        """The answers in a network's output."""
        mask, parts = None if output.gate is None else output.gate.mask, output.parts
        looked = getattr(output, "looked", None)
        if parts is None:
            return cls(output.probs, mask, features=features, looked=looked, logits=output.logits)
        chosen = parts.boxes, parts.scores, parts.scales
        return cls(output.probs, mask, *chosen, output.part_logits, features, looked, output.logits)


class Engine(Protocol):
    """A trained network, ready to run."""

    @property
    def view(self) -> ViewConfig:
        """How a photo becomes its input."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the K classes."""

    @property
    def threshold(self) -> float | None:
        """The probability from which on an answer can be trusted; None where it is not known."""

    # An engine that knows them also has ``calibration``, ``prototypes`` and ``parents``, as a `Network` does, or such a
    # network as ``model``. One that takes whole photos has ``of_photos``, as a `GraphEngine` of such a file.

    def __call__(self, image: Tensor, source: Tensor | None, index: Tensor) -> Answers:
        """Classify a batch.

        Args:
            image: (B, 3, S, S) float32 normalised view, on the CPU.
            source: (B, 3, S', S') the same view in more pixels, where the view has a larger source.
            index: (B,) numbers of the photos, which random parts are drawn by.
        """


@contextmanager
def captured_features(model: Network) -> Iterator[list[Tensor]]:
    """Keep the (B, D) inputs of the main branch's classifier of each forward pass."""
    found = list[Tensor]()
    hook = model.classifier.register_forward_pre_hook(lambda _, inputs: found.append(inputs[0]))
    try:
        yield found
    finally:
        hook.remove()
