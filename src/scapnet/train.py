"""The training loop: one stage or two, on one process or many, safe to kill and resumed exactly."""

import dataclasses
import itertools
import json
import math
import shutil
import time
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, DataLoaderConfiguration
from accelerate.utils import broadcast_object_list, set_seed
from torch import nn
from torch.utils.data import DataLoader

from scapnet.build import build_model, part_count, view_of
from scapnet.checkpoint import read_run, start_from_model, write_model
from scapnet.config import Config, TrainConfig
from scapnet.console import ProgressBar
from scapnet.data.broken import check_share, sort_out
from scapnet.data.loaders import default_workers, eval_loader, train_loader
from scapnet.data.sample import FineGrained, Splits
from scapnet.data.transforms import Views
from scapnet.evaluate import Evaluation, evaluate, write_tables
from scapnet.hints import option
from scapnet.jsonfile import read_json, write_json
from scapnet.meter import Meter, show_step
from scapnet.metrics.per_class import rejection_threshold
from scapnet.network import GateLoss, Network, as_module
from scapnet.optim import clip_gradients, make_optimizer
from scapnet.recorded import data_of_run
from scapnet.resuming import continued, extension, last_checkpoint, load_checkpoint
from scapnet.rundir import write_record
from scapnet.schedule import activation_weight, learning_rate, stage_of, work_of
from scapnet.serialization import to_dict
from scapnet.summary import show_classes, show_scores
from scapnet.visualize import part_grid


@dataclasses.dataclass
class Position:
    """How far a run has come; a checkpoint holds it."""

    epoch: int = 0
    step: int = 0  # steps of this epoch that are done
    log_bytes: int = 0
    best: float = -1.0
    seconds: float = 0.0
    broken: list[int] = dataclasses.field(default_factory=list)  # training images that could not be read
    threshold: float | None = None  # see `rejection_threshold`, on the validation split


def make_accelerator(config: TrainConfig) -> Accelerator:
    """What knows the devices and the other processes."""
    return Accelerator(
        mixed_precision=config.precision,
        gradient_accumulation_steps=config.accumulate,
        dataloader_config=DataLoaderConfiguration(non_blocking=True),
    )


