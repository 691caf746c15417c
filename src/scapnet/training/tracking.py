"""TensorBoard and Weights & Biases, through Accelerate's trackers."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from scapnet.config import Config
from scapnet.serialization import to_dict


def check_tracker(name: str) -> None:
    """Refuse a tracker whose package is missing.

    Raises:
        ValueError: it is not installed.
    """
    if name != "none" and find_spec(name) is None:
        raise ValueError(f"the tracker {name} needs the package {name}; install it with: pip install {name}")


def start_tracker(accelerator: Accelerator, config: Config, run: Path) -> None:
    """Start the tracker of a run, if it has one, and send the settings. TensorBoard's files are in the run folder."""
    if config.train.tracker != "none":
        accelerator.project_configuration.logging_dir = str(run)
        accelerator.init_trackers("tensorboard" if config.train.tracker == "tensorboard" else "scapnet", _flat(config))


def _flat(config: Config) -> dict[str, Any]:
    """Settings by their dotted names, with values that a table of hyperparameters can hold."""
    found: dict[str, Any] = {}

    def add(values: dict[str, Any], prefix: str) -> None:
        for key, value in values.items():
            if isinstance(value, dict):
                add(value, f"{prefix}{key}.")
            else:
                found[prefix + key] = value if isinstance(value, bool | int | float | str) else str(value)

    add(to_dict(config), "")
    return found
