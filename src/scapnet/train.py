"""Train a run, or go on with one."""

import itertools
from pathlib import Path

from accelerate.utils import broadcast_object_list

from scapnet.config import Config
from scapnet.console import ProgressBar
from scapnet.data.layout import layout
from scapnet.finish import finish, show
from scapnet.outputs import check_folder
from scapnet.resuming import continued
from scapnet.trainer import Trainer, make_accelerator


def train(config: Config, out: Path | None = None) -> Path:
    """Train, evaluate and leave a run folder.

    Args:
        config: a preset, or one changed with `dataclasses.replace`.
        out: the run folder, which must not exist; by default ``runs/PRESET``, numbered where that is taken.

    Returns:
        The run folder.

    Raises:
        ValueError: settings or data that cannot make a run; nothing has been written then.
    """
    taken = out is not None and out.exists()
    names = (f"{config.preset}-{i}" if i > 1 else config.preset for i in itertools.count(1))
    folder = out or next(path for path in map(Path("runs").joinpath, names) if not path.exists())
    accelerator = make_accelerator(config.train)
    # The first process decides: another one might look when the folder is already made.
    taken, folder = broadcast_object_list([taken, folder])
    if taken:
        raise ValueError(f"{folder} exists; choose another --out, or go on with it by: scapnet resume {folder}")
    check_folder(folder, "choose another --out")
    return run_to_end(Trainer(config, folder, accelerator=accelerator))


def resume(
    out: Path,
    epochs: int | None = None,
    root: Path | None = None,
    table: Path | None = None,
    workers: int | None = None,
) -> Path:
    """Go on with a run that was stopped; its losses are those of an unbroken run.

    Args:
        out: the run folder.
        epochs: how many to train in all, also if the run is finished (see `scapnet.resuming`); by default as before.
        root: where the data lies now, if it has moved.
        table: the same for the table of a csv data set.
        workers: loader processes; by default as before.

    Raises:
        ValueError: ``out`` is no run folder, or its data has changed.
    """
    return run_to_end(Trainer(continued(out, epochs, root, table, workers), out, resume=True))


def run_to_end(trainer: Trainer) -> Path:
    """Train what is left of a run, then score its model; returns the run folder."""
    with ProgressBar("work", not trainer.accelerator.is_main_process, stderr=False) as bar:
        for note in (layout(trainer.data), *trainer.notes):
            bar.note(note)
        trainer.fit(bar)
        result, found = finish(trainer, bar)
    if trainer.accelerator.is_main_process:
        show(trainer, result, found)
    trainer.accelerator.end_training()
    return trainer.folder.path
