"""The recipe of a run as plain functions: schedules, stages, the optimizer, and what cannot be a run."""

import math
from dataclasses import dataclass, field

import torch
from accelerate import Accelerator, DataLoaderConfiguration
from torch import nn

from scapnet.config import Config, LossConfig, TrainConfig, ViewConfig
from scapnet.hosts.nts import PROPOSALS, NTSLoss
from scapnet.hosts.rra import RRALoss
from scapnet.losses import SCAPNetLoss
from scapnet.model import SCAPNet


@dataclass
class Position:
    """How far a run has come; a checkpoint holds it."""

    epoch: int = 0
    step: int = 0  # steps of this epoch that are done
    log_bytes: int = 0
    best: float = -1.0
    seconds: float = 0.0
    broken: list[int] = field(default_factory=list)  # training images that could not be read


def learning_rate(config: TrainConfig, epoch: float) -> float:
    """The learning rate at a (fractional) epoch: a function of it alone, so nothing can be resumed wrongly."""
    if config.warmup_epochs and epoch < config.warmup_epochs:
        return config.lr * max(epoch, 1e-3) / config.warmup_epochs
    if config.schedule == "cosine":
        done = (epoch - config.warmup_epochs) / max(config.epochs - config.warmup_epochs, 1e-9)
        return config.lr * (1 + math.cos(math.pi * min(done, 1.0))) / 2
    return config.lr * config.step_factor ** (int(epoch) // config.step_epochs)


def activation_weight(config: LossConfig, epoch: float) -> float:
    """beta of Eq. 15 at a (fractional) epoch, ramped: at full weight from the start it closes an untrained gate."""
    first, last = config.act_ramp
    return config.act * min(max((epoch - first) / (last - first), 0.0), 1.0) if last > first else config.act


def stage_of(config: Config, epoch: int) -> int:
    """1 while only the main branch and the gate are trained (Sec. IV-C), then 2."""
    return 1 if config.model.parts and epoch < config.train.stage1_epochs else 2


def make_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """One optimizer through both stages: a frozen parameter has no gradient and is passed over."""
    if config.optimizer == "adamw":
        return torch.optim.AdamW(model.parameters(), config.lr, weight_decay=config.weight_decay)
    return torch.optim.SGD(model.parameters(), config.lr, config.momentum, weight_decay=config.weight_decay)


def make_loss(config: LossConfig, host: str = "scapnet") -> SCAPNetLoss | NTSLoss | RRALoss:
    """The loss of Eq. 15 with the weights of a config, or the host's with those of them that it has."""
    if host == "nts":
        return NTSLoss(config.cls, config.sub, smoothing=config.smoothing)
    if host == "rra":
        return RRALoss(config.cls, config.act, config.sub, config.smoothing)
    return SCAPNetLoss(config.cls, config.act, config.con, config.sub, config.margin, config.smoothing)


def clip_branches(model: SCAPNet, norm: float) -> None:
    """Clip the gradients of the main branch, of NTS-Net's Navigator and of all the rest apart, in place.

    L_sub is a sum of M + 1 cross-entropies (Eq. 14): clipped together, its gradient would all but stop the main branch.
    So would the Navigator's, a sum over pairs of parts, what judges the parts.
    """
    main = [module for module in (model.backbone, model.classifier, model.gate) if module is not None]
    navigator = getattr(model, "navigator", None)
    taken = set[nn.Parameter]()
    for modules in (main, [navigator] if isinstance(navigator, nn.Module) else [], [model]):
        # In order: sums must repeat.
        branch = [p for p in dict.fromkeys(p for module in modules for p in module.parameters()) if p not in taken]
        taken.update(branch)
        nn.utils.clip_grad_norm_(branch, norm)


def view_of(config: Config, model: SCAPNet) -> ViewConfig:
    """The view of a config, with the mean and deviation that the backbone's weights were trained with."""
    known = getattr(model.backbone.net, "pretrained_cfg", None) or {}
    default = ViewConfig()
    data = config.data
    return ViewConfig(
        data.size, data.resize, data.source_size, known.get("mean", default.mean), known.get("std", default.std)
    )


def make_accelerator(config: TrainConfig) -> Accelerator:
    """What knows the devices and the other processes."""
    return Accelerator(
        mixed_precision=config.precision,
        gradient_accumulation_steps=config.accumulate,
        dataloader_config=DataLoaderConfiguration(non_blocking=True),
    )


def check(config: Config) -> None:
    """Raise ValueError for settings that cannot make a run."""
    train = config.train
    for name in ("epochs", "batch_size", "accumulate", "log_every"):
        if getattr(train, name) < 1:
            raise ValueError(f"train.{name} is {getattr(train, name)}; it must be at least 1")
    if config.model.parts and train.stage1_epochs >= train.epochs:
        raise ValueError(
            f"stage 1 has {train.stage1_epochs} of {train.epochs} epochs, so the parts would never be trained; "
            f"use fewer with --train.stage1-epochs"
        )
    if not 0 <= config.data.broken_share <= 1:
        raise ValueError(f"data.broken_share is {config.data.broken_share}; it must be a share from 0 to 1")
    ViewConfig(config.data.size, config.data.resize, config.data.source_size)


def work_of(config: Config, epoch: int) -> float:
    """Pixels of an epoch relative to the main branch alone, by which the time left is told."""
    model = config.model
    if not model.parts or stage_of(config, epoch) == 1:
        return 1.0
    if model.host == "nts":
        parts = PROPOSALS
    else:
        parts = model.total if model.strategy == "top" and model.total else sum(model.keep)
    return 1.0 + parts * (model.part_size / config.data.size) ** 2
