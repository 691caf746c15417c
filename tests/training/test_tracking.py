"""Numbers for TensorBoard and Weights & Biases."""

from pathlib import Path

import pytest

from samples import log_of, own_photos
from scapnet.training.train import train


def test_tensorboard_gets_the_numbers_of_the_log(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run = train(own_photos(tmp_path / "data", tracker="tensorboard"), tmp_path / "run")
    (folder,) = {file.parent for file in run.rglob("events.out.tfevents*") if file.parent.parent == run}
    events = accumulator.EventAccumulator(str(folder))
    events.Reload()
    logged = [line["loss"] for line in log_of(run) if "loss" in line]
    assert [event.value for event in events.Scalars("loss")] == pytest.approx(logged, rel=1e-6)
    assert len(events.Scalars("val_accuracy")) == 3


def test_a_missing_tracker_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scapnet.training.tracking.find_spec", lambda name: None)
    with pytest.raises(ValueError, match="the tracker wandb needs the package wandb"):
        train(own_photos(tmp_path / "data", tracker="wandb"), tmp_path / "run")
    assert not (tmp_path / "run").exists()