class Run:
    """A training run and its folder: ``config.json``, ``log.jsonl``, ``checkpoints/``, ``model/``, ``results.json``.

    Args:
        config: everything that decides it.
        out: its folder. It is made only when the data and the network were found to be right.
        resume: go on from the last checkpoint in ``out``.
    """

    def __init__(self, config: Config, out: Path, resume: bool = False, accelerator: Accelerator | None = None) -> None:
        self.config, self.out = config, out
        set_seed(config.train.seed)
        self.accelerator = accelerator or make_accelerator(config.train)
        self.saved = last_checkpoint(out) if resume else None
        self.data: Splits
        self.data, self.record, self.notes = data_of_run(config.data, out if resume else None)
        self.model: Network = build_model(
            config.model, len(self.data.train.classes), config.data.size, start=self.saved is None
        )
        if started := start_from_model(self.model, self.data.train.classes):
            self.notes.append(started)
        set_seed(config.train.seed, device_specific=True)  # each process its own gate noise, the same weights
        self.model.view, self.model.classes = view_of(config, self.model), tuple(self.data.train.classes)
        self.loss = self.model.make_loss(config.loss)
        self.optimizer = make_optimizer(self.model, config.train)
        workers = config.data.workers
        self.workers = default_workers(self.accelerator.num_processes) if workers is None else workers
        self.position = Position()
        self.found: Evaluation | None = None  # the answers of the last epoch's model
        self.net: nn.Module = as_module(self.model)
        self._start(resume)

    def _start(self, resume: bool) -> None:
        saved = self.saved
        before = read_run(self.out) if resume else self.config
        if self.accelerator.is_main_process and not resume:
            self.out.mkdir(parents=True)
            write_json(self.out / "config.json", to_dict(self.config))
        self.accelerator.wait_for_everyone()
        if saved is not None:
            self.position = Position(**read_json(saved / "position.json"))
            self.model.threshold = self.position.threshold
        self._enter(stage_of(self.config, self.position.epoch))
        if saved is not None:
            load_checkpoint(self.accelerator, saved)
        if self.accelerator.is_main_process:
            write_record(self.out, self.record)
            log = self.out / "log.jsonl"
            log.touch()
            with log.open("r+b") as file:  # lines written after the checkpoint are going to be written again
                file.truncate(self.position.log_bytes)
        if self.config != before:
            self._keep_changes(before)

    def _keep_changes(self, before: Config) -> None:
        """Write down the settings that a run goes on with, and what another number of epochs means."""
        if self.config.train.epochs != before.train.epochs:
            sentence, line = extension(before.train, self.config.train, self.position.epoch, self.position.step)
            self.notes.append(sentence)
            self.log(line)
        if self.accelerator.is_main_process:
            write_json(self.out / "config.json", to_dict(self.config))
            if self.saved is not None:  # or the next resume would cut the line off again
                write_json(self.saved / "position.json", dataclasses.asdict(self.position))

    def _enter(self, stage: int) -> None:
        """Freeze or thaw for a stage and prepare everything for it."""
        train, data = self.config.train, self.config.data
        # Without this, mixed precision would wrap the network's forward once more.
        self.accelerator.unwrap_model(self.net, keep_fp32_wrapper=False)
        self.model.set_stage(stage)
        self.accelerator.free_memory()
        loader, self.sampler = train_loader(
            self.data.train, self.model.view, data, train.batch_size, train.seed, self.workers
        )
        self.net, self.updater, self.loader = self.accelerator.prepare(self.model, self.optimizer, loader)
        self.val_loader = self._eval_loader(self.data.val) if self.data.val is not None else None

    def _eval_loader(self, data: FineGrained) -> DataLoader[Views]:
        batch = max(self.config.train.batch_size, 32)
        loader: DataLoader[Views] = self.accelerator.prepare(eval_loader(data, self.model.view, batch, self.workers))
        return loader

    @property
    def trains(self) -> bool:
        """Whether epochs are left."""
        return self.position.epoch < self.config.train.epochs

    def fit(self, bar: ProgressBar) -> None:
        """All epochs that are left, each followed by the validation split and a checkpoint."""
        epochs = self.config.train.epochs
        work = [work_of(self.config, epoch) for epoch in range(epochs)]
        bar.start("training", sum(work), sum(work[: self.position.epoch]))
        while self.trains:
            epoch = self.position.epoch
            stage = stage_of(self.config, epoch)
            if stage != self.model.stage:
                self._enter(stage)
            # At the first step of stage 2 only: a resumed run has the started sub-network in its checkpoint.
            if epoch == self.config.train.stage1_epochs and not self.position.step:
                self._start_parts()
            self.epoch(bar)
            self.position.epoch, self.position.step = epoch + 1, 0
            self._validate(bar)
            self.checkpoint()

    def _start_parts(self) -> None:
        if part_count(self.config.model) and self.config.train.part_start == "main":
            self.model.start_parts_from_main()

    def epoch(self, bar: ProgressBar) -> None:
        """The steps of one epoch that are left."""
        config, position = self.config, self.position
        self.sampler.epoch = position.epoch
        self.sampler.skip = position.step * config.train.batch_size * self.accelerator.num_processes
        self.net.train()
        steps = len(self.loader) + position.step
        window, since = Meter(), time.monotonic()
        for batch in self.loader:
            at = position.epoch + position.step / steps
            for group in self.optimizer.param_groups:
                group["lr"] = learning_rate(config.train, at)
            if isinstance(self.loss, GateLoss):
                self.loss.act = activation_weight(config.loss, at)
            with self.accelerator.accumulate(self.net):
                output = self.net(batch["image"], batch.get("source"), batch["index"])
                terms = self.loss(output, batch["target"])
                self.accelerator.backward(terms["loss"])
                if config.train.clip and self.accelerator.sync_gradients:
                    self.accelerator.unscale_gradients()
                    clip_gradients(self.model, config.train.clip)
                self.updater.step()
                self.updater.zero_grad()
            position.step += 1
            since, before = time.monotonic(), since
            position.seconds += since - before
            window.add(terms, output, batch)
            bar.advance(work_of(config, position.epoch) / steps)
            every = config.train.checkpoint_steps
            saves = every and position.step % every == 0 and self.accelerator.sync_gradients and position.step < steps
            # A checkpoint ends a line of the log, so that a resumed run writes the same lines.
            if position.step % config.train.log_every == 0 or position.step == steps or saves:
                self._log_steps(window, bar, position.step == steps)
                window = Meter()
            if saves:
                self.checkpoint()

    def _log_steps(self, window: Meter, bar: ProgressBar, last: bool) -> None:
        line = window.means() | {
            "lr": self.optimizer.param_groups[0]["lr"],
            "act_weight": self.loss.act if isinstance(self.loss, GateLoss) else 0.0,
            "images_per_second": window.speed() * self.accelerator.num_processes,
            "unreadable": self._count_broken(window, bar),
        }
        if not math.isfinite(line["loss"]):
            raise ValueError(
                f"the loss is {line['loss']} in epoch {self.position.epoch + 1}: training has diverged; lower "
                f"{option('train.lr')}, or clip the gradient with {option('train.clip')} 5"
            )
        stage = f" stage {self.model.stage}" if stage_of(self.config, 0) == 1 else ""
        show_step(bar, f"epoch {self.position.epoch + 1}/{self.config.train.epochs}{stage}", line, last)
        self.log({"epoch": self.position.epoch, "step": self.position.step} | line)

    def _count_broken(self, window: Meter, bar: ProgressBar) -> int:
        """How many training images could not be read so far, on all processes; all of them stop where it is many."""
        found = set(self.accelerator.gather(window.broken_indices()).tolist()) - {-1, *self.position.broken}
        if found:
            self.position.broken = sorted({*self.position.broken, *found})
            check_share(self.data.train, self.position.broken, self.config.data.broken_share)
            for sentence in sort_out(self.data.train, sorted(found)[:3])[1]:
                bar.note(f"{sentence}; others of its class stand in ({len(self.position.broken)} so far)")
        return len(self.position.broken)

    def log(self, line: dict[str, Any]) -> None:
        """Append a line to ``log.jsonl``."""
        if self.accelerator.is_main_process:
            with (self.out / "log.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
                self.position.log_bytes = file.tell()

    def _validate(self, bar: ProgressBar) -> None:
        """Score the validation split and keep the best model on it; the test split is never used to choose."""
        if self.val_loader is None:
            return
        found = evaluate(self.net, self.val_loader, self.accelerator)
        scores = found.scores
        self.model.threshold = self.position.threshold = rejection_threshold(found.target, found.probs)
        bar.note(f"epoch {self.position.epoch}: validation accuracy {scores['accuracy']:.1%}")
        self.log({"epoch": self.position.epoch - 1, "split": "val"} | scores)
        if scores["accuracy"] > self.position.best:
            self.position.best = scores["accuracy"]
            self._save("best", {"epoch": self.position.epoch, "split": "val"} | scores)

    def _save(self, name: str, scores: dict[str, Any]) -> None:
        if self.accelerator.is_main_process:
            write_model(self.model, self.out / name, scores)

    def checkpoint(self) -> None:
        """Save all state under a name of its own, then drop the older one: a kill at any moment leaves one whole."""
        place = self.out / "checkpoints"
        draft = place / "draft"
        final = place / f"{self.position.epoch:05d}-{self.position.step:07d}"
        if self.accelerator.is_main_process:
            shutil.rmtree(draft, ignore_errors=True)
        self.accelerator.wait_for_everyone()
        self.accelerator.save_state(str(draft))
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            write_json(draft / "position.json", dataclasses.asdict(self.position))
            older = list(place.glob("[0-9]*"))
            draft.replace(final)
            for folder in older:
                shutil.rmtree(folder)
        self.accelerator.wait_for_everyone()

    def finish(self, bar: ProgressBar) -> dict[str, Any]:
        """Score the last epoch's model, write the model folder, the result and the picture; returns the result."""
        split = next((name for name in ("test", "val") if getattr(self.data, name) is not None), None)
        result: dict[str, Any] = {"preset": self.config.preset, "epochs": self.config.train.epochs}
        result["train_images"], result["train_seconds"] = len(self.data.train), round(self.position.seconds, 1)
        result["train_unreadable"] = len(self.position.broken)
        data = getattr(self.data, split) if split else None
        if split is not None and data is not None:
            bar.note(f"evaluating {len(data)} {split} images")
            self.found = found = evaluate(self.net, self._eval_loader(data), self.accelerator)
            if split == "val":
                self.model.threshold = rejection_threshold(found.target, found.probs)
            result |= {"split": split} | found.figures()
            if self.accelerator.is_main_process:
                found.save(self.out / "answers.safetensors", self.model.classes)
                names = self.record.names(split, data)
                write_tables(self.out, f"eval-{split}", found, self.model.classes, names)
        self._save("model", result)
        if self.accelerator.is_main_process:
            picked = [] if data is None else torch.linspace(0, len(data) - 1, min(8, len(data))).long().tolist()
            if data is not None and (samples := sort_out(data, picked)[0]):
                part_grid(self.model.eval(), samples).save(self.out / "parts.png")
            write_json(self.out / "results.json", result)
        return result


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
    return _run(Run(config, folder, accelerator=accelerator))


def resume(out: Path, epochs: int | None = None, root: Path | None = None, table: Path | None = None) -> Path:
    """Go on with a run that was stopped; its losses are those of an unbroken run.

    Args:
        out: the run folder.
        epochs: how many to train in all, also if the run is finished (see `scapnet.resuming`); by default as before.
        root: where the data lies now, if it has moved.
        table: the same for the table of a csv data set.

    Raises:
        ValueError: ``out`` is no run folder, or its data has changed.
    """
    return _run(Run(continued(out, epochs, root, table), out, resume=True))


def _run(run: Run) -> Path:
    with ProgressBar("work", not run.accelerator.is_main_process, stderr=False) as bar:
        for note in run.notes:
            bar.note(note)
        run.fit(bar)
        result = run.finish(bar)
    if run.accelerator.is_main_process:
        show_scores(result)
        if run.found is not None:
            show_classes(run.found.target, run.found.probs, run.model.classes)
        shown = run.out / "parts.png"
        print(f"run folder: {run.out}" + (f"\nparts of some photos: {shown}" if shown.exists() else ""))
    run.accelerator.end_training()
    return run.out
