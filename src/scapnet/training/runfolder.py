"""The folder of a run while it is trained: ``config.json``, ``log.jsonl`` and ``checkpoints/EPOCH-STEP/``."""

import dataclasses
import json
import pickle
import shutil
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from safetensors import SafetensorError

from scapnet.config import Config
from scapnet.jsonfile import read_json, write_json
from scapnet.serialization import from_dict, to_dict


@dataclasses.dataclass
class Position:
    """How far a run has got; stored in each checkpoint."""

    epoch: int = 0
    step: int = 0  # steps of this epoch that are done
    log_bytes: int = 0
    best: float = -1.0  # validation accuracy
    best_epoch: int = 0  # the number of epochs after which it was reached
    seconds: float = 0.0
    broken: tuple[int, ...] = ()  # training images that could not be read
    threshold: float | None = None  # see `rejection_threshold`, on the validation split


def last_checkpoint(run: Path) -> Path | None:
    """The folder of a run's last checkpoint; None if there is none."""
    return max((run / "checkpoints").glob("[0-9]*"), default=None)


class RunFolder:
    """The folder of a run and the position in it. All processes call the methods; the first one writes.

    Args:
        path: the folder.
        accelerator: the one that prepares everything that a checkpoint holds.
    """

    def __init__(self, path: Path, accelerator: Accelerator) -> None:
        self.path, self.accelerator = path, accelerator
        self.position = Position()
        self.saved: Path | None = None  # the checkpoint to resume from

    def create(self, config: Config) -> None:
        """Create the folder, which must not exist, with the settings of its run."""
        if self.accelerator.is_main_process:
            self.path.mkdir(parents=True)
            try:
                self.write_config(config)
            except OSError:  # a folder without settings could not be resumed, only block the next run
                shutil.rmtree(self.path)
                raise
        self.accelerator.wait_for_everyone()

    def write_config(self, config: Config) -> None:
        """Write the settings of the run."""
        if self.accelerator.is_main_process:
            write_json(self.path / "config.json", to_dict(config))

    def find_checkpoint(self) -> None:
        """Take the position of the last checkpoint, if there is one.

        Raises:
            ValueError: it is damaged.
        """
        self.saved = last_checkpoint(self.path)
        if self.saved is not None:
            self.position = from_dict(Position, read_json(self.saved / "position.json"))

    def load_checkpoint(self) -> None:
        """Load the checkpoint that was found, if any, into what the accelerator has prepared."""
        if self.saved is not None:
            load_checkpoint(self.accelerator, self.saved)

    def write_position(self) -> None:
        """Update the position in the checkpoint to resume from."""
        if self.accelerator.is_main_process and self.saved is not None:
            write_json(self.saved / "position.json", dataclasses.asdict(self.position))

    def checkpoint(self) -> None:
        """Save all state under a new name, then drop the older checkpoint: one is complete at any moment."""
        place, position = self.path / "checkpoints", self.position
        draft, final = place / "draft", place / f"{position.epoch:05d}-{position.step:07d}"
        if self.accelerator.is_main_process:
            shutil.rmtree(draft, ignore_errors=True)
        self.accelerator.wait_for_everyone()
        self.accelerator.save_state(str(draft))
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            write_json(draft / "position.json", dataclasses.asdict(position))
            older = list(place.glob("[0-9]*"))
            draft.replace(final)
            for folder in older:
                shutil.rmtree(folder)
        self.accelerator.wait_for_everyone()

    def log(self, line: dict[str, Any]) -> None:
        """Append a line to ``log.jsonl``."""
        if self.accelerator.is_main_process:
            with (self.path / "log.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
                self.position.log_bytes = file.tell()

    def cut_log(self) -> None:
        """Drop the lines after the checkpoint, which will be written again."""
        if self.accelerator.is_main_process:
            log = self.path / "log.jsonl"
            log.touch()
            with log.open("r+b") as file:
                file.truncate(self.position.log_bytes)


def load_checkpoint(accelerator: Accelerator, folder: Path) -> None:
    """Load a checkpoint into what the accelerator has prepared.

    Raises:
        ValueError: it is damaged, or belongs to a network of another shape.
    """
    broken = (RuntimeError, ValueError, KeyError, EOFError, FileNotFoundError, pickle.UnpicklingError, SafetensorError)
    try:
        # Weights that two modules share are stored once, under the name of the first.
        accelerator.load_state(str(folder), strict=False)
    except broken as error:
        why = " ".join(str(error).split())[:200]
        raise ValueError(
            f"the checkpoint {folder} does not fit this run ({why}); it is damaged, or the run's config.json or the "
            f"classes of its data have been changed: restore them, or train a new run"
        ) from error
