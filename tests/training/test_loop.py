"""The loop: exact resume, stages, schedules, the run folder."""

import json
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from samples import TINY, assert_the_same_run, fitted, log_of, own_photos, train_and_kill
from scapnet.config import Config, TrainConfig
from scapnet.experiments.rows import changed
from scapnet.model import SCAPNet
from scapnet.serialization import from_dict, to_dict
from scapnet.terminal.console import ProgressBar
from scapnet.training.loop import begin_epoch, train_epoch
from scapnet.training.run import Run
from scapnet.training.train import resume, train


def test_a_killed_run_goes_on_with_the_same_losses(tmp_path: Path) -> None:
    config = replace(TINY, train=replace(TINY.train, epochs=2, checkpoint_steps=2))
    whole = train(config, tmp_path / "whole")
    train_and_kill(config, tmp_path / "killed", 4)  # in the last epoch; the settings below are killed earlier
    killed = resume(tmp_path / "killed")
    assert log_of(killed) == log_of(whole)
    results = [json.loads((run / "results.json").read_text()) for run in (killed, whole)]
    for result in results:
        del result["train_seconds"]
    assert results[0] == results[1]
    assert (killed / "model" / "model.safetensors").read_bytes() == (whole / "model" / "model.safetensors").read_bytes()


SETTINGS: dict[str, dict[str, Any]] = {
    "frozen": {
        "train.freeze": 2,
        "train.layer_decay": 0.5,
        "train.balance": "sampler",
        "train.optimizer": "adamw",
        "train.accumulate": 2,
    },
    "shared": {
        "train.epochs": 2,
        "train.ema": 0.5,
        "model.parts.shared": True,
        "train.balance": "weights",
        "train.patience": 3,
    },
}


@pytest.mark.parametrize(("name", "stop"), [("frozen", 2), ("shared", 4)])  # in stage 1's last step, and in stage 2
def test_settings_resume_exactly_too(tmp_path: Path, name: str, stop: int) -> None:
    config = changed(own_photos(tmp_path / "data", checkpoint_steps=2), SETTINGS[name])
    whole = fitted(Run(config, tmp_path / "whole"))
    train_and_kill(config, tmp_path / "killed", stop)
    assert_the_same_run(fitted(Run(config, tmp_path / "killed", resume=True)), whole)


def test_training_stops_when_validation_no_longer_improves(tmp_path: Path) -> None:
    # The learning rate is 0, so that no epoch is better than the first; epochs count from stage 2 on.
    run = train(own_photos(tmp_path / "data", epochs=5, patience=2, lr=0.0, clip=0.0), tmp_path / "run")
    result = json.loads((run / "results.json").read_text())
    assert (result["stopped_epoch"], result["epochs"], result["model"]) == (3, 5, "best")
    assert [line["epoch"] for line in log_of(run) if "split" in line] == [0, 1, 2]
    assert json.loads((resume(run) / "results.json").read_text())["stopped_epoch"] == 3


def test_early_stopping_scores_and_saves_the_best_model(tmp_path: Path) -> None:
    run = train(own_photos(tmp_path / "data", epochs=4, patience=9), tmp_path / "run")
    result = json.loads((run / "results.json").read_text())
    scores = {line["epoch"] + 1: line["accuracy"] for line in log_of(run) if "split" in line}
    assert scores[result["best_epoch"]] == max(scores.values()) == result["accuracy"]
    assert result["best_epoch"] < 4  # or the test says nothing
    models = [load_file(run / name / "model.safetensors") for name in ("model", "best")]
    assert all(torch.equal(models[0][name], models[1][name]) for name in models[0])


def test_early_stopping_needs_validation_photos(tmp_path: Path) -> None:
    config = own_photos(tmp_path / "data", val=False, patience=2)
    with pytest.raises(ValueError, match=r"--train.patience needs a validation split.*--data.val-fraction"):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_accumulated_steps_resume_exactly_too(tmp_path: Path) -> None:
    config = replace(TINY, train=replace(TINY.train, epochs=2, accumulate=2, checkpoint_steps=1))
    whole, run = fitted(Run(config, tmp_path / "whole")), Run(config, tmp_path / "killed")
    with ProgressBar("work", quiet=True) as bar:
        bar.start("training", 1)
        train_epoch(run, bar)  # three steps: the last of them is an update of its own
    assert sorted(path.name for path in (tmp_path / "killed" / "checkpoints").iterdir()) == ["00000-0000002"]
    assert_the_same_run(fitted(Run(config, tmp_path / "killed", resume=True)), whole)


