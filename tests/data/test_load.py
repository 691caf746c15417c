"""Loaders: as many processes as fit the cores, kept from epoch to epoch."""

import os

import pytest

from scapnet.config import DataConfig, ViewConfig
from scapnet.data.load import cores_here, default_workers, eval_loader, train_loader
from scapnet.data.synthetic.finches import Finches

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


def test_cores_are_known_where_a_system_does_not_tell_which(monkeypatch: pytest.MonkeyPatch) -> None:
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
