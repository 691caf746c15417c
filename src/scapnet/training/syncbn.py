"""Batch norm over the batches of all processes together."""

from typing import Any

import torch
import torch.distributed as dist
from timm.layers.norm_act import convert_sync_batchnorm
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class _Sum(torch.autograd.Function):
    """The sum of a tensor over all processes. Its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return _total(values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _total(gradients[0])


def _total(values: Tensor) -> Tensor:
    total = values.clone()
    dist.all_reduce(total)
    return total


class CpuSyncBatchNorm(_BatchNorm):
    """The forward pass of a synchronised batch norm on CPUs, where `torch.nn.SyncBatchNorm` refuses to work."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (B, C, ...), in training by the mean and variance over the batches of all processes."""
        if not self.training or not dist.is_initialized():
            return super().forward(input)
        values, axes = input.float(), [0, *range(2, input.dim())]
        shape = [1, -1] + [1] * (input.dim() - 2)
        count = _total(values.new_tensor([values.numel() / values.shape[1]]))
        mean = _Sum.apply(values.sum(axes)) / count
        centred = values - mean.view(shape)
        variance = _Sum.apply(centred.square().sum(axes)) / count
        self._track(mean.detach(), variance.detach() * count / (count - 1).clamp(min=1))
        found: Tensor = centred * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            found = found * self.weight.view(shape) + self.bias.view(shape)
        found = found.to(input.dtype)
        for name in ("drop", "act"):  # timm's batch norm has an activation
            found = getattr(self, name)(found) if hasattr(self, name) else found
        return found

    def _track(self, mean: Tensor, variance: Tensor) -> None:
        """Update the running statistics, with the unbiased variance as torch does."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        rate = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, rate)
        self.running_var.lerp_(variance, rate)


def synchronise(model: nn.Module, device: torch.device) -> None:
    """Replace every batch norm of a network by a synchronised one with the same parameters and statistics.

    Args:
        model: the network, which is changed.
        device: where it will be trained.
    """
    if device.type != "cpu":
        convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
        return
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            kind = type(module)
            module.__class__ = type(f"CpuSync{kind.__name__}", (CpuSyncBatchNorm, kind), {})
