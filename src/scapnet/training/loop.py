"""The training loop: one stage or two, one process or many, safe to kill and resumed exactly."""

import math
import signal
import time
from functools import partial
from typing import Any, NoReturn

import torch
from torch import Tensor

from scapnet.build import part_count
from scapnet.data.broken import check_share, readable_samples
from scapnet.data.transforms import Views
from scapnet.metrics.per_class import rejection_threshold
from scapnet.network import GateLoss, NetworkOutput, as_module
from scapnet.terminal.console import ProgressBar
from scapnet.training.health import divergence, gradient_norm, remedy
from scapnet.training.meter import Meter, show_step
from scapnet.training.mixing import class_maps, mix
from scapnet.training.optim import clip_gradients, set_learning_rate
from scapnet.training.run import Run
from scapnet.training.schedule import activation_weight, last_phase_start, learning_rate, phase_of, stage_of, work_of
from scapnet.training.signals import Interrupted, Stopped, StopRequest, catch_signals


def fit(run: Run, bar: ProgressBar) -> None:
    """Train the remaining epochs; each ends with validation and a checkpoint."""
    position, epochs = run.position, run.config.train.epochs
    work = [work_of(run.config, epoch) for epoch in range(epochs)]
    bar.start("training", sum(work), sum(work[: position.epoch]))
    with catch_signals() as stop:
        while position.epoch < epochs and not stalled(run):
            begin_epoch(run)
            train_epoch(run, bar, stop)
            try:
                validate(run, bar, stop)
            except Interrupted as interrupted:  # resumed, the run validates first
                leave(run, interrupted.number)
            position.epoch, position.step = position.epoch + 1, 0
            if number := stop.agreed(run.accelerator):
                leave(run, number)
            run.checkpoint()
    if stalled(run):
        bar.note(
            f"early stopping after epoch {position.epoch}: no validation accuracy above the {position.best:.1%} of "
            f"epoch {position.best_epoch}, whose model is used"
        )


def stalled(run: Run) -> bool:
    """Whether early stopping ends the run; epochs without improvement count from the start of the last phase."""
    since = max(run.position.best_epoch, last_phase_start(run.config))
    return 0 < run.config.train.patience <= run.position.epoch - since


def begin_epoch(run: Run) -> None:
    """Enter the next phase if it starts with this epoch."""
    epoch, train = run.position.epoch, run.config.train
    if (phase := phase_of(run.config, epoch)) != run.phase:
        run.enter(phase)
    # Only at the first step of stage 2: later, the checkpoint of a resumed run has the sub-network.
    first = epoch == train.stage1_epochs and not run.position.step
    if first and train.part_start == "main" and part_count(run.config.model):
        for model in dict.fromkeys((run.model, run.scored)):
            model.start_parts_from_main()


def train_epoch(run: Run, bar: ProgressBar, stop: StopRequest | None = None) -> None:
    """Train the remaining steps of one epoch.

    Args:
        run: what is trained.
        bar: shows the progress.
        stop: ends the run after a step, with a checkpoint.

    Raises:
        Stopped: ``stop`` asked for it.
        ValueError: training has diverged.
    """
    stop = stop or StopRequest()
    train, position, accelerator = run.config.train, run.position, run.accelerator
    run.sampler.epoch = position.epoch
    run.sampler.skip = position.step * run.global_batch
    run.train_mode()
    steps = run.steps = len(run.loader) + position.step
    work = work_of(run.config, position.epoch) / steps
    meter, since = Meter(), time.monotonic()
    for batch in run.loader:
        set_schedule(run, position.epoch + position.step / steps)
        with accelerator.accumulate(run.net):
            output, terms = train_step(run, batch)
        position.step += 1
        since, before = time.monotonic(), since
        position.seconds += since - before
        meter.add(terms, output, batch)
        bar.advance(work)
        last, every = position.step == steps, train.checkpoint_steps
        number = stop.agreed(accelerator) if accelerator.sync_gradients else 0
        saves = (number or (every and position.step % every == 0)) and accelerator.sync_gradients and not last
        # A checkpoint ends a line of the log, so that a resumed run writes the same lines.
        if position.step % train.log_every == 0 or last or saves:
            log_steps(run, meter, bar, (position.step - 1) / steps, last)
            meter = Meter()
        if saves and number:
            leave(run, number)
        if saves:
            run.checkpoint()


def leave(run: Run, number: int) -> NoReturn:
    """Save a checkpoint and end the run because of a signal.

    Raises:
        Stopped: with what was saved and how to go on.
    """
    run.checkpoint()
    name, path = signal.Signals(number).name, run.folder.path
    raise Stopped(number, f"stopped by {name} {run.place()}, with a checkpoint; go on with: scapnet resume {path}")


