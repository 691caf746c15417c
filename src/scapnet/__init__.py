"""Fine-grained image recognition that shows which parts told look-alike classes apart (SCAPNet)."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from scapnet.build import build_model
    from scapnet.checkpoint import from_pretrained, save_pretrained
    from scapnet.config import Config, DataConfig, LossConfig, ModelConfig, TrainConfig
    from scapnet.losses import SCAPNetLoss, activation_loss, consistency_loss, part_loss
    from scapnet.model import SCAPNet, SCAPNetOutput
    from scapnet.modules import GridGate, PartRelation, PartSelection
    from scapnet.predict import predict_photo
    from scapnet.prediction import Prediction

# Names are looked up when they are first used: `import scapnet` loads neither torch nor anything else heavy.
_HOME = {
    "checkpoint": ("from_pretrained", "save_pretrained"),
    "config": ("Config", "DataConfig", "LossConfig", "ModelConfig", "TrainConfig"),
    "losses": ("SCAPNetLoss", "activation_loss", "consistency_loss", "part_loss"),
    "build": ("build_model",),
    "model": ("SCAPNet", "SCAPNetOutput"),
    "modules": ("GridGate", "PartRelation", "PartSelection"),
    "predict": ("predict_photo",),
    "prediction": ("Prediction",),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "Config",
    "DataConfig",
    "GridGate",
    "LossConfig",
    "ModelConfig",
    "PartRelation",
    "PartSelection",
    "Prediction",
    "SCAPNet",
    "SCAPNetLoss",
    "SCAPNetOutput",
    "TrainConfig",
    "activation_loss",
    "build_model",
    "consistency_loss",
    "from_pretrained",
    "part_loss",
    "predict_photo",
    "save_pretrained",
]


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        return getattr(import_module(f"scapnet.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module 'scapnet' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
