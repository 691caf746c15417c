"""The folder of a run while it is trained: ``config.json``, ``log.jsonl`` and ``checkpoints/EPOCH-STEP/``."""

import dataclasses
import json
import logging
import pickle
import re
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from safetensors import SafetensorError

from scapnet.config import Config
from scapnet.errors import reason
from scapnet.jsonfile import read_json, write_json
from scapnet.serialization import from_dict, to_dict
from scapnet.tensorfile import as_others
from scapnet.training.manifest import damages, sync, write_manifest

RESTORE = "restore it from a copy, or start a new run"


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
    sure: float | None = None  # the same for `sure_threshold`
    skipped: int = 0  # updates that the loss scaling of fp16 has left out
    processes: int = 0  # with which the run began, and which ``train.batch_size`` is for


def last_checkpoint(run: Path) -> Path | None:
    """The folder of a run's last checkpoint; None if there is none."""
    return max((run / "checkpoints").glob("[0-9]*"), default=None)


def read_position(saved: Path) -> Position:
    """The position of a checkpoint.

    Raises:
        ValueError: it is damaged.
    """
    try:
        values = read_json(saved / "position.json")
        position = from_dict(Position, values)
        named = re.match(f"{position.epoch:05d}-{position.step:07d}", saved.name)
        if not named or not {"epoch", "step", "log_bytes"} <= set(values):
            raise ValueError("it is not the position of this checkpoint")
    except (TypeError, ValueError) as error:
        raise ValueError(f"{saved / 'position.json'} is damaged ({reason(error)}); {RESTORE}") from error
    return position


def is_unused(folder: Path) -> bool:
    """Whether a run can begin in a folder: there is none, or only the draft of a config that a kill has left."""
    if not folder.exists():
        return True
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return bool(names) and all(name.startswith(".config.json.") for name in names)


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
        self.damaged: tuple[str, ...] = ()  # files of it that cannot be used

    def create(self, config: Config) -> None:
        """Create the folder, which must not exist, with the settings of its run."""
        if self.accelerator.is_main_process:
            draft = self.path.with_name(f".{self.path.name}.draft")
            shutil.rmtree(draft, ignore_errors=True)
            try:
                draft.mkdir(parents=True)
                write_json(draft / "config.json", to_dict(config))
                if self.path.exists():  # see `is_unused`
                    shutil.rmtree(self.path)
                draft.rename(self.path)  # a folder without settings could not be resumed, and would be in the way
            except OSError:
                shutil.rmtree(draft, ignore_errors=True)
                raise
        self.accelerator.wait_for_everyone()

    def write_config(self, config: Config) -> None:
        """Write the settings of the run."""
        if self.accelerator.is_main_process:
            write_json(self.path / "config.json", to_dict(config))

    def find_checkpoint(self, inexact: bool = False) -> list[str]:
        """Take the position of the last checkpoint, if there is one.

        Args:
            inexact: accept what makes the losses differ from those of an unbroken run, and say so.

        Returns:
            What is damaged, in sentences.

        Raises:
            ValueError: it is damaged.
        """
        self.saved = last_checkpoint(self.path)
        if self.saved is None:
            return []
        found = damages(self.saved)
        fatal = [name for name in found if name.startswith(("model", "position"))]
        if fatal or (found and not inexact):
            name = fatal[0] if fatal else next(iter(found))
            way = RESTORE if fatal else f"{RESTORE}, or go on without it with --inexact"
            raise ValueError(f"the checkpoint {self.saved} is damaged: {name} {found[name]}; {way}")
        self.position, self.damaged = read_position(self.saved), tuple(found)
        problems = [f"going on without {name}, which {what}: not exact" for name, what in found.items()]
        return [*problems, *self._changed_settings(inexact), *self._log_loss(), *self._processes()]

    def _changed_settings(self, inexact: bool) -> list[str]:
        """Refuse settings that were edited after the checkpoint."""
        assert self.saved is not None
        if not (self.saved / "config.json").exists() or "config.json" in self.damaged:
            return []
        old, new = (flatten(read_json(folder / "config.json")) for folder in (self.saved, self.path))
        changed = [name for name in {**old, **new} if old.get(name) != new.get(name)]
        if not changed:
            return []
        first = f"{changed[0]} was {old.get(changed[0])} and is {new.get(changed[0])}"
        sentence = f"{self.path / 'config.json'} was changed after the checkpoint: {first}"
        if not inexact:
            raise ValueError(f"{sentence}; restore it, or go on with it with --inexact")
        return [f"{sentence}: not exact"]

    def _log_loss(self) -> list[str]:
        """What is missing of the log."""
        log = self.path / "log.jsonl"
        missing = self.position.log_bytes - (log.stat().st_size if log.exists() else 0)
        return [f"{log} has lost {missing:,} bytes of what it held at the checkpoint"] if missing > 0 else []

    def _processes(self) -> list[str]:
        """A note for another number of processes."""
        assert self.saved is not None
        before, now = len(list(self.saved.glob("random_states_*.pkl"))), self.accelerator.num_processes
        self.position.processes = self.position.processes or before  # which earlier versions did not store
        if before in (0, now):
            return []
        return [
            f"the run goes on with {processes(now)} instead of {processes(before)}, with the same images in each step; "
            f"random noise in the network is not the same"
        ]

    def load_checkpoint(self) -> None:
        """Load the checkpoint that was found, if any, into what the accelerator has prepared."""
        if self.saved is not None:
            load_checkpoint(self.accelerator, self.saved, self.damaged)

    def write_position(self) -> None:
        """Update the position in the checkpoint to resume from."""
        if self.accelerator.is_main_process and self.saved is not None:
            write_json(self.saved / "position.json", dataclasses.asdict(self.position))
            shutil.copyfile(self.path / "config.json", self.saved / "config.json")
            write_manifest(self.saved)

    def checkpoint(self) -> None:
        """Save all state under a new name, then drop the older checkpoint: one is complete at any moment."""
        place, position = self.path / "checkpoints", self.position
        draft, final = place / "draft", place / f"{position.epoch:05d}-{position.step:07d}"
        while final.exists():  # a run that was stopped where it had begun; the longer name is the later one
            final = final.with_name(f"{final.name}+")
        if self.accelerator.is_main_process:
            shutil.rmtree(draft, ignore_errors=True)
        self.accelerator.wait_for_everyone()
        logging.getLogger("accelerate.utils.other").setLevel(
            logging.ERROR
        )  # names each shared tensor in every checkpoint
        self.accelerator.save_state(str(draft))
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            write_json(draft / "position.json", dataclasses.asdict(position))
            for tensors in draft.glob("*.safetensors"):
                as_others(tensors)
            shutil.copyfile(self.path / "config.json", draft / "config.json")
            write_manifest(draft)
            older = list(place.glob("[0-9]*"))
            draft.replace(final)
            sync(place)
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
                file.truncate(min(self.position.log_bytes, log.stat().st_size))


