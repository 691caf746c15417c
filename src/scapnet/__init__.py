"""Fine-grained image recognition that shows which parts told look-alike classes apart (SCAPNet)."""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from scapnet.build import build_model
    from scapnet.checkpoint import from_pretrained, save_pretrained
    from scapnet.config import (
        Config,
        DataConfig,
        GateConfig,
        LossConfig,
        ModelConfig,
        PartsConfig,
        RelationConfig,
        SyntheticConfig,
        TrainConfig,
        ViewConfig,
    )
    from scapnet.data.load import load_data
    from scapnet.data.sample import Sample, Splits
    from scapnet.evaluate import evaluate
    from scapnet.explain import (
        Evidence,
        Explanation,
        PairExplanation,
        PartEvidence,
        TrainingPhotos,
        explain,
        explain_pair,
    )
    from scapnet.export import export_model
    from scapnet.losses import SCAPNetLoss, activation_loss, consistency_loss, part_loss
    from scapnet.model import SCAPNet, SCAPNetOutput
    from scapnet.modules import GateOutput, GridGate, PartRelation, PartSelection, PartsOutput
    from scapnet.network import Network
    from scapnet.predict import predict, predict_photo
    from scapnet.prediction import Part, Prediction, Skipped
    from scapnet.predictor import Predictor
    from scapnet.presets import get_preset
    from scapnet.probing.probe import probe
    from scapnet.report import write_report
    from scapnet.training.train import resume, train

# Names are looked up when they are first used: `import scapnet` loads neither torch nor anything else heavy.
_HOME = {
    "build": ("build_model",),
    "checkpoint": (
        "from_pretrained",
        "save_pretrained",
    ),
    "config": (
        *("Config", "DataConfig", "GateConfig", "LossConfig", "ModelConfig", "PartsConfig", "RelationConfig"),
        *("SyntheticConfig", "TrainConfig", "ViewConfig"),
    ),
    "data.load": ("load_data",),
    "data.sample": (
        "Sample",
        "Splits",
    ),
    "evaluate": ("evaluate",),
    "explain": (
        "Evidence",
        "Explanation",
        "PairExplanation",
        "PartEvidence",
        "TrainingPhotos",
        "explain",
        "explain_pair",
    ),
    "export": ("export_model",),
    "losses": (
        "SCAPNetLoss",
        "activation_loss",
        "consistency_loss",
        "part_loss",
    ),
    "model": (
        "SCAPNet",
        "SCAPNetOutput",
    ),
    "modules": (
        "GateOutput",
        "GridGate",
        "PartRelation",
        "PartSelection",
        "PartsOutput",
    ),
    "network": ("Network",),
    "predict": (
        "predict",
        "predict_photo",
    ),
    "prediction": (
        "Part",
        "Prediction",
        "Skipped",
    ),
    "predictor": ("Predictor",),
    "presets": ("get_preset",),
    "probing.probe": ("probe",),
    "report": ("write_report",),
    "training.train": (
        "resume",
        "train",
    ),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "Config",
    "DataConfig",
    "Evidence",
    "Explanation",
    "GateConfig",
    "GateOutput",
    "GridGate",
    "LossConfig",
    "ModelConfig",
    "Network",
    "PairExplanation",
    "Part",
    "PartEvidence",
    "PartRelation",
    "PartSelection",
    "PartsConfig",
    "PartsOutput",
    "Prediction",
    "Predictor",
    "RelationConfig",
    "SCAPNet",
    "SCAPNetLoss",
    "SCAPNetOutput",
    "Sample",
    "Skipped",
    "Splits",
    "SyntheticConfig",
    "TrainConfig",
    "TrainingPhotos",
    "ViewConfig",
    "activation_loss",
    "build_model",
    "consistency_loss",
    "evaluate",
    "explain",
    "explain_pair",
    "export_model",
    "from_pretrained",
    "get_preset",
    "load_data",
    "part_loss",
    "predict",
    "predict_photo",
    "probe",
    "resume",
    "save_pretrained",
    "train",
    "write_report",
]


class _Package(ModuleType):
    """A package whose functions win over its modules of the same name, as in `torchvision.ops.roi_align`."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in _MODULE_OF or not isinstance(value, ModuleType):  # an import sets the module on its package
            super().__setattr__(name, value)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled by name: Ray and joblib pickle the modules that a script's functions use."""
        return import_module, (self.__name__,)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        return getattr(import_module(f"scapnet.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module 'scapnet' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
