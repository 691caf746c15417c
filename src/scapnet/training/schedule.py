"""What changes over the epochs, as functions of the epoch alone, so that a resumed run is the same."""

import math
from typing import NamedTuple

from scapnet.build import part_count
from scapnet.config import Config, LossConfig, TrainConfig


def learning_rate(config: TrainConfig, epoch: float) -> float:
    """The learning rate at a (fractional) epoch."""
    if config.warmup_epochs and epoch < config.warmup_epochs:
        return config.lr * max(epoch, 1e-3) / config.warmup_epochs
    if config.schedule == "cosine":
        done = (epoch - config.warmup_epochs) / max(config.epochs - config.warmup_epochs, 1e-9)
        return config.lr * (1 + math.cos(math.pi * min(done, 1.0))) / 2
    return config.lr * config.step_factor ** (int(epoch) // config.step_epochs)


def activation_weight(config: LossConfig, epoch: float) -> float:
    """beta of Eq. 15 at a (fractional) epoch, ramped because its full weight would close an untrained gate."""
    first, last = config.act_ramp
    return config.act * min(max((epoch - first) / (last - first), 0.0), 1.0) if last > first else config.act


def stage_of(config: Config, epoch: int) -> int:
    """1 while only the main branch and the gate are trained (Sec. IV-C), then 2."""
    return 1 if part_count(config.model) and epoch < config.train.stage1_epochs else 2


class Phase(NamedTuple):
    """What is trained in an epoch."""

    stage: int  # see `stage_of`
    frozen: bool  # whether the backbones keep their weights


def phase_of(config: Config, epoch: int) -> Phase:
    """What is trained in an epoch."""
    freeze = config.train.freeze
    return Phase(stage_of(config, epoch), freeze < 0 or epoch < freeze)


def last_phase_start(config: Config) -> int:
    """The epoch in which the last phase begins."""
    phases = [phase_of(config, epoch) for epoch in range(config.train.epochs)]
    return phases.index(phases[-1])


def work_of(config: Config, epoch: int) -> float:
    """Pixels of an epoch relative to the main branch alone, used to estimate the remaining time."""
    if stage_of(config, epoch) == 1:
        return 1.0
    return 1.0 + part_count(config.model) * (config.model.parts.size / config.data.size) ** 2
