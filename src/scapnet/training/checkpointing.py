"""Activation checkpointing: a block's activations are computed again in the backward pass instead of being kept."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from scapnet.backbones.cnn import Backbone


def checkpoint_blocks(model: nn.Module) -> int:
    """Let every block of a network's backbones keep its input only, in training.

    Losses, gradients and batch-norm statistics stay the same; timm's own switch updates the statistics twice a step,
    and does not reach a backbone that is cut.

    Returns:
        The number of blocks.

    Raises:
        ValueError: a backbone without blocks.
    """
    count = 0
    for backbone in (module for module in model.modules() if isinstance(module, Backbone)):
        found = list(blocks_of(backbone.net))
        if len(found) < 2:
            raise ValueError(
                f"{type(backbone.net).__name__} is not made of blocks whose activations could be left out; train "
                f"without gradient checkpointing"
            )
        for block in found:
            block.forward = partial(_recomputed, block, block.forward)
        count += len(found)
    return count


def blocks_of(net: nn.Module) -> Iterator[nn.Module]:
    """The outermost modules with convolutions or linear layers inside, such as ResNet's bottlenecks."""
    for child in net.children():
        if isinstance(child, nn.Sequential | nn.ModuleList):
            yield from blocks_of(child)
        elif any(isinstance(one, nn.Conv2d | nn.Linear) for one in child.modules() if one is not child):
            yield child


def _recomputed(block: nn.Module, forward: Callable[..., Any], *given: Any) -> Any:
    if not (block.training and torch.is_grad_enabled()):
        return forward(*given)
    contexts = partial(_contexts, block)
    return checkpoint(forward, *given, use_reentrant=False, context_fn=contexts)


def _contexts(block: nn.Module) -> tuple[Any, Any]:
    """Where the first and where the second forward pass run."""
    return nullcontext(), _still(block)


@contextmanager
def _still(block: nn.Module) -> Iterator[None]:
    """Batch norms that leave their running statistics as they are."""
    norms = [module for module in block.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    kept = [norm.momentum for norm in norms]
    counts = [None if norm.num_batches_tracked is None else norm.num_batches_tracked.clone() for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum, count in zip(norms, kept, counts, strict=True):
            norm.momentum = momentum
            if count is not None and norm.num_batches_tracked is not None:
                norm.num_batches_tracked.copy_(count)
