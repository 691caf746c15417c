"""What runs a trained network on a batch: PyTorch, or an exported file's own runtime.

B batch, K classes, M parts, N grid, D feature size, S side of the view, S' side of the source.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from scapnet.checkpoint import from_pretrained
from scapnet.config import ViewConfig
from scapnet.network import Network, NetworkOutput, device_of


class Answers(NamedTuple):
    """What a network says of a batch. What it does not have is None."""

    probs: Tensor  # (B, K)
    mask: Tensor | None = None  # (B, N, N) the gate's
    boxes: Tensor | None = None  # (B, M, 4) cxcywh in [0, 1] of the view
    scores: Tensor | None = None  # (B, M) P(keep)
    scales: Tensor | None = None  # (B, M) sides of the parts in units of the grid
    part_logits: Tensor | None = None  # (B, M, K), or (B, 1, K) of a classifier over all parts at once
    features: Tensor | None = None  # (B, D) the main branch's input to its classifier

    @classmethod
    def of(cls, output: NetworkOutput, features: Tensor | None = None) -> "Answers":
        """The answers in a network's output."""
        mask, parts = None if output.gate is None else output.gate.mask, output.parts
        if parts is None:
            return cls(output.probs, mask, features=features)
        return cls(output.probs, mask, parts.boxes, parts.scores, parts.scales, output.part_logits, features)


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

    def __call__(self, image: Tensor, source: Tensor | None, index: Tensor) -> Answers:
        """Classify a batch.

        Args:
            image: (B, 3, S, S) float32 normalised view, on the CPU.
            source: (B, 3, S', S') the same view in more pixels, where the view has a larger source.
            index: (B,) numbers of the photos, which random parts are drawn by.
        """


class TorchEngine:
    """A network on its own device, in evaluation mode.

    Args:
        model: with its ``view``, ``classes`` and ``threshold``.
    """

    def __init__(self, model: Network) -> None:
        self.model = model

    @property
    def view(self) -> ViewConfig:
        """The model's."""
        return self.model.view

    @property
    def classes(self) -> tuple[str, ...]:
        """The model's."""
        return self.model.classes

    @property
    def threshold(self) -> float | None:
        """The model's."""
        return self.model.threshold

    @torch.inference_mode()
    def __call__(self, image: Tensor, source: Tensor | None, index: Tensor) -> Answers:
        """Run the network; the answers stay on its device."""
        device, features = device_of(self.model), list[Tensor]()
        hook = self.model.classifier.register_forward_pre_hook(lambda _, inputs: features.append(inputs[0]))
        try:
            larger = None if source is None else source.to(device)
            output = self.model.eval()(image.to(device), larger, index.to(device))
        finally:
            hook.remove()
        return Answers.of(output, features[0])


def best_device() -> torch.device:
    """The machine's accelerator, or the CPU."""
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return accelerator or torch.device("cpu")


def torch_engine(folder: Path, device: torch.device | str | None) -> TorchEngine:
    """The network of a model folder on a device, by default the best one.

    Raises:
        ValueError: no model there, or no such device.
    """
    try:
        place = best_device() if device is None else torch.device(device)
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError) as error:  # PyTorch without CUDA asserts
        raise ValueError(f"there is no device {device!r} here; use cpu, or cuda where there is a GPU") from error
    return TorchEngine(from_pretrained(folder).to(place))


# Makes an engine from a model folder and a device; None is the engine's own choice.
ENGINES: dict[str, Callable[[Path, torch.device | str | None], Engine]] = {"torch": torch_engine}


def check_engine(name: str) -> None:
    """Check that an engine is known.

    Raises:
        ValueError: it is not.
    """
    if name not in ENGINES:
        raise ValueError(f"there is no engine {name!r}; use {' or '.join(ENGINES)}")