def test_stage_one_neither_runs_nor_moves_the_parts_and_stage_two_starts_them_from_the_main_branch(
    tmp_path: Path,
) -> None:
    run = Run(TINY, tmp_path / "run")
    assert isinstance(run.model, SCAPNet)
    assert run.model.part_backbone is not None
    before = {key: value.clone() for key, value in run.model.part_backbone.state_dict().items()}
    with ProgressBar("work", quiet=True) as bar:
        bar.start("training", 1)
        train_epoch(run, bar)
    assert all(torch.equal(before[key], value) for key, value in run.model.part_backbone.state_dict().items())
    assert all({"con", "sub"}.isdisjoint(line) for line in log_of(tmp_path / "run"))
    run.position.epoch, run.position.step = 1, 0
    begin_epoch(run)
    main = run.model.backbone.state_dict()
    assert all(torch.equal(main[key], value) for key, value in run.model.part_backbone.state_dict().items())
    with ProgressBar("work", quiet=True) as bar:
        bar.start("training", 1)
        train_epoch(run, bar)
    assert {"con", "sub"} <= set(log_of(tmp_path / "run")[-1])
    assert not torch.equal(before["net.conv1.0.weight"], run.model.part_backbone.state_dict()["net.conv1.0.weight"])


def test_config_survives_json() -> None:
    config = replace(TINY, data=replace(TINY.data, root=Path("a/b")))
    assert from_dict(Config, json.loads(json.dumps(to_dict(config)))) == config
    with pytest.raises(ValueError, match="no setting colour"):
        from_dict(TrainConfig, {"colour": 1})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"train.stage1_epochs": 3}, "never be trained"),
        ({"train.batch_size": 0}, "batch_size"),
        ({"model.gate.grid": 8}, "grid of 8 does not fit the 4 x 4 map"),
        ({"model.parts.keep": (17, 2, 1)}, "16 windows"),
        ({"model.weights": "none.safetensors"}, "no weight file"),
        ({"model.backbone": "resnet5000"}, "no network named"),
        ({"model.gate.enabled": False}, "enable the gate"),
        ({"data.name": "folder", "data.root": Path("nowhere")}, "no folder"),
        ({"data.resize": 60}, "resize >= size"),
    ],
)
def test_what_cannot_be_a_run_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words) as error:
        train(changed(TINY, changes), tmp_path / "run")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_an_existing_run_is_not_overwritten(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="resume"):
        train(TINY, tmp_path)


def test_divergence_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="diverged"):
        train(replace(TINY, train=replace(TINY.train, lr=1e30, clip=0.0)), tmp_path / "run")


# Loss and main branch's loss of ten steps, printed by: python -m pytest tests/test_train.py -k golden -s
GOLDEN = [
    (1.371, 1.371), (1.6, 1.427), (1.847, 1.488), (1.94, 1.393), (2.137, 1.442),
    (15.562, 1.294), (15.146, 1.311), (16.911, 1.406), (16.915, 1.454), (17.153, 1.502),
]  # fmt: skip


@pytest.mark.skipif(
    tuple(map(int, version("timm").split(".")[:3])) < (1, 0, 31), reason="older timm draws other starting weights"
)
def test_golden_curve(tmp_path: Path) -> None:
    config = changed(TINY, {"train.epochs": 2, "train.batch_size": 8, "data.synthetic.train_length": 40})
    fitted(Run(config, tmp_path / "run"))
    found = [(round(line["loss"], 3), round(line["cls"], 3)) for line in log_of(tmp_path / "run") if "loss" in line]
    print(found)
    assert found == [pytest.approx(pair, rel=0.01) for pair in GOLDEN]
