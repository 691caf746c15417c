"""The cost of networks and runs: parameters of the location module, multiply-adds, seconds, and expected hours."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from scapnet.backbones.cnn import evaluation_mode
from scapnet.build import build_model
from scapnet.config import Config
from scapnet.experiments.environment import hardware
from scapnet.experiments.recipes import for_machine, sizes_of
from scapnet.experiments.rows import changed
from scapnet.experiments.tables.changes import PLAIN
from scapnet.metrics.skipping import multiply_adds
from scapnet.network import Network, as_module, device_of
from scapnet.training.schedule import work_of


class Cost(NamedTuple):
    """The cost of a network in evaluation."""

    location: int  # parameters of the module that locates the parts
    gmacs: float  # billions of multiply-adds per image, of convolutions, matrix products and LSTMs
    seconds: float  # of a forward pass of a batch


def location_parameters(model: Network) -> int:
    """Parameters of the module that locates parts; 0 without one."""
    module = model.location_module()
    return sum(p.numel() for p in module.parameters()) if module is not None else 0


def cost_of(model: Network, size: int, batch: int = 16, repeats: int = 3) -> Cost:
    """Count and time a network on random images of ``size`` pixels, on its device.

    The time is the minimum over the repeats, after a warm-up.
    """
    device = device_of(model)
    training = model.training
    model.eval()
    images = torch.randn(batch, 3, size, size, device=device)
    # On a CPU what this process used, so that others on the machine matter less.
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    times: list[float] = []
    with torch.no_grad():
        for _ in range(repeats + 1):
            started = clock()
            model(images, None, torch.arange(batch, device=device))
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            times.append(clock() - started)
    model.train(training)
    return Cost(location_parameters(model), macs_of(model, size) / 1e9, min(times[1:]))


@torch.no_grad()
def macs_of(model: Network, size: int) -> float:
    """Multiply-adds for an image of ``size`` pixels, of convolutions, matrix products and LSTMs."""
    device = device_of(model)
    image, index = torch.zeros(1, 3, size, size, device=device), torch.zeros(1, dtype=torch.long, device=device)
    with evaluation_mode(as_module(model)), multiply_adds() as counter, _lstm_macs(as_module(model)) as lstms:
        model(image, None, index)
    return float(counter.get_total_flops()) / 2 + sum(lstms)  # a multiply-add is counted as two operations


def measured_on() -> str:
    """The name of this machine on pages with costs."""
    threads = torch.get_num_threads()
    return f"{hardware()} with {threads} thread{'s' * (threads > 1)}"


@contextmanager
def _lstm_macs(model: nn.Module) -> Iterator[list[int]]:
    """Collect the multiply-adds of each call of an LSTM, which PyTorch's counter leaves out."""
    macs: list[int] = []

    def count(lstm: nn.Module, given: tuple[Tensor, ...], _: object) -> None:
        weights = sum(p.numel() for p in lstm.parameters() if p.ndim > 1)
        macs.append(weights * given[0].shape[:-1].numel())  # each weight once per time step

    hooks = [module.register_forward_hook(count) for module in model.modules() if isinstance(module, nn.LSTM)]
    try:
        yield macs
    finally:
        for hook in hooks:
            hook.remove()


def seconds_per_image(config: Config, batch: int = 4) -> float:
    """Seconds per image of the plain backbone's training step, measured on this machine with random pixels."""
    plain = changed(config, {**PLAIN, "model.weights": "none"})
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = build_model(plain.model, 10, plain.data.size).to(device).train()
    loss = model.make_loss(plain.loss)
    images = torch.randn(batch, 3, plain.data.size, plain.data.size, device=device)
    target = torch.zeros(batch, dtype=torch.long, device=device)
    precision = for_machine(plain).train.precision
    half = torch.float16 if precision == "fp16" else torch.bfloat16
    times: list[float] = []
    for _ in range(4):
        started = time.perf_counter()
        with torch.autocast(device.type, half, enabled=precision != "no"):
            output = model(images)
        torch.autograd.backward(loss(output, target)["loss"])
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - started)
    return min(times) / batch


def training_images(config: Config) -> int:
    """Number of images in an epoch, from the published sizes of the data set."""
    if config.data.name == "finches":
        return config.data.synthetic.train_length
    counts = sizes_of(config)
    if config.data.folds:
        return ((counts.train or 0) + (counts.val or 0)) * (config.data.folds - 1) // config.data.folds
    return counts.train or 0


def hours(configs: Sequence[Config], seconds: float) -> float:
    """Estimated hours of runs one after another, from the pixels that they process; loading is not included.

    Args:
        configs: the configs of the runs.
        seconds: from `seconds_per_image`.
    """
    work = sum(
        training_images(config) * sum(work_of(config, epoch) for epoch in range(config.train.epochs))
        for config in configs
    )
    return work * seconds / 3600
