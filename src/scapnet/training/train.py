"""Training and resuming a run: the loop, then the scores of the model, its folder and what is printed."""

import itertools
from pathlib import Path

from accelerate.utils import broadcast_object_list

from scapnet.config import Config
from scapnet.outputs import check_folder
from scapnet.presets import caution, without_effect
from scapnet.terminal.console import ProgressBar, say
from scapnet.training.finish import finish, show
from scapnet.training.lock import run_lock
from scapnet.training.loop import fit
from scapnet.training.resuming import continued
from scapnet.training.run import Run, make_accelerator
from scapnet.training.runfolder import is_unused


def train(config: Config, out: Path | None = None) -> Path:
    """Train, evaluate and leave a run folder.

    Args:
        config: a preset, or one changed with `dataclasses.replace`.
        out: the run folder, which must not exist; by default ``runs/PRESET``, numbered if that exists.

    Returns:
        The run folder.

    Raises:
        ValueError: unusable settings or data, and nothing has been written then; training has diverged.
        scapnet.training.signals.Stopped: SIGINT or SIGTERM has ended training; a checkpoint was saved.
    """
    taken = out is not None and not is_unused(out)
    names = (f"{config.preset}-{i}" if i > 1 else config.preset for i in itertools.count(1))
    folder = out or next(path for path in map(Path("runs").joinpath, names) if not path.exists())
    accelerator = make_accelerator(config.train)
    # The first process decides: by the time another one looks, the folder may exist.
    taken, folder = broadcast_object_list([taken, folder])
    if taken:
        raise ValueError(f"{folder} exists; choose another --out, or continue it with: scapnet resume {folder}")
    check_folder(folder, "choose another --out")
    run = Run(config, folder, accelerator=accelerator, note=say)
    if accelerator.is_main_process:
        for warning in filter(None, (caution(config), without_effect(config))):
            say(warning)
    with run_lock(folder, accelerator):
        return _run(run)


def resume(
    out: Path,
    epochs: int | None = None,
    root: Path | None = None,
    table: Path | None = None,
    workers: int | None = None,
    lr: float | None = None,
    clip: float | None = None,
    inexact: bool = False,
) -> Path:
    """Continue an interrupted run with the same losses as an uninterrupted one, or train a finished run further.

    Args:
        out: the run folder.
        epochs: the new total number of epochs (see `scapnet.training.resuming`).
        root: the data's folder now, if it has moved.
        table: the table of a csv data set now, if it has moved.
        workers: number of loader processes; by default as before.
        lr: a new learning rate, for example after training has diverged; the schedule scales it as before.
        clip: a new largest norm of the gradient.
        inexact: resume from a damaged checkpoint, as long as its weights are intact.

    Returns:
        The run folder.

    Raises:
        ValueError: ``out`` is not a run folder, another process is working on it, its data has changed, or its
            checkpoint is damaged; training has diverged.
        scapnet.training.signals.Stopped: SIGINT or SIGTERM has ended training; a checkpoint was saved.
    """
    config = continued(out, epochs, root, table, workers, lr=lr, clip=clip)
    accelerator = make_accelerator(config.train)
    with run_lock(out, accelerator):
        return _run(Run(config, out, True, accelerator, say, inexact))


def _run(run: Run) -> Path:
    """Train the remaining epochs, then score the model and show the result."""
    with ProgressBar("work", not run.accelerator.is_main_process, stderr=False) as bar:
        fit(run, bar)
        result, found = finish(run, bar)
    if run.accelerator.is_main_process:
        show(run, result, found)
    for tracker in run.accelerator.trackers:
        tracker.finish()
    return run.folder.path
