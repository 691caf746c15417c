"""The optimizer and its learning rates, gradient clipping, freezing and weight averaging."""

from typing import Any

import torch
from timm.optim import param_groups_layer_decay  # type: ignore[attr-defined]
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from scapnet.backbones.cnn import Backbone
from scapnet.config import TrainConfig
from scapnet.network import Network, as_module


def make_optimizer(model: Network, config: TrainConfig) -> torch.optim.Optimizer:
    """One optimizer for both stages, which skips parameters without a gradient, such as frozen ones.

    The fused SGD updates each weight in one pass instead of three, to the same value within rounding. In fp16
    accelerate could not tell that it skips a step.
    """
    groups = parameter_groups(model, config)
    if config.optimizer == "adamw":
        return torch.optim.AdamW(groups, config.lr, weight_decay=config.weight_decay)
    fused = config.precision != "fp16"
    sgd = torch.optim.SGD(groups, config.lr, config.momentum, weight_decay=config.weight_decay, fused=fused)
    if fused and config.momentum:
        sgd.register_step_pre_hook(_begin_momentum)
    return sgd


def _begin_momentum(sgd: torch.optim.Optimizer, *_: Any) -> None:
    """Give parameters that have their first gradient a momentum of 0: the fused SGD needs all or none to have one.

    Parameters of the second stage, and those that were frozen, get theirs later than the others.
    """
    for parameter in (one for group in sgd.param_groups for one in group["params"] if one.grad is not None):
        if sgd.state[parameter].get("momentum_buffer") is None:
            sgd.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)


def parameter_groups(model: Network, config: TrainConfig) -> list[dict[str, Any]]:
    """All parameters in groups: one group, or the new layers and then each layer of the backbones.

    A group's "lr_scale" is the factor of its learning rate, 1 if missing.
    """
    if config.layer_decay == 1 and config.backbone_lr == 1:
        return [{"params": list(model.parameters())}]
    groups = [
        {**group, "lr_scale": group["lr_scale"] * config.backbone_lr}
        for backbone in backbones_of(model)
        for group in param_groups_layer_decay(
            backbone.net,
            config.weight_decay,
            weight_decay_exclude_1d=False,
            layer_decay=config.layer_decay,
        )
    ]
    taken = {parameter for group in groups for parameter in group["params"]}
    new = [parameter for parameter in model.parameters() if parameter not in taken]
    return [{"params": new}, *groups]


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of every group to ``lr`` times its factor."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group.get("lr_scale", 1.0)


def clip_gradients(model: Network, norm: float) -> None:
    """Clip the gradients of each of a network's groups to a norm, in place."""
    for group in model.clip_groups():
        nn.utils.clip_grad_norm_(group, norm)


def backbones_of(model: Network) -> list[Backbone]:
    """The main branch's backbone and the sub-network's, each once."""
    return [module for module in model.modules() if isinstance(module, Backbone)]


def freeze_backbones(model: Network) -> list[nn.Parameter]:
    """Freeze the backbones' parameters; returns those that were not frozen before."""
    parameters = [p for backbone in backbones_of(model) for p in backbone.parameters() if p.requires_grad]
    for parameter in parameters:
        parameter.requires_grad_(False)
    return parameters


def make_average(model: Network, decay: float) -> AveragedModel | None:
    """A copy of a network for the exponential moving average of its weights and buffers; None for a decay of 0."""
    if not decay:
        return None
    average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    return AveragedModel(as_module(model), multi_avg_fn=average, use_buffers=True)
