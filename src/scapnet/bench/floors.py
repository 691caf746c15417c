"""What a network's time is compared with: its backbones, their convolutions, and the machine's matrix products.

B batch, M parts, S side of the view, s side of a part.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from scapnet.bench.timing import Row
from scapnet.model import SCAPNet
from scapnet.network import Network, as_module, device_of
from scapnet.processor import bf16_in_hardware

SIDE = 1024  # of the matrices whose product is timed


def backbones(model: Network, images: Tensor) -> Callable[[], list[Tensor]] | None:
    """The forward passes of SCAPNet's backbones alone: images (B, 3, S, S), and as many crops as it has parts.

    Returns:
        A function that gives their features; None for a network without parts, which is its backbone.
    """
    if not isinstance(model, SCAPNet) or model.selection is None or model.part_backbone is None:
        return None
    count, side = len(images) * model.selection.num_parts, model.part_size
    crops = torch.randn(count, 3, side, side, device=images.device)
    main, parts = model.backbone, model.part_backbone
    return lambda: [main(images), parts(crops)]


class Called(NamedTuple):
    """A convolution and its input in a forward pass."""

    layer: nn.Conv2d
    given: Tensor


@torch.inference_mode()
def convolutions(model: Network, images: Tensor) -> Callable[[], None]:
    """The network's convolutions alone, on the tensors that they get from images (B, 3, S, S)."""
    called = list[Called]()

    def keep(module: nn.Module, given: tuple[Tensor, ...]) -> None:
        assert isinstance(module, nn.Conv2d)
        # A copy, since an activation in place may write into it; in the same layout.
        called.append(Called(module, given[0].clone(memory_format=torch.preserve_format)))

    layers = [module for module in as_module(model).modules() if isinstance(module, nn.Conv2d)]
    hooks = [layer.register_forward_pre_hook(keep) for layer in layers]
    try:
        as_module(model)(images, None, index_of(model, images))
    finally:
        for hook in hooks:
            hook.remove()

    def run() -> None:
        for layer, given in called:
            layer(given)

    return run


def products(device: torch.device) -> list[tuple[Row, float]]:
    """Products of two square matrices in float32, and in bf16 if in hardware, with their billions of multiply-adds."""
    rows, kinds = [], {"float32": torch.float32}
    if device.type != "cpu" or bf16_in_hardware():  # elsewhere it is emulated, and slow
        kinds["bf16"] = torch.bfloat16
    for name, kind in kinds.items():
        left, right = (torch.randn(SIDE, SIDE, device=device).to(kind) for _ in range(2))

        def run(left: Tensor = left, right: Tensor = right) -> Tensor:
            return left @ right

        rows.append((Row(f"matrix product, {name}", run, f"{SIDE} x {SIDE} matrices"), SIDE**3 / 1e9))
    return rows


def index_of(model: Network, images: Tensor) -> Tensor:
    """The numbers (B,) of images (B, 3, S, S), on the network's device."""
    return torch.arange(len(images), device=device_of(model))
