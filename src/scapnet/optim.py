"""What changes the weights: the optimizer, and the clipping of gradients."""

import torch
from torch import nn

from scapnet.config import TrainConfig
from scapnet.network import Network


def make_optimizer(model: Network, config: TrainConfig) -> torch.optim.Optimizer:
    """One optimizer through both stages: a frozen parameter has no gradient and is passed over."""
    if config.optimizer == "adamw":
        return torch.optim.AdamW(model.parameters(), config.lr, weight_decay=config.weight_decay)
    return torch.optim.SGD(model.parameters(), config.lr, config.momentum, weight_decay=config.weight_decay)


def clip_gradients(model: Network, norm: float) -> None:
    """Clip the gradients of each of a network's groups to a norm, in place."""
    for group in model.clip_groups():
        nn.utils.clip_grad_norm_(group, norm)
