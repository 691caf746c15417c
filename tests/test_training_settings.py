"""Settings of the training loop: freezing, early stopping, trackers."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from samples import TINY, photos
from scapnet.backbones.cnn import Backbone
from scapnet.config import Config, DataConfig
from scapnet.console import ProgressBar
from scapnet.run import Run
from scapnet.train import begin_epoch, resume, train, train_epoch, validate


def config_with(root: Path, val: bool = True, **changes: Any) -> Config:
    photos(root / "train", "abc" * 8, set())
    if val:
        photos(root / "val", "abc" * 2, set())
    data = DataConfig("folder", root, size=64, resize=72, workers=0, val_fraction=0.0)
    return replace(TINY, data=data, train=replace(TINY.train, epochs=4, **changes))


def log_of(run: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "images_per_second"} for line in lines]


def backbones(run: Run) -> list[dict[str, Tensor]]:
    found = [module for module in run.model.modules() if isinstance(module, Backbone)]
    return [{key: value.clone() for key, value in module.state_dict().items()} for module in found]


def moved(before: list[dict[str, Tensor]], after: list[dict[str, Tensor]]) -> list[bool]:
    pairs = zip(before, after, strict=True)
    return [any(not torch.equal(one[key], other[key]) for key in one) for one, other in pairs]


def test_frozen_backbones_do_not_move_and_the_classifier_does(tmp_path: Path) -> None:
    run = Run(config_with(tmp_path / "data", freeze=2), tmp_path / "run")
    states, classifier = [backbones(run)], run.model.classifier.state_dict()["weight"].clone()
    with ProgressBar("work", quiet=True) as bar:
        bar.start("training", 1)
        for epoch in range(4):
            run.position.epoch = epoch
            begin_epoch(run)
            train_epoch(run, bar)
            run.position.step = 0
            states.append(backbones(run))
    # Stage 1 has one epoch; at the start of stage 2 the sub-network gets the main branch's weights.
    assert moved(states[0], states[1]) == [False, False]
    assert moved(states[1], states[2])[0] is False
    assert moved(states[2], states[3]) == [True, True]
    assert not torch.equal(classifier, run.model.classifier.state_dict()["weight"])


def test_a_run_that_unfreezes_resumes_exactly(tmp_path: Path) -> None:
    config = config_with(tmp_path / "data", freeze=2)
    whole = train(config, tmp_path / "whole")
    run = Run(config, tmp_path / "broken")
    with ProgressBar("work", quiet=True) as bar:
        bar.start("training", 1)
        begin_epoch(run)
        train_epoch(run, bar)
        run.position.epoch, run.position.step = 1, 0
        validate(run, bar)
        run.folder.checkpoint()
    resume(tmp_path / "broken")
    logs = [
        [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
        for folder in (whole, tmp_path / "broken")
    ]
    for log in logs:
        for line in log:
            line.pop("images_per_second", None)
    assert logs[0] == logs[1]


def test_training_stops_when_validation_no_longer_improves(tmp_path: Path) -> None:
    config = config_with(tmp_path / "data", patience=1, lr=0.0)
    run = train(config, tmp_path / "run")
    result = json.loads((run / "results.json").read_text())
    # The rate is 0, so the second epoch of stage 2 is no better than the first.
    assert result["stopped_epoch"] < 4
    assert result["best_epoch"] < result["stopped_epoch"]
    assert json.loads((resume(run) / "results.json").read_text())["stopped_epoch"] == result["stopped_epoch"]


def test_early_stopping_needs_validation_photos(tmp_path: Path) -> None:
    config = config_with(tmp_path / "data", val=False, patience=2)
    with pytest.raises(ValueError, match=r"--train.patience needs a validation split.*--data.val-fraction"):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_tensorboard_gets_the_numbers_of_the_log(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run = train(config_with(tmp_path / "data", tracker="tensorboard"), tmp_path / "run")
    (folder,) = {file.parent for file in run.rglob("events.out.tfevents*") if file.parent.parent == run}
    events = accumulator.EventAccumulator(str(folder))
    events.Reload()
    logged = [line["loss"] for line in log_of(run) if "loss" in line]
    assert [event.value for event in events.Scalars("loss")] == pytest.approx(logged, rel=1e-6)
    assert len(events.Scalars("val_accuracy")) == 4


def test_a_missing_tracker_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scapnet.tracking.find_spec", lambda name: None)
    with pytest.raises(ValueError, match="the tracker wandb needs the package wandb"):
        train(config_with(tmp_path / "data", tracker="wandb"), tmp_path / "run")
    assert not (tmp_path / "run").exists()
