"""What changes the weights: the optimizer, and the clipping of gradients."""

import torch
from torch import nn

from scapnet.backbones.cnn import Backbone
from scapnet.config import TrainConfig
from scapnet.network import Network


def make_optimizer(model: Network, config: TrainConfig) -> torch.optim.Optimizer:
    """One optimizer through both stages: a frozen parameter has no gradient and is passed over."""
    if config.optimizer == "adamw":
        return torch.optim.AdamW(model.parameters(), config.lr, weight_decay=config.weight_decay)
    return torch.optim.SGD(model.parameters(), config.lr, config.momentum, weight_decay=config.weight_decay)


def freeze_backbones(model: Network, freeze: bool) -> None:
    """Stop the gradients of all backbones, or let those through that the network's stage trains."""
    model.backbone.requires_grad_(True)
    model.set_stage(model.stage)
    for module in model.modules() if freeze else ():
        if isinstance(module, Backbone):
            module.requires_grad_(False)


def keep_statistics(model: Network) -> None:
    """Put the backbones into evaluation mode, in which batch norm does not update its statistics."""
    for module in model.modules():
        if isinstance(module, Backbone):
            module.eval()


def clip_gradients(model: Network, norm: float) -> None:
    """Clip the gradients of each of a network's groups to a norm, in place."""
    for group in model.clip_groups():
        nn.utils.clip_grad_norm_(group, norm)