def processes(count: int) -> str:
    """A number of processes, in words."""
    return f"{count} process{'' if count == 1 else 'es'}"


def flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by their dotted names."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return found


def load_checkpoint(accelerator: Accelerator, folder: Path, damaged: Collection[str] = ()) -> None:
    """Load a checkpoint into what the accelerator has prepared.

    Args:
        accelerator: which has prepared the network and the optimizer.
        folder: the checkpoint.
        damaged: files of it that are left out: an optimizer or a random state stays as it is.

    Raises:
        ValueError: it is damaged, or belongs to a network of another shape.
    """
    broken = (RuntimeError, ValueError, KeyError, EOFError, FileNotFoundError, pickle.UnpicklingError, SafetensorError)
    try:
        with usable(accelerator, folder, damaged) as state:
            # Weights that two modules share are stored once, under the name of the first.
            accelerator.load_state(str(state), strict=False)
        accelerator.step = 0  # checkpoints follow an update; a new process has no file to read its count from
    except broken as error:
        why = " ".join(str(error).split())[:200]
        raise ValueError(
            f"the checkpoint {folder} does not fit this run ({why}); it is damaged, or the run's config.json or the "
            f"classes of its data have been changed: restore them, or train a new run"
        ) from error


@contextmanager
def usable(accelerator: Accelerator, folder: Path, damaged: Collection[str]) -> Iterator[Path]:
    """A checkpoint in which the present state stands in for damaged files of the optimizer and the loss scaling."""
    if not damaged:
        yield folder
        return
    with tempfile.TemporaryDirectory() as name:
        for path in folder.iterdir():
            if path.name not in damaged:
                (Path(name) / path.name).symlink_to(path.resolve())
        if "optimizer.bin" in damaged:
            torch.save(accelerator._optimizers[0].state_dict(), Path(name) / "optimizer.bin")
        if "scaler.pt" in damaged and accelerator.scaler is not None:
            torch.save(accelerator.scaler.state_dict(), Path(name) / "scaler.pt")
        yield Path(name)
