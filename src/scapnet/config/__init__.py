"""A run's settings as frozen dataclasses.

Nothing heavy is imported here, so that the command line can show every setting at once.
"""

from dataclasses import dataclass, field

from scapnet.config.checks import refuse
from scapnet.config.data import DataConfig, DataName, SyntheticConfig, ViewConfig
from scapnet.config.model import GateConfig, ModelConfig, PartsConfig, RelationConfig
from scapnet.config.train import LossConfig, TrainConfig

__all__ = [
    "Config",
    "DataConfig",
    "DataName",
    "GateConfig",
    "LossConfig",
    "ModelConfig",
    "PartsConfig",
    "RelationConfig",
    "SyntheticConfig",
    "TrainConfig",
    "ViewConfig",
]


@dataclass(frozen=True)
class Config:
    """Everything that determines a run."""

    preset: str = "paper"
    """The run's name."""
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        train = self.train
        if self.model.parts.enabled and self.model.network != "plain" and train.stage1_epochs >= train.epochs:
            refuse(
                f"stage 1 has {train.stage1_epochs} of {train.epochs} epochs, so the parts would never be trained; "
                f"use fewer with --train.stage1-epochs"
            )
