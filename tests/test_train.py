"""The loop: exact resume, stages, schedules, the run folder."""

import json
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch

from samples import TINY
from scapnet.config import (
    Config,
    LossConfig,
    TrainConfig,
)
from scapnet.console import ProgressBar
from scapnet.experiments.rows import changed
from scapnet.model import SCAPNet
from scapnet.run import Run
from scapnet.schedule import activation_weight, learning_rate, stage_of
from scapnet.serialization import from_dict, to_dict
from scapnet.train import begin_epoch, fit, resume, train, train_epoch


def log_of(run: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "images_per_second"} for line in lines]


class Killed(Exception):
    pass


@pytest.mark.parametrize("stop", [3, 5, 12])
def test_a_killed_run_goes_on_with_the_same_losses(tmp_path: Path, stop: int) -> None:
    config = replace(TINY, train=replace(TINY.train, checkpoint_steps=2))
    train(config, tmp_path / "whole")
    run = Run(config, tmp_path / "killed")
    count = 0

    def fail(*_: object) -> None:
        nonlocal count
        count += 1
        if count > stop:
            raise Killed

    run.optimizer.register_step_pre_hook(fail)
    with ProgressBar("work", quiet=True) as bar, pytest.raises(Killed):
        fit(run, bar)
    torch.manual_seed(99)  # whatever the new process starts from must not matter
    resume(tmp_path / "killed")
    assert log_of(tmp_path / "killed") == log_of(tmp_path / "whole")
    results = [json.loads((tmp_path / name / "results.json").read_text()) for name in ("killed", "whole")]
    assert results[0]["accuracy"] == results[1]["accuracy"]


def test_accumulated_steps_resume_exactly_too(tmp_path: Path) -> None:
    config = replace(TINY, train=replace(TINY.train, epochs=2, accumulate=2, checkpoint_steps=1))
    train(config, tmp_path / "whole")
    run = Run(config, tmp_path / "killed")
    with ProgressBar("work", quiet=True) as bar:
        bar.start("training", 1)
        train_epoch(run, bar)  # five steps: the last of them is an update of its own
    assert sorted(path.name for path in (tmp_path / "killed" / "checkpoints").iterdir()) == ["00000-0000004"]
    resume(tmp_path / "killed")
    assert log_of(tmp_path / "killed") == log_of(tmp_path / "whole")


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


def test_learning_rate_and_activation_weight_are_functions_of_the_epoch() -> None:
    step = TrainConfig(lr=0.01, schedule="step")
    assert [round(learning_rate(step, e), 6) for e in (0, 9.99, 10, 20)] == [0.01, 0.01, 0.003, 0.0009]
    cosine = TrainConfig(epochs=11, lr=1.0, schedule="cosine", warmup_epochs=1)
    assert learning_rate(cosine, 0.5) == pytest.approx(0.5)
    assert learning_rate(cosine, 6) == pytest.approx(0.5)
    assert learning_rate(cosine, 11) == pytest.approx(0.0)
    ramp = LossConfig(act=2.0, act_ramp=(2.0, 4.0))
    assert [activation_weight(ramp, e) for e in (0, 2, 3, 4, 9)] == [0.0, 0.0, 1.0, 2.0, 2.0]
    assert activation_weight(LossConfig(), 0) == 1.0
    assert [stage_of(TINY, epoch) for epoch in (0, 1, 2)] == [1, 2, 2]


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


def test_divergence_is_told(tmp_path: Path) -> None:
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
    train(replace(TINY, train=replace(TINY.train, epochs=2)), tmp_path / "run")
    found = [(round(line["loss"], 3), round(line["cls"], 3)) for line in log_of(tmp_path / "run") if "loss" in line]
    print(found)
    assert found == [pytest.approx(pair, rel=0.01) for pair in GOLDEN]
