"""The training loop: one stage or two, on one process or many, safe to kill and resumed exactly."""

import math
import time
from pathlib import Path
from typing import Any

from accelerate import Accelerator, DataLoaderConfiguration
from accelerate.utils import set_seed
from torch import Tensor, nn
from torch.utils.data import DataLoader

from scapnet.build import build_model, part_count, view_of
from scapnet.checkpoint import read_run, start_from_model, write_model
from scapnet.config import Config, TrainConfig
from scapnet.console import ProgressBar
from scapnet.data.broken import check_share, sort_out
from scapnet.data.loaders import default_workers, eval_loader, train_loader
from scapnet.data.record import write_record
from scapnet.data.recorded import data_of_run
from scapnet.data.sample import FineGrained, Splits
from scapnet.data.transforms import Views
from scapnet.evaluate import evaluate_model
from scapnet.hints import option
from scapnet.meter import Meter, show_step
from scapnet.metrics.per_class import rejection_threshold
from scapnet.network import GateLoss, Network, NetworkOutput, as_module
from scapnet.optim import clip_gradients, freeze_backbones, keep_statistics, make_optimizer
from scapnet.resuming import extension
from scapnet.runfolder import RunFolder
from scapnet.schedule import activation_weight, frozen, learning_rate, stage_of, work_of
from scapnet.tracking import check_tracker, start_tracker


def make_accelerator(config: TrainConfig) -> Accelerator:
    """What knows the devices and the other processes."""
    check_tracker(config.tracker)
    return Accelerator(
        mixed_precision=config.precision,
        gradient_accumulation_steps=config.accumulate,
        dataloader_config=DataLoaderConfiguration(non_blocking=True),
        log_with=None if config.tracker == "none" else config.tracker,
        project_dir=None if config.tracker == "none" else ".",  # `start_tracker` names the run folder
    )


