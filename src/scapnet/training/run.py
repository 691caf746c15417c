"""A run: its settings, data, network and optimizer, prepared for a phase of training, and its folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from accelerate import Accelerator, DataLoaderConfiguration
from accelerate.utils import broadcast, set_seed
from torch import nn
from torch.utils.data import DataLoader

from scapnet import devices
from scapnet.build import build_model, view_of
from scapnet.card import TrainingFacts
from scapnet.checkpoint import from_pretrained, read_run, start_from_model, write_model
from scapnet.config import Config, TrainConfig
from scapnet.data.layout import layout
from scapnet.data.loaders import class_weights, default_workers, eval_loader, train_loader
from scapnet.data.record import write_record
from scapnet.data.recorded import data_of_run
from scapnet.data.sample import FineGrained, Splits, class_parents
from scapnet.data.transforms import Views
from scapnet.evaluate import Evaluation, evaluate_model
from scapnet.network import Loss, Network, as_module
from scapnet.terminal.hints import option
from scapnet.training.checkpointing import checkpoint_blocks
from scapnet.training.health import check_weights
from scapnet.training.mixing import check_maps
from scapnet.training.optim import backbones_of, freeze_backbones, make_average, make_optimizer
from scapnet.training.resuming import changed_settings, extension
from scapnet.training.runfolder import RunFolder
from scapnet.training.schedule import Phase, phase_of
from scapnet.training.syncbn import synchronise
from scapnet.training.tracking import check_tracker, start_tracker


def make_accelerator(config: TrainConfig) -> Accelerator:
    """The accelerator, which knows the devices and the other processes."""
    check_tracker(config.tracker)
    tracks = config.tracker != "none"
    return devices.make_accelerator(
        mixed_precision=config.precision,
        gradient_accumulation_steps=config.accumulate,
        dataloader_config=DataLoaderConfiguration(non_blocking=True),
        log_with=config.tracker if tracks else None,
        project_dir="." if tracks else None,  # `start_tracker` names the run folder
    )


class Run:
    """Everything that training works on.

    Args:
        config: everything that determines the run.
        out: the run folder, which is created only after the data and the network have passed all checks.
        resume: continue from the last checkpoint in ``out``.
        accelerator: by default a new one.
        note: receives the data's layout before the network is built, and anything else that the user should know.
        inexact: resume from a damaged checkpoint.

    Raises:
        ValueError: unusable settings or data, or a checkpoint that does not match them.
    """

    def __init__(
        self,
        config: Config,
        out: Path,
        resume: bool = False,
        accelerator: Accelerator | None = None,
        note: Callable[[str], None] | None = None,
        inexact: bool = False,
    ) -> None:
        self.config = config
        set_seed(config.train.seed)
        self.accelerator = accelerator or make_accelerator(config.train)
        self.folder = RunFolder(out, self.accelerator)
        problems = self.folder.find_checkpoint(inexact) if resume else []
        self.position = self.folder.position
        self.position.processes = self.position.processes or self.accelerator.num_processes
        self.global_batch = config.train.batch_size * self.position.processes  # images of a step
        self.batch_size = share_of(self.global_batch, self.accelerator.num_processes)
        self.data: Splits
        self.data, self.record, notes = data_of_run(config.data, out if resume else None)
        self.note = note if note is not None and self.accelerator.is_main_process else lambda text: None
        for text in (layout(self.data), *notes, *problems):
            self.note(text)
        check_data(config.train, self.data)
        self.model = self._build()
        self.average = make_average(self.model, config.train.ema)
        if config.train.grad_checkpointing:
            checkpoint_blocks(as_module(self.model))
        # The network to score and save: the average of the weights, if there is one.
        self.scored = self.model if self.average is None else cast(Network, self.average.module)
        self.loss = self._make_loss()
        self.optimizer = make_optimizer(self.model, config.train)
        self.frozen: list[nn.Parameter] = []
        self.steps = 0  # per epoch, known once one has begun
        workers = config.data.workers
        self.workers = default_workers(self.accelerator.num_processes) if workers is None else workers
        self.net: nn.Module = as_module(self.model)
        self._start(resume)
        start_tracker(self.accelerator, config, out)

    def _build(self) -> Network:
        """The network with its starting weights, which a checkpoint may replace."""
        config, classes = self.config, tuple(self.data.train.classes)
        model = build_model(config.model, len(classes), config.data.size, start=self.folder.saved is None)
        if started := start_from_model(model, classes):
            self.note(started)
        set_seed(config.train.seed, device_specific=True)  # the same weights, but different gate noise per process
        model.view, model.classes, model.parents = view_of(config, model), classes, class_parents(self.data.train)
        model.threshold, model.sure = self.position.threshold, self.position.sure
        if config.train.snapmix:
            check_maps(model)
        if config.train.sync_bn:
            synchronise(as_module(model), self.accelerator.device)
        return model

    def _make_loss(self) -> Loss:
        weights = None
        if self.config.train.balance == "weights":
            weights = class_weights(self.data.train.labels, len(self.model.classes)).to(self.accelerator.device)
        return self.model.make_loss(self.config.loss, weights)

    def _start(self, resume: bool) -> None:
        """Create the run folder, or go to the position of its checkpoint."""
        before = read_run(self.folder.path) if resume else self.config
        if not resume:
            self.folder.create(self.config)
        self.enter(phase_of(self.config, self.position.epoch))
        self.folder.load_checkpoint()
        if self.accelerator.is_main_process:
            write_record(self.folder.path, self.record)
        self.folder.cut_log()
        if self.config != before:
            self._keep_changes(before)

    def _keep_changes(self, before: Config) -> None:
        """Record the changed settings of a resumed run, and the effect of a new number of epochs."""
        if self.config.train.epochs != before.train.epochs:
            sentence, line = extension(before.train, self.config.train, self.position.epoch, self.position.step)
            self.note(sentence)
            self.folder.log(line)
        if changed := changed_settings(before.train, self.config.train):
            self.note(f"from here on {', '.join(f'{name} {value:g}' for name, value in changed.items())}")
            self.folder.log({"epoch": self.position.epoch, "step": self.position.step, "changed": changed})
        self.folder.write_config(self.config)
        self.folder.write_position()  # else the next resume would cut the line off again

    def enter(self, phase: Phase) -> None:
        """Freeze and unfreeze what a phase needs, and prepare everything for it."""
        self.phase = phase
        for parameter in self.frozen:
            parameter.requires_grad_(True)
        for model in (self.model, self.scored):
            model.set_stage(phase.stage)
        self.frozen = freeze_backbones(self.model) if phase.frozen else []
        self._prepare()

    def _prepare(self) -> None:
        train, data = self.config.train, self.data
        # Else mixed precision would wrap the network's forward once more.
        self.accelerator.unwrap_model(self.net, keep_fp32_wrapper=False)
        self.accelerator.free_memory()
        options = self.config.data, self.batch_size, train.seed, self.workers, train.balance == "sampler"
        loader, self.sampler = train_loader(data.train, self.model.view, *options, self.accelerator.num_processes)
        self.net, self.updater, self.loader = self.accelerator.prepare(self.model, self.optimizer, loader)
        if self.average is not None:  # once prepared, it is part of the checkpoints
            self.accelerator.unwrap_model(self.average, keep_fp32_wrapper=False)
            self.average = self.accelerator.prepare_model(self.average, evaluation_mode=True)
        self.val_loader = self.eval_loader(data.val) if data.val is not None else None

    def eval_loader(self, data: FineGrained) -> DataLoader[Views]:
        """A prepared loader of a split for evaluation."""
        batch = max(self.config.train.batch_size, 32)
        loader: DataLoader[Views] = self.accelerator.prepare(eval_loader(data, self.model.view, batch, self.workers))
        return loader

    def train_mode(self) -> None:
        """Set training mode, except for frozen backbones, whose batch norm must keep its statistics."""
        self.net.train()
        for backbone in backbones_of(self.model) if self.phase.frozen else ():
            backbone.eval()

    def score(self, loader: DataLoader[Views], before: Callable[[], None] | None = None) -> Evaluation:
        """The answers and scores of the network to be saved.

        Args:
            loader: a prepared loader.
            before: called before each batch; may end the scoring with an error.
        """
        if self.average is None:
            return evaluate_model(self.net, loader, self.accelerator, before=before)
        broadcast(list(self.average.buffers()))  # each process has averaged its own batch statistics
        return evaluate_model(self.average, loader, self.accelerator, before=before)

    def place(self) -> str:
        """Where training is, for a sentence."""
        epoch, step = self.position.epoch, self.position.step
        return f"in epoch {epoch + 1}, step {step}" if step or not epoch else f"after epoch {epoch}"

    def checkpoint(self) -> None:
        """Save all state, if the weights are finite."""
        for model in dict.fromkeys((self.model, self.scored)):
            check_weights(as_module(model), self.place())
        self.folder.checkpoint()

    def save(self, name: str, scores: dict[str, Any]) -> None:
        """Write the network as a model folder of the run, if its weights are finite."""
        check_weights(as_module(self.scored), self.place())
        if self.accelerator.is_main_process:
            splits = {"training": self.data.train, "validation": self.data.val, "test": self.data.test}
            images = {split: len(data) for split, data in splits.items() if data is not None}
            facts = TrainingFacts(self.config, self.data.info, images)
            write_model(self.scored, self.folder.path / name, scores, facts)

    def take_best(self) -> None:
        """Go back to the model that was best on the validation split."""
        self.accelerator.wait_for_everyone()
        best = from_pretrained(self.folder.path / "best")
        as_module(self.scored).load_state_dict(as_module(best).state_dict())
        self.scored.threshold, self.scored.sure = best.threshold, best.sure


def share_of(images: int, processes: int) -> int:
    """The images that each process takes of a step.

    Raises:
        ValueError: they cannot be shared equally.
    """
    if images % processes:
        fit = ", ".join(str(n) for n in range(1, min(images, 128) + 1) if images % n == 0)
        raise ValueError(
            f"{processes} processes cannot share the {images} images of each step of this run equally; use as many "
            f"processes as divide them: {fit}"
        )
    return images // processes


def check_data(config: TrainConfig, data: Splits) -> None:
    """Refuse settings that the data does not allow."""
    if config.patience and data.val is None:
        raise ValueError(
            f"{option('train.patience')} needs a validation split, and the data has none; hold out photos with "
            f"{option('data.val-fraction')}"
        )
