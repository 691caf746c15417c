"""Loaders: as many processes as fit the cores, kept from epoch to epoch."""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from accelerate.data_loader import BatchSamplerShard
from torch import Tensor

from scapnet.config import DataConfig, ViewConfig
from scapnet.data.loaders import (
    BalancedSampler,
    EpochSampler,
    class_weights,
    cores_here,
    default_workers,
    end_workers,
    eval_loader,
    ignore_signals,
    train_loader,
)
from scapnet.data.sample import Sample
from scapnet.data.synthetic.finches import Finches
from scapnet.data.transforms import TrainViews

VIEW = ViewConfig(32, 36)


@pytest.mark.parametrize(
    ("processes", "cores", "workers"),
    [
        (1, 1, 0),
        (1, 2, 1),
        (1, 4, 3),
        (1, 16, 8),
        (1, 96, 8),
        (2, 1, 0),
        (2, 16, 7),
        (8, 16, 1),
        (16, 16, 0),
        (8, 96, 8),
    ],
)
def test_each_training_process_keeps_a_core(processes: int, cores: int, workers: int) -> None:
    assert default_workers(processes, cores) == workers


def test_cores_are_counted_on_systems_without_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 1 <= cores_here() <= (os.cpu_count() or 1)
    assert default_workers() == default_workers(1, cores_here())
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert cores_here() == os.cpu_count()
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert cores_here() == 1


@pytest.mark.parametrize("workers", [0, 2])
def test_loaders_keep_their_processes(workers: int) -> None:
    data = Finches("train", 4, 8, 36)
    for loader in (
        train_loader(data, VIEW, DataConfig("finches", size=32, resize=36), 4, 0, workers)[0],
        eval_loader(data, VIEW, 4, workers),
    ):
        assert loader.num_workers == workers
        assert loader.persistent_workers == (workers > 0)
        assert loader.prefetch_factor == (2 if workers else None)
        assert [len(batch["target"]) for batch in loader] == [4, 4]
        assert [len(batch["target"]) for batch in loader] == [4, 4]


class Fixed:
    """A data set of one given picture."""

    classes, mark_names = ("a", "b"), ("mark", "unseen")

    def __init__(self, image: Tensor, length: int = 3) -> None:
        self.image, self.labels = image, [0] * length

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Sample:
        return Sample(self.image, 0, "fixed", torch.tensor([[1.0, 1, 3, 3], [torch.nan] * 4]))


def views_of(data: Any, source: int | None = None, seed: int = 0) -> TrainViews:
    view = ViewConfig(64, 72, source, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    return TrainViews(data, view, DataConfig("folder", size=64, resize=72, source_size=source), seed)


@pytest.mark.parametrize("seed", [0, 20240131, 2**32 - 1])
def test_any_seed_that_seeds_the_weights_seeds_the_views(seed: int) -> None:
    views = views_of(Fixed(torch.zeros(3, 72, 72, dtype=torch.uint8)), seed=seed)
    assert views[4]["image"].shape == (3, 64, 64)
    assert sorted(EpochSampler(5, seed)) == [0, 1, 2, 3, 4]


def test_the_number_of_workers_changes_no_pixel() -> None:
    data, view = Finches("train", 4, 6, 72), ViewConfig(64, 72)
    config = DataConfig("finches", size=64, resize=72)
    batches: list[list[dict[str, Tensor]]] = []
    for workers in (0, 2):
        loader, sampler = train_loader(data, view, config, 2, 7, workers)
        sampler.epoch = 1
        batches.append(list(loader))
    assert len(batches[0]) == len(batches[1]) == 3
    for one, two in zip(*batches, strict=True):
        assert one.keys() == two.keys() == {"image", "target", "index", "broken"}  # no marks in training
        assert all(torch.equal(one[key], two[key]) for key in one)
        assert one["target"].tolist() == [data.labels[i] for i in one["index"].tolist()]


def test_the_sampler_shows_every_sample_once_and_continues_where_it_stopped() -> None:
    orders = []
    for epoch in range(3):
        sampler, resumed, other = EpochSampler(50, 3), EpochSampler(50, 3), EpochSampler(50, 4)
        sampler.epoch = resumed.epoch = other.epoch = epoch
        resumed.skip = 17
        order = list(sampler)
        assert sorted(order) == list(range(50 * epoch, 50 * (epoch + 1)))
        assert list(resumed) == order[17:]
        assert len(resumed) == 33
        assert list(other) != order
        orders.append([key % 50 for key in order])
    assert orders[0] != orders[1] != orders[2]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    state = torch.get_rng_state()
    yield
    torch.set_rng_state(state)


def test_the_balanced_sampler_draws_every_class_equally_often() -> None:
    labels = [0] * 900 + [1] * 90 + [2] * 10
    sampler = BalancedSampler(labels, 3)
    first = list(sampler)
    drawn = torch.tensor([labels[key % 1000] for key in first]).bincount()
    assert (drawn - 1000 / 3).abs().max() < 60  # four standard deviations
    assert len(first) == len(set(first)) == 1000  # a sample that is drawn twice is augmented differently
    assert len({key % 1000 for key in first if key % 1000 >= 990}) == 10
    sampler.skip = 300
    assert list(sampler) == first[300:]
    sampler.epoch, sampler.skip = 1, 0
    assert not set(sampler) & set(first)
    assert [key % 1000 for key in sampler] != [key % 1000 for key in first]


@pytest.mark.parametrize("balanced", [False, True])
def test_processes_share_the_batches_of_an_epoch(balanced: bool) -> None:
    data = Finches("train", 4, 16, 36)
    loader, _ = train_loader(data, VIEW, DataConfig("finches", size=32, resize=36), 4, 0, 0, balanced)
    batches = [list(batch) for batch in loader.batch_sampler or ()]
    shares = [list(BatchSamplerShard(loader.batch_sampler, 2, process)) for process in range(2)]
    assert shares == [batches[::2], batches[1::2]]
    keys = [key for batch in batches for key in batch]
    assert len(keys) == len(set(keys)) == 16


def test_class_weights_are_1_on_average_over_the_samples() -> None:
    labels = [0] * 6 + [2] * 3 + [3]
    weights = class_weights(labels, 4)
    assert float(weights[labels].mean()) == pytest.approx(1)
    assert [float(weights[k]) * labels.count(k) for k in (0, 2, 3)] == pytest.approx([10 / 3] * 3)
    assert float(weights[1]) == 0


def stay(ready: Any) -> None:
    ignore_signals(0)
    ready.set()
    signal.pause()


def test_no_worker_is_waited_for_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    context = multiprocessing.get_context("fork")
    ready, before = context.Event(), signal.getsignal(signal.SIGCHLD)
    worker = context.Process(target=stay, args=(ready,), daemon=True)
    worker.start()
    assert ready.wait(30)
    worker.terminate()  # as Python itself does, which a loader process ignores
    monkeypatch.setattr(multiprocessing, "active_children", lambda: [worker])
    try:
        end_workers()
        worker.join(30)
        assert worker.exitcode == -signal.SIGKILL
    finally:
        signal.signal(signal.SIGCHLD, before)