def set_schedule(run: Run, epoch: float) -> None:
    """Set the learning rate and the weight of L_act for a (fractional) epoch."""
    set_learning_rate(run.optimizer, learning_rate(run.config.train, epoch))
    if isinstance(run.loss, GateLoss):
        run.loss.act = activation_weight(run.config.loss, epoch)


def train_step(run: Run, batch: Views) -> tuple[NetworkOutput, dict[str, Tensor]]:
    """Train one step; returns the network's output for a batch, and the terms of its loss."""
    images, target, train = batch, batch["target"], run.config.train
    if train.mixup or train.cutmix or train.snapmix:
        maps = partial(class_maps, run.model, batch["image"], target)
        images, target = mix(batch, len(run.model.classes), train.mixup, train.cutmix, train.snapmix, maps)
    inputs = images["image"], images.get("source"), batch["index"]
    output = run.net(*inputs)
    terms = run.loss(output, target)
    run.accelerator.backward(terms["loss"])
    if run.accelerator.sync_gradients:
        run.accelerator.unscale_gradients()
        # In fp16, the scaler skips such a step and lowers the scale of the loss.
        if run.accelerator.scaler is None and not torch.isfinite(gradient_norm(run.model.parameters())):
            again = run.loss(run.model(*inputs), target)  # the graph of the first pass is gone
            raise ValueError(divergence(as_module(run.model), terms, again, run.place()))
        if train.clip:
            clip_gradients(run.model, train.clip)
    run.updater.step()
    run.position.skipped += bool(run.accelerator.optimizer_step_was_skipped)
    run.updater.zero_grad()
    if run.average is not None and run.accelerator.sync_gradients:
        run.average.update_parameters(as_module(run.model))
    return output, terms


def log_steps(run: Run, meter: Meter, bar: ProgressBar, done: float, last: bool) -> None:
    """Log the means over the last steps, and show them.

    Args:
        run: the run.
        meter: holds the sums over the steps.
        bar: shows the means.
        done: the fraction of the epoch before the last of these steps.
        last: whether these steps end the epoch.
    """
    config, epoch = run.config, run.position.epoch
    line = meter.means(run.accelerator) | {
        "lr": learning_rate(config.train, epoch + done),
        "act_weight": activation_weight(config.loss, epoch + done),
        "images_per_second": meter.speed() * run.accelerator.num_processes,
        "unreadable": count_broken(run, meter, bar),
    }
    if run.accelerator.scaler is not None:
        line["skipped_steps"] = run.position.skipped
    if not math.isfinite(line["loss"]):
        raise ValueError(f"the loss is {line['loss']} {run.place()}: training has diverged; {remedy()}")
    stage = f" stage {run.phase.stage}" if stage_of(config, 0) == 1 else ""
    show_step(bar, f"epoch {epoch + 1}/{config.train.epochs}{stage}", line, last)
    log(run, {"epoch": epoch, "step": run.position.step}, line)


def log(run: Run, place: dict[str, Any], values: dict[str, float], prefix: str = "") -> None:
    """Write values to ``log.jsonl`` with their place in the run, and send them to the tracker if there is one."""
    run.folder.log(place | values)
    step = run.position.epoch * run.steps + run.position.step
    run.accelerator.log({prefix + key: value for key, value in values.items()}, step=step)


def count_broken(run: Run, meter: Meter, bar: ProgressBar) -> int:
    """The number of training images unreadable so far, on all processes, which all stop if there are too many."""
    position, data = run.position, run.data.train
    found = set(run.accelerator.gather(meter.broken_indices()).tolist()) - {-1, *position.broken}
    if found:
        position.broken = tuple(sorted({*position.broken, *found}))
        check_share(data, position.broken, run.config.data.broken_share)
        for sentence in readable_samples(data, sorted(found)[:3])[1]:
            bar.note(f"{sentence}; another image of its class replaces it ({len(position.broken)} so far)")
    return len(position.broken)


def validate(run: Run, bar: ProgressBar, stop: StopRequest | None = None) -> None:
    """Score the validation split and keep the best model; the test split is never used to choose it.

    Args:
        run: what is validated.
        bar: shows the accuracy.
        stop: ends the scoring; what follows it is finished, or the log would get its line twice.

    Raises:
        Interrupted: a signal has ended the scoring; nothing has changed.
    """
    if run.val_loader is None:
        return
    check = (stop or StopRequest()).check
    found = run.score(run.val_loader, lambda: check(run.accelerator))
    position, epoch = run.position, run.position.epoch
    run.scored.threshold = position.threshold = rejection_threshold(found.target, found.probs)
    run.scored.sure = position.sure = found.sure(run.scored)
    accuracy = found.scores["accuracy"]
    bar.note(f"epoch {epoch + 1}: validation accuracy {accuracy:.1%}")
    log(run, {"epoch": epoch, "split": "val"}, found.scores, "val_")
    if accuracy > position.best:
        position.best, position.best_epoch = accuracy, epoch + 1
        run.save("best", {"epoch": epoch + 1, "split": "val"} | found.scores)
