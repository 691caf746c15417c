"""Data loaders: shuffled, augmented batches for training, and centre views in order for evaluation."""

import atexit
import copy
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from scapnet.config import DataConfig, ViewConfig
from scapnet.data.augment import sides
from scapnet.data.sample import FineGrained
from scapnet.data.transforms import EvalViews, TrainViews, Views, seed_of
from scapnet.terminal.hints import option


class EpochSampler(Sampler[int]):
    """Every sample once, in an order set by the seed and the epoch; an interrupted epoch continues where it stopped.

    Yields ``epoch * length + i``, so that `TrainViews` knows the epoch in every worker.
    """

    def __init__(self, length: int, seed: int) -> None:
        self.length, self.seed = length, seed
        self.epoch, self.skip = 0, 0

    def __len__(self) -> int:
        return self.length - self.skip

    def _generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(seed_of(self.seed, self.epoch))

    def __iter__(self) -> Iterator[int]:
        order = torch.randperm(self.length, generator=self._generator())[self.skip :]
        return iter((order + self.epoch * self.length).tolist())


class BalancedSampler(EpochSampler):
    """Draws as many samples per epoch as there are, with replacement and every class equally often on average.

    Yields ``n * length + i`` for the n-th draw since training began, so that a sample drawn twice in an epoch is
    augmented differently each time.

    Args:
        labels: the label of each sample.
        seed: determines the order.
    """

    def __init__(self, labels: Sequence[int], seed: int) -> None:
        super().__init__(len(labels), seed)
        self.weights = class_weights(labels, max(labels) + 1)[torch.tensor(labels)]

    def __iter__(self) -> Iterator[int]:
        drawn = torch.multinomial(self.weights, self.length, replacement=True, generator=self._generator())
        draws = torch.arange(self.length) + self.epoch * self.length
        return iter((drawn + draws * self.length)[self.skip :].tolist())


def class_weights(labels: Sequence[int], classes: int) -> Tensor:
    """(K,) weights in inverse proportion to the sizes of the classes, 1 on average over the samples.

    >>> class_weights([0, 0, 0, 1], 2)
    tensor([0.6667, 2.0000])
    """
    counts = torch.tensor(labels).bincount(minlength=classes).float()
    return (len(labels) / (counts.count_nonzero() * counts)).nan_to_num(posinf=0.0)  # a class may have no sample


def cores_here() -> int:
    """The number of cores that this process may use, or all of the machine's if the system does not say."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_workers(processes: int = 1, cores: int | None = None) -> int:
    """Loader processes for each of ``processes`` training processes on this machine.

    One core is left to each of these: without a spare core, loader processes only slow training down
    (``results/loading.md``). Each keeps two batches ready, so more than 8 would mostly fill the memory.
    """
    return min(8, max(0, (cores or cores_here()) // processes - 1))


def check_open_files(workers: int) -> None:
    """Refuse loader processes if the limit on open files is so low that they would wait for each other for ever.

    The limit is first raised as far as the system allows.

    Raises:
        ValueError: it is still too low.
    """
    if not workers or sys.platform == "win32":
        return
    import resource

    needed = 64 + 64 * workers  # each tensor of a waiting batch has a file
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    wanted = max(needed, 1024)
    raised = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
    if raised < needed:
        raise ValueError(
            f"only {hard} files may be open at once, too few for {workers} loader processes; raise the limit with "
            f"ulimit -n 1024, or use {option('data.workers')} 0"
        )


def ignore_signals(worker: int) -> None:
    """In a loader process: Ctrl-C and SIGTERM reach the whole group, and the process that loads decides what ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL if sys.platform == "win32" else signal.SIG_IGN)


@atexit.register
def end_workers() -> None:
    """End loader processes that are left when Python ends, which would be waited for: they ignore SIGTERM."""
    left = [process for process in multiprocessing.active_children() if process.daemon]
    if left and hasattr(signal, "SIGCHLD"):
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # PyTorch's handler would report their end as an error
    for process in left:
        process.kill()


def _loader(dataset: TrainViews | EvalViews, batch_size: int, workers: int, **options: object) -> DataLoader[Views]:
    check_open_files(workers)
    return DataLoader(
        dataset,
        batch_size,
        num_workers=workers,
        persistent_workers=workers > 0,
        worker_init_fn=ignore_signals,
        pin_memory=torch.cuda.is_available(),
        # Loaders draw a seed for their workers; without their own generator, a resumed run's noise would differ.
        generator=torch.Generator().manual_seed(0),
        **options,  # type: ignore[arg-type]
    )


def train_loader(
    data: FineGrained,
    view: ViewConfig,
    config: DataConfig,
    batch_size: int,
    seed: int,
    workers: int,
    balanced: bool = False,
    processes: int = 1,
) -> tuple[DataLoader[Views], EpochSampler]:
    """Shuffled, augmented batches, and the sampler whose epoch the caller sets. An incomplete last batch is dropped.

    Large photos are decoded at a reduced size, as `predict` does; evaluation reads them in full, since it must know
    where the marks are.

    Args:
        data: the training split.
        view: the network's view.
        config: the augmentation settings.
        batch_size: B, per process.
        seed: determines order and augmentation.
        workers: number of loader processes.
        balanced: draw every class equally often.
        processes: number of processes, each of which takes B images of a step.

    Raises:
        ValueError: several processes, and fewer images than one step takes.
    """
    if processes > 1 and len(data) < batch_size * processes:
        raise ValueError(
            f"the {len(data)} training images are fewer than the {batch_size * processes} of one step ({processes} "
            f"processes with {batch_size} each); use fewer processes, or a smaller {option('train.batch-size')}"
        )
    sampler = BalancedSampler(data.labels, seed) if balanced else EpochSampler(len(data), seed)
    # Batch norm cannot normalise a single image, and a small batch would weigh as much as a full one.
    drop = len(data) >= batch_size
    if hasattr(data, "shorter"):
        data = copy.copy(data)
        data.shorter = sides(view)[1]
    views = TrainViews(data, view, config, seed)
    return _loader(views, batch_size, workers, sampler=sampler, drop_last=drop), sampler


def eval_loader(data: FineGrained, view: ViewConfig, batch_size: int, workers: int) -> DataLoader[Views]:
    """Batches of centre views in order."""
    return _loader(EvalViews(data, view), batch_size, workers)
