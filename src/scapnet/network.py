"""The protocol of every network in the package, SCAPNet and the baselines alike.

Training, evaluation and prediction rely on this protocol alone. `scapnet.build.NETWORKS` lists the networks that a
config can name. B batch, K classes, M parts, S side of the view.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, Self, runtime_checkable

import torch
from torch import Tensor, nn

from scapnet.backbones.cnn import Backbone
from scapnet.calibration import Calibration, Prototypes
from scapnet.config import LossConfig, ModelConfig, ViewConfig
from scapnet.losses import BranchOutput


class NetworkOutput(BranchOutput, Protocol):
    """Output of a forward pass. Fields of missing or inactive modules are None."""

    @property
    def probs(self) -> Tensor:
        """(B, K) the final answer; each row sums to 1."""


class Loss(Protocol):
    """A network's loss."""

    def __call__(self, output: Any, target: Tensor) -> dict[str, Tensor]:
        """Named scalar terms of an output, each before its weight, and "loss", their weighted sum.

        Args:
            output: the network's output.
            target: (B,) class indices, or (B, K) soft targets, as from mixup.
        """


@runtime_checkable
class GateLoss(Protocol):
    """A loss with an L_act term (Eq. 2), whose weight the training loop may ramp."""

    act: float


class ConfigOfNetwork:
    """The attribute ``config`` of a network; a network composed by hand has none until it is set.

    Raises:
        ValueError: it is read before it is set.
    """

    def __get__(self, model: Any, owner: type | None = None) -> ModelConfig:
        if "_config" not in vars(model):
            raise ValueError(
                f"this {type(model).__name__} was composed by hand, so no config describes it; build it with "
                f"scapnet.build_model(config, ...), or save its weights with safetensors.torch.save_model"
            )
        found: ModelConfig = vars(model)["_config"]
        return found

    def __set__(self, model: Any, config: ModelConfig) -> None:
        vars(model)["_config"] = config


class NetworkState:
    """What a network has besides its modules; `scapnet.from_pretrained` fills it in."""

    config = ConfigOfNetwork()
    view: ViewConfig = ViewConfig()
    classes: tuple[str, ...] = ()
    threshold: float | None = None
    sure: float | None = None
    calibration: Calibration | None = None
    prototypes: Prototypes | None = None
    parents: tuple[str, ...] = ()
    stage: int = 2


class Network(Protocol):
    """A network that the package can train, score, save and show."""

    config: ModelConfig  # what `from_config` builds it from
    view: ViewConfig  # how a photo becomes its input
    classes: tuple[str, ...]  # names of the K classes
    threshold: float | None  # the lowest probability at which an answer can be trusted; None if unknown
    sure: float | None  # the main branch's probability at which the parts can be skipped; None if unknown
    calibration: Calibration | None  # what the validation split says of its answers; None where there was none
    prototypes: Prototypes | None  # how training photos look to it; None where that is not known
    parents: tuple[str, ...]  # the coarser class of each class, "" for none; empty without a hierarchy
    stage: int  # see `set_stage`
    training: bool

    @property
    def backbone(self) -> Backbone:
        """The main branch."""

    @property
    def classifier(self) -> nn.Module:
        """Features (B, D) of the main branch to logits (B, K)."""

    @classmethod
    def from_config(cls, config: ModelConfig, num_classes: int, size: int, start: bool = True) -> Self:
        """Build the network; for the arguments see `scapnet.build.build_model`."""

    @classmethod
    def title(cls, config: ModelConfig) -> str:
        """The name of a config's network in a table."""

    @classmethod
    def part_count(cls, config: ModelConfig) -> int:
        """M, the number of crops of each image that go through a backbone; 0 without parts."""

    @classmethod
    def sections(cls, config: ModelConfig) -> frozenset[str]:
        """Those of the config's sections "gate", "parts" and "relation" that the network uses."""

    def set_stage(self, stage: int) -> None:
        """In stage 1 train and run the main branch only (Sec. IV-C); in stage 2 the whole network."""

    def start_parts_from_main(self) -> None:
        """Initialise the modules that see the parts with the main branch's weights."""

    def make_loss(self, config: LossConfig, class_weights: Tensor | None = None) -> Loss:
        """The loss, with the weights of a config, and with class weights (K,) in every cross-entropy."""

    def location_module(self) -> nn.Module | None:
        """The module that locates the parts, whose parameters Table III counts; None if there is none."""

    def clip_groups(self) -> list[list[nn.Parameter]]:
        """The parameters, in groups whose gradients are clipped separately."""

    def __call__(self, image: Tensor, source: Tensor | None = None, index: Tensor | None = None) -> Any:
        """Classify a batch.

        Args:
            image: (B, 3, S, S) normalised view.
            source: (B, 3, S', S') the same view with more pixels, from which parts are cropped; by default ``image``.
            index: (B,) sample numbers, on which alone random choices in evaluation depend.

        Returns:
            A `NetworkOutput`.
        """

    def train(self, mode: bool = True) -> Self:
        """As `torch.nn.Module.train`."""

    def eval(self) -> Self:
        """As `torch.nn.Module.eval`."""

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """As `torch.nn.Module.to`."""

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """As `torch.nn.Module.parameters`."""

    def modules(self) -> Iterator[nn.Module]:
        """As `torch.nn.Module.modules`."""


def enabled_sections(config: ModelConfig) -> frozenset[str]:
    """The sections that are enabled, for networks that use all of them."""
    return frozenset(name for name in ("gate", "parts", "relation") if getattr(config, name).enabled)


def as_module(network: Network) -> nn.Module:
    """The same object typed as an `nn.Module`, which a protocol cannot inherit from."""
    assert isinstance(network, nn.Module)
    return network


def device_of(network: Network) -> torch.device:
    """The device of a network's parameters."""
    return next(network.parameters()).device


def separate_groups(modules: Sequence[Sequence[nn.Module | None]]) -> list[list[nn.Parameter]]:
    """The parameters of each group of modules, without those of the groups before it, in a fixed order."""
    taken, groups = set[nn.Parameter](), []
    for group in modules:
        found = dict.fromkeys(p for module in group if module is not None for p in module.parameters())
        groups.append([p for p in found if p not in taken])
        taken.update(groups[-1])
    return groups
