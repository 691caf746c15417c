"""A network that PyTorch runs: as it was trained, or folded for speed."""

from typing import Self

import torch
from torch import Tensor, nn

from scapnet.backbones.cnn import Backbone
from scapnet.config import ViewConfig
from scapnet.engine.base import Answers, captured_features
from scapnet.engine.folding import fold_batch_norm
from scapnet.masking import answer_from_open_pixels, check_mask_pixels
from scapnet.metrics.skipping import PartsFor, sure_of
from scapnet.network import Network, as_module, device_of
from scapnet.processor import bf16_in_hardware

SMALL = 64  # side of the image on which a folded backbone is compared


class TorchEngine:
    """A network on its own device, in evaluation mode.

    Args:
        model: with its ``view``, ``classes`` and ``threshold``.
        parts_for: whose parts it looks at; see `scapnet.Predictor`.
        mask_pixels: whether it answers from the pixels of open units alone; see there, too.

    Raises:
        ValueError: a choice of photos that the model cannot make, or no closed units that it could mask.
    """

    def __init__(self, model: Network, parts_for: PartsFor = "all", mask_pixels: bool = False) -> None:
        self.model, self.mask_pixels = model, mask_pixels
        if mask_pixels:
            check_mask_pixels(model, some_parts=parts_for != "all")
        sure = sure_of(model, parts_for)
        self.options = {} if sure is None else {"sure": sure}  # other networks do not know it

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
        device = device_of(self.model)
        larger = None if source is None else source.to(device)
        with captured_features(self.model) as features:
            given = image.to(device), larger, index.to(device)
            output = as_module(self.model).eval()(*given, **self.options)
            if self.mask_pixels:
                output = answer_from_open_pixels(as_module(self.model), *given, output)
        return Answers.of(output, features[-1])

    def with_options(self, parts_for: PartsFor = "all", mask_pixels: bool = False) -> Self:
        """The same engine that looks at the parts of some photos only, or masks pixels; see `scapnet.Predictor`.

        Raises:
            ValueError: as when it is made.
        """
        return type(self)(self.model, parts_for, mask_pixels)


class FoldedEngine(TorchEngine):
    """A network for inference alone: batch norms folded into convolutions, weights channels last, bf16 where it pays.

    The model is changed in place.

    Args:
        model: with its ``view``, ``classes`` and ``threshold``.
        parts_for, mask_pixels: see `TorchEngine`.
        half: compute in bf16; by default where the processor has it in hardware.

    Raises:
        ValueError: as `TorchEngine`, or batch norms that cannot be folded.
    """

    def __init__(
        self, model: Network, parts_for: PartsFor = "all", mask_pixels: bool = False, half: bool | None = None
    ) -> None:
        super().__init__(model, parts_for, mask_pixels)
        fold_backbones(model)
        self.half = device_of(model).type == "cpu" and bf16_in_hardware() if half is None else half

    def with_options(self, parts_for: PartsFor = "all", mask_pixels: bool = False) -> Self:
        """See `TorchEngine.with_options`."""
        return type(self)(self.model, parts_for, mask_pixels, self.half)

    @torch.inference_mode()
    def __call__(self, image: Tensor, source: Tensor | None, index: Tensor) -> Answers:
        """Run the network; the answers are float32, on its device."""
        with torch.autocast(device_of(self.model).type, torch.bfloat16, enabled=self.half):
            said = super().__call__(image, source, index)
        return Answers._make(_single(one) for one in said)


def fold_backbones(model: Network) -> int:
    """Fold the batch norms of a network's backbones, in place, and put its weights in channels-last order.

    Returns:
        The number of folded batch norms.

    Raises:
        ValueError: see `fold_batch_norm`.
    """
    model.eval()
    count = 0
    for module in model.modules():
        if isinstance(module, Backbone) and any(isinstance(one, nn.BatchNorm2d) for one in module.modules()):
            known = getattr(module.net, "pretrained_cfg", None) or {}
            side = model.view.size if known.get("fixed_input_size") else min(model.view.size, SMALL)
            example = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))
            count += fold_batch_norm(module, example.to(device_of(model)))
    as_module(model).to(memory_format=torch.channels_last)
    return count


def _single(value: Tensor | None) -> Tensor | None:
    """Floats of 16 bits as float32; anything else as it is."""
    return value.float() if value is not None and value.dtype in (torch.bfloat16, torch.float16) else value
