"""The parts of a training step that are timed beside each other.

B batch, M parts, S side of the view.
"""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import torch
from torch import Tensor

from scapnet.bench.floors import backbones
from scapnet.bench.photos import noise_photos
from scapnet.bench.timing import Row
from scapnet.build import build_model
from scapnet.config import Config
from scapnet.data.loaders import train_loader
from scapnet.data.photos import PhotoList
from scapnet.experiments.rows import changed
from scapnet.experiments.tables.changes import PLAIN
from scapnet.network import Network, as_module, device_of
from scapnet.processor import bf16_in_hardware
from scapnet.training.checkpointing import checkpoint_blocks
from scapnet.training.health import gradient_norm
from scapnet.training.optim import clip_gradients, make_optimizer

STEP, PASSES, DATA = "training step", "backbones alone, trained", "data"
LR = 1e-5  # so that many steps on noise change little


def step_of(model: Network, config: Config, images: Tensor, precision: torch.dtype | None = None) -> Callable[[], None]:
    """What `scapnet.training.loop.train_step` does with images (B, 3, S, S): loss, gradients, check, update.

    Args:
        model: in training mode.
        config: whose losses and training settings.
        images: random ones.
        precision: of autocast; None is float32 throughout.
    """
    loss = model.make_loss(config.loss)
    optimizer = make_optimizer(model, config.train)
    for group in optimizer.param_groups:
        group["lr"] = LR
    kind = device_of(model).type
    target = torch.arange(len(images), device=images.device) % len(model.classes)

    def run() -> None:
        with torch.autocast(kind, precision) if precision is not None else nullcontext():
            output = model(images, None, target)
            terms = loss(output, target)
        torch.autograd.backward(terms["loss"])
        if not torch.isfinite(gradient_norm(model.parameters())):
            raise ValueError("the gradient is not finite; time another network")
        if config.train.clip:
            clip_gradients(model, config.train.clip)
        optimizer.step()
        optimizer.zero_grad()

    return run


def passes_of(model: Network, images: Tensor) -> Callable[[], None] | None:
    """The backbones' forward and backward passes alone; None for a network without parts."""
    forward = backbones(model, images)
    if forward is None:
        return None

    def run() -> None:
        torch.autograd.backward([features.sum() * 1e-6 for features in forward()])
        as_module(model).zero_grad()

    return run


def loading(config: Config, model: Network, batch: int, scratch: Path) -> Callable[[], None]:
    """Reading and augmenting a batch of JPEGs, in this process."""
    files = sorted(noise_photos(scratch / "training photos", model.classes, max(2, batch)).glob("*/*.jpg"))
    data = PhotoList(files[:batch], [0] * batch, model.classes)
    loader, sampler = train_loader(data, model.view, config.data, batch, 0, workers=0)

    def run() -> None:
        sampler.epoch += 1
        for _ in loader:
            pass

    return run


def training_rows(model: Network, config: Config, images: Tensor, scratch: Path) -> Iterator[Row]:
    """A whole step, its floor, its data, and the settings that change its cost.

    Args:
        model: it is trained, so it must be no one else's.
        config: of a run.
        images: (B, 3, S, S) on its device.
        scratch: a folder for files.
    """
    as_module(model).train()
    yield Row(STEP, step_of(model, config, images), "forward, losses, backward, check of the gradient, optimizer")
    if (alone := passes_of(model, images)) is not None:
        yield Row(PASSES, alone, "a floor: forward and backward of views and as many crops")
    yield Row(DATA, loading(config, model, len(images), scratch), "photos of 500 px read and augmented, in one process")
    if images.device.type != "cpu" or bf16_in_hardware():  # elsewhere it takes minutes
        yield Row(f"{STEP}, bf16", step_of(model, config, images, torch.bfloat16), "train.precision bf16")
    plain = build_model(changed(config, {**PLAIN, "model.weights": "none"}).model, len(model.classes), model.view.size)
    plain.classes = model.classes
    as_module(plain).to(images.device).train()
    yield Row("training step, plain backbone", step_of(plain, config, images), "the same without gate and parts")
    saving = build_model(model.config, len(model.classes), model.view.size, start=False)
    saving.classes = model.classes
    as_module(saving).to(images.device).train()
    checkpoint_blocks(as_module(saving))
    yield Row(f"{STEP}, grad checkpointing", step_of(saving, config, images), "train.grad-checkpointing")