class Trainer:
    """A run's data, network and optimizer, and the loop over its epochs.

    Args:
        config: everything that decides the run.
        out: its folder, which is made only when the data and the network were found to be right.
        resume: go on from the last checkpoint in ``out``.
        accelerator: by default a new one.

    Raises:
        ValueError: settings or data that cannot make a run, or a checkpoint that does not fit it.
    """

    def __init__(self, config: Config, out: Path, resume: bool = False, accelerator: Accelerator | None = None) -> None:
        self.config = config
        set_seed(config.train.seed)
        self.accelerator = accelerator or make_accelerator(config.train)
        self.folder = RunFolder(out, self.accelerator)
        if resume:
            self.folder.find_checkpoint()
        self.position = self.folder.position
        self.data: Splits
        self.data, self.record, self.notes = data_of_run(config.data, out if resume else None)
        self.model = self._build()
        self.loss = self.model.make_loss(config.loss)
        self.optimizer = make_optimizer(self.model, config.train)
        workers = config.data.workers
        self.workers = default_workers(self.accelerator.num_processes) if workers is None else workers
        self.net: nn.Module = as_module(self.model)
        self.frozen, self.steps = False, 0
        if config.train.patience and self.data.val is None:
            raise ValueError(
                f"{option('train.patience')} needs a validation split, and the data has none; hold photos out with "
                f"{option('data.val-fraction')}"
            )
        self._start(resume)
        start_tracker(self.accelerator, config, out)

    def _build(self) -> Network:
        """The network with its starting weights, which a checkpoint may replace."""
        config, classes = self.config, tuple(self.data.train.classes)
        model = build_model(config.model, len(classes), config.data.size, start=self.folder.saved is None)
        if started := start_from_model(model, classes):
            self.notes.append(started)
        set_seed(config.train.seed, device_specific=True)  # each process its own gate noise, the same weights
        model.view, model.classes, model.threshold = view_of(config, model), classes, self.position.threshold
        return model

    def _start(self, resume: bool) -> None:
        """Make the run folder, or go to the position of its checkpoint."""
        before = read_run(self.folder.path) if resume else self.config
        if not resume:
            self.folder.create(self.config)
        self._enter(stage_of(self.config, self.position.epoch))
        self.folder.load_checkpoint()
        if self.accelerator.is_main_process:
            write_record(self.folder.path, self.record)
        self.folder.cut_log()
        if self.config != before:
            self._keep_changes(before)

    def _keep_changes(self, before: Config) -> None:
        """Write down the settings that a run goes on with, and what another number of epochs means."""
        if self.config.train.epochs != before.train.epochs:
            sentence, line = extension(before.train, self.config.train, self.position.epoch, self.position.step)
            self.notes.append(sentence)
            self.folder.log(line)
        self.folder.write_config(self.config)
        self.folder.write_position()  # or the next resume would cut the line off again

    def _enter(self, stage: int) -> None:
        """Freeze or unfreeze for a stage and prepare everything for it."""
        train, data = self.config.train, self.config.data
        # Without this, mixed precision would wrap the network's forward once more.
        self.accelerator.unwrap_model(self.net, keep_fp32_wrapper=False)
        self.model.set_stage(stage)
        self.frozen = frozen(train, self.position.epoch)
        if train.freeze:
            freeze_backbones(self.model, self.frozen)
        self.accelerator.free_memory()
        loader, self.sampler = train_loader(
            self.data.train, self.model.view, data, train.batch_size, train.seed, self.workers
        )
        self.net, self.updater, self.loader = self.accelerator.prepare(self.model, self.optimizer, loader)
        self.val_loader = self.eval_loader(self.data.val) if self.data.val is not None else None

    def eval_loader(self, data: FineGrained) -> DataLoader[Views]:
        """A prepared loader of a split for evaluation."""
        batch = max(self.config.train.batch_size, 32)
        loader: DataLoader[Views] = self.accelerator.prepare(eval_loader(data, self.model.view, batch, self.workers))
        return loader

    def fit(self, bar: ProgressBar) -> None:
        """All epochs that are left, each followed by the validation split and a checkpoint."""
        work = [work_of(self.config, epoch) for epoch in range(self.config.train.epochs)]
        bar.start("training", sum(work), sum(work[: self.position.epoch]))
        while self.position.epoch < self.config.train.epochs and not self.stops_early(bar):
            self.begin_epoch()
            self.train_epoch(bar)
            self.position.epoch, self.position.step = self.position.epoch + 1, 0
            self.validate(bar)
            self.folder.checkpoint()

    def stops_early(self, bar: ProgressBar) -> bool:
        """Whether the validation accuracy has not improved for ``patience`` epochs, which count from stage 2 on."""
        position, patience = self.position, self.config.train.patience
        since = max(position.best_epoch, self.config.train.stage1_epochs if part_count(self.config.model) else 0)
        if not patience or position.step or position.epoch - since < patience:
            return False
        bar.note(
            f"stopped early after epoch {position.epoch}: the best validation accuracy, {position.best:.1%}, is that "
            f"after epoch {position.best_epoch}, whose model is in {self.folder.path / 'best'}"
        )
        return True

    def begin_epoch(self) -> None:
        """Enter another stage, freeze or unfreeze where the epoch begins one."""
        epoch, train = self.position.epoch, self.config.train
        stage, freeze = stage_of(self.config, epoch), frozen(train, epoch)
        if stage != self.model.stage or freeze != self.frozen:
            self._enter(stage)
        # At the first step of stage 2 only: a resumed run has the started sub-network in its checkpoint.
        first = epoch == train.stage1_epochs and not self.position.step
        if first and train.part_start == "main" and part_count(self.config.model):
            self.model.start_parts_from_main()

    def train_epoch(self, bar: ProgressBar) -> None:
        """The steps of one epoch that are left."""
        train, position = self.config.train, self.position
        self.sampler.epoch = position.epoch
        self.sampler.skip = position.step * train.batch_size * self.accelerator.num_processes
        self.net.train()
        if self.frozen:
            keep_statistics(self.model)
        steps = self.steps = len(self.loader) + position.step
        work = work_of(self.config, position.epoch) / steps
        meter, since = Meter(), time.monotonic()
        for batch in self.loader:
            self._set_schedule(position.epoch + position.step / steps)
            with self.accelerator.accumulate(self.net):
                output, terms = self._step(batch)
            position.step += 1
            since, before = time.monotonic(), since
            position.seconds += since - before
            meter.add(terms, output, batch)
            bar.advance(work)
            last, every = position.step == steps, train.checkpoint_steps
            saves = every and position.step % every == 0 and self.accelerator.sync_gradients and not last
            # A checkpoint ends a line of the log, so that a resumed run writes the same lines.
            if position.step % train.log_every == 0 or last or saves:
                self._log_steps(meter, bar, last)
                meter = Meter()
            if saves:
                self.folder.checkpoint()

    def _set_schedule(self, epoch: float) -> None:
        """Set what depends on the (fractional) epoch: the learning rate, and the weight of L_act."""
        self.lr = learning_rate(self.config.train, epoch)
        self.act_weight = activation_weight(self.config.loss, epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr
        if isinstance(self.loss, GateLoss):
            self.loss.act = self.act_weight

    def _step(self, batch: Views) -> tuple[NetworkOutput, dict[str, Tensor]]:
        """One step: the network's output for a batch, and the terms of its loss."""
        output = self.net(batch["image"], batch.get("source"), batch["index"])
        terms = self.loss(output, batch["target"])
        self.accelerator.backward(terms["loss"])
        if self.config.train.clip and self.accelerator.sync_gradients:
            self.accelerator.unscale_gradients()
            clip_gradients(self.model, self.config.train.clip)
        self.updater.step()
        self.updater.zero_grad()
        return output, terms

    def _log_steps(self, meter: Meter, bar: ProgressBar, last: bool) -> None:
        """Log the means over some steps, and show them."""
        line = meter.means() | {
            "lr": self.lr,
            "act_weight": self.act_weight,
            "images_per_second": meter.speed() * self.accelerator.num_processes,
            "unreadable": self._count_broken(meter, bar),
        }
        if not math.isfinite(line["loss"]):
            raise ValueError(
                f"the loss is {line['loss']} in epoch {self.position.epoch + 1}: training has diverged; lower "
                f"{option('train.lr')}, or clip the gradient with {option('train.clip')} 5"
            )
        stage = f" stage {self.model.stage}" if stage_of(self.config, 0) == 1 else ""
        show_step(bar, f"epoch {self.position.epoch + 1}/{self.config.train.epochs}{stage}", line, last)
        self.folder.log({"epoch": self.position.epoch, "step": self.position.step} | line)
        self.track(line)

    def _count_broken(self, meter: Meter, bar: ProgressBar) -> int:
        """How many training images could not be read so far, on all processes; all of them stop where it is many."""
        found = set(self.accelerator.gather(meter.broken_indices()).tolist()) - {-1, *self.position.broken}
        if found:
            self.position.broken = tuple(sorted({*self.position.broken, *found}))
            check_share(self.data.train, self.position.broken, self.config.data.broken_share)
            for sentence in sort_out(self.data.train, sorted(found)[:3])[1]:
                bar.note(f"{sentence}; others of its class stand in ({len(self.position.broken)} so far)")
        return len(self.position.broken)

    def track(self, values: dict[str, Any]) -> None:
        """Send numbers to the tracker, if there is one."""
        if self.config.train.tracker != "none":
            position = self.position
            self.accelerator.log(values, step=position.epoch * self.steps + position.step)

    def validate(self, bar: ProgressBar) -> None:
        """Score the validation split and keep the best model on it; the test split is never used to choose."""
        if self.val_loader is None:
            return
        found = evaluate_model(self.net, self.val_loader, self.accelerator)
        scores, epoch = found.scores, self.position.epoch
        self.model.threshold = self.position.threshold = rejection_threshold(found.target, found.probs)
        bar.note(f"epoch {epoch}: validation accuracy {scores['accuracy']:.1%}")
        self.folder.log({"epoch": epoch - 1, "split": "val"} | scores)
        self.track({f"val_{key}": value for key, value in scores.items()})
        if scores["accuracy"] > self.position.best:
            self.position.best, self.position.best_epoch = scores["accuracy"], epoch
            self.save("best", {"epoch": epoch, "split": "val"} | scores)

    def save(self, name: str, scores: dict[str, Any]) -> None:
        """Write the network as a model folder of the run."""
        if self.accelerator.is_main_process:
            write_model(self.model, self.folder.path / name, scores)
