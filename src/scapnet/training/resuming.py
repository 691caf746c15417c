"""Resuming a run: its settings, its last checkpoint, and the settings that may change.

The learning rate depends on the epoch alone (`scapnet.training.schedule`). A run that gets more epochs continues as if
it had had them from the start: a cosine that had reached 0 returns to the rate of the longer cosine at that epoch.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from scapnet.checkpoint import read_run
from scapnet.config import Config, TrainConfig
from scapnet.data.record import moved
from scapnet.terminal.hints import option
from scapnet.training.runfolder import Position, last_checkpoint, read_position
from scapnet.training.schedule import learning_rate

Place = Path | None
Count = int | None


def continued(
    run: Path,
    epochs: Count = None,
    root: Place = None,
    table: Place = None,
    workers: Count = None,
    **train: float | None,
) -> Config:
    """The settings of a resumed run; for the arguments see `scapnet.resume`.

    Raises:
        ValueError: not a run folder, a finished run without checkpoint, or fewer epochs than it has trained.
    """
    config, saved = read_run(run), last_checkpoint(run)
    config = replace(config, data=moved(config.data, root, table))
    if workers is not None:
        config = replace(config, data=replace(config.data, workers=workers))
    given: dict[str, Any] = {name: value for name, value in train.items() if value is not None}
    config = replace(config, train=replace(config.train, **given))
    finished = (run / "results.json").exists()
    if finished and saved is None:
        raise ValueError(
            f"{run} is finished and has no checkpoint to continue from; "
            f"start a new run from its model with: scapnet train {config.preset} --model.weights {run}"
        )
    if epochs is None:
        return config
    position = read_position(saved) if saved is not None else Position()
    begun = position.epoch + (position.step > 0)
    if epochs < begun or (finished and epochs == begun):
        raise ValueError(f"{run} has already trained {begun} epochs; give more with {option('train.epochs')}")
    return replace(config, train=replace(config.train, epochs=epochs))


def changed_settings(before: TrainConfig, now: TrainConfig) -> dict[str, float]:
    """The settings of a run that was resumed with others, by their names."""
    return {name: getattr(now, name) for name in ("lr", "clip") if getattr(now, name) != getattr(before, name)}


def extension(before: TrainConfig, now: TrainConfig, epoch: int, step: int) -> tuple[str, dict[str, Any]]:
    """The effect of a new number of epochs on a run at some epoch: a sentence, and a line for its log."""
    lr = learning_rate(now, epoch)
    sentence = (
        f"training for {now.epochs} epochs instead of {before.epochs}: epoch {epoch + 1} begins with the learning "
        f"rate {lr:.3g}, as in a run of {now.epochs} epochs with the {now.schedule} schedule"
    )
    return sentence, {"epoch": epoch, "step": step, "epochs": now.epochs, "epochs_before": before.epochs, "lr": lr}
