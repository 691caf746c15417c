"""Scores of a split: exact whatever the batches are, with the marks and the box of each picture."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader

from samples import TINY, Command, cub, make
from scapnet.config import (
    Config,
    DataConfig,
    GateConfig,
    ModelConfig,
    PartsConfig,
    SyntheticConfig,
    TrainConfig,
    ViewConfig,
)
from scapnet.data.loaders import eval_loader
from scapnet.data.sample import Sample
from scapnet.data.synthetic.finches import Finches
from scapnet.data.transforms import EvalViews
from scapnet.evaluate import evaluate
from scapnet.metrics.gate import intraclass_correlation
from scapnet.model import SCAPNet
from scapnet.train import train


@pytest.mark.parametrize("strategy", ["score", "random"])
def test_the_size_of_a_batch_changes_no_score(strategy: str) -> None:
    model, accelerator = make(parts__strategy=strategy), Accelerator(cpu=True)
    data = Finches("test", 4, 11, 96)
    found = [
        evaluate(model, accelerator.prepare(eval_loader(data, model.view, size, 0)), accelerator) for size in (1, 4, 11)
    ]
    backwards = DataLoader(EvalViews(data, model.view), 4, sampler=range(10, -1, -1))
    found.append(evaluate(model, accelerator.prepare(backwards), accelerator))  # rows are in the order of the data
    for other in found[1:]:
        assert torch.equal(other.target, found[0].target)
        torch.testing.assert_close(other.probs, found[0].probs, rtol=0, atol=1e-5)
        assert other.scores == pytest.approx(found[0].scores, abs=1e-6)
    assert found[0].target.tolist() == list(data.labels)
    assert found[0].scores["images"] == 11
    assert found[0].scores["accuracy"] == pytest.approx(
        float((found[0].probs.argmax(1) == found[0].target).float().mean())
    )
    assert 0 < found[0].scores["random_scale1"] < found[0].scores["random_scale3"] < 1


class Boxed:
    """Finches, all but the first with a box."""

    classes = ("a", "b", "c", "d")

    def __init__(self, length: int) -> None:
        self.inner = Finches("test", 4, length, 72, hide=0)
        self.labels, self.mark_names = self.inner.labels, self.inner.mark_names

    def __len__(self) -> int:
        return len(self.inner)

    def __getitem__(self, index: int) -> Sample:
        sample = self.inner[index]
        return sample._replace(box=torch.tensor([4.0 + index, 4, 68, 68])) if index else sample


def test_a_box_and_marks_reach_the_view() -> None:
    views = EvalViews(Boxed(3), ViewConfig(64, 72))
    assert views[0]["box"].isnan().all()
    torch.testing.assert_close(views[1]["box"], torch.tensor([1.0, 0, 64, 64]) / 64)
    assert views.mark_names == Finches("test", 4, 3, 72).mark_names
    torch.testing.assert_close(views[1]["marks"], (Boxed(3)[1].marks - 4) / 64, equal_nan=True)
    assert EvalViews(Finches("test", 4, 3, 72), ViewConfig(64, 72))[0]["box"].isnan().all()


def test_an_evaluation_reports_places_whatever_its_batches() -> None:
    torch.manual_seed(0)
    # A hard gate that was never trained keeps everything, or the same unit everywhere.
    model = SCAPNet.from_config(
        ModelConfig("test_resnet", "none", parts=PartsConfig(size=32), gate=GateConfig(mode="soft")), 4, 64
    )
    accelerator = Accelerator(cpu=True)
    found = [
        evaluate(model, accelerator.prepare(eval_loader(Boxed(7), ViewConfig(64, 72), size, 0)), accelerator)
        for size in (2, 7)
    ]
    for key in ("covered", "random_covered", "gate_precision", "random_gate_recall"):
        assert 0 <= found[0].scores[key] <= 1
    views = EvalViews(Boxed(7), ViewConfig(64, 72))
    with torch.no_grad():
        masks = torch.cat([model(views[i]["image"][None], None, torch.tensor([i])).gate.mask for i in range(7)])
    assert float(intraclass_correlation(masks)) > 0.1
    assert found[0].scores["gate_by_place"] == pytest.approx(float(intraclass_correlation(masks)), abs=1e-6)
    assert found[0].scores == pytest.approx(found[1].scores, abs=1e-6)
    assert found[0].marks.keys() == found[1].marks.keys() <= set(Boxed(7).mark_names)
    for name, row in found[0].marks.items():
        assert row == pytest.approx(found[1].marks[name], abs=1e-6)
        assert 0 < row["random_scale1"] < 1  # of scale 3, every window holds the middle
    seen = torch.stack([Boxed(7)[i].marks for i in range(7)]).isfinite().all(-1)
    assert sum(row["marks"] for row in found[0].marks.values()) == int(seen.sum())  # none of them lies in the margin


def test_a_run_tells_places_in_its_result_and_its_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = Config(
        "test",
        DataConfig(
            "finches",
            size=64,
            resize=72,
            workers=0,
            synthetic=SyntheticConfig(num_classes=4, train_length=16, test_length=8),
        ),
        ModelConfig("test_resnet", "none", parts=PartsConfig(size=32)),
        train=TrainConfig(epochs=1, batch_size=8, clip=5.0),
    )
    result = json.loads((train(config, tmp_path / "run") / "results.json").read_text())
    assert {"covered", "random_covered"} <= result.keys()
    assert not {"gate_precision"} & result.keys()  # finches have no box
    assert {"marks", "covered", "random", "covered_scale1", "random_scale3"} <= next(
        iter(result["marks"].values())
    ).keys()
    printed = capsys.readouterr().out
    assert all(name in printed for name in result["marks"])
    gate_only = replace(
        config,
        model=replace(
            config.model,
            parts=replace(config.model.parts, enabled=False),
            relation=replace(config.model.relation, enabled=False),
        ),
    )
    assert "marks" not in json.loads((train(gate_only, tmp_path / "gate") / "results.json").read_text())


def test_a_run_on_cub_is_scored_by_its_points_and_boxes(tmp_path: Path) -> None:
    config = replace(
        TINY,
        data=replace(TINY.data, name="cub", root=cub(tmp_path / "cub")),
        train=replace(TINY.train, epochs=2, batch_size=2),
    )
    result = json.loads((train(config, tmp_path / "run") / "results.json").read_text())
    assert {"gate_precision", "gate_recall", "random_gate_precision", "covered", "random_covered"} <= set(result)
    assert set(result["marks"]) == {"back", "left eye"}
    log = (tmp_path / "run" / "log.jsonl").read_text()
    assert "covered" not in log  # annotation is for evaluation only


def test_eval_gives_the_score_that_training_gave(tmp_path: Path, command: Command) -> None:
    config = replace(
        TINY,
        train=replace(TINY.train, epochs=1, stage1_epochs=0),
        model=replace(TINY.model, gate=replace(TINY.model.gate, open=0.0)),
    )
    run = train(config, tmp_path / "run")
    trained = json.loads((run / "results.json").read_text())
    out, _ = command("eval", run)
    again = json.loads((run / "eval-test.json").read_text())
    scores = {key for key in trained if key.startswith(("accuracy", "kept", "hit", "random", "images"))}
    assert {"accuracy", "accuracy_parts", "hit_scale1", "random_scale3"} <= scores
    assert {key: again[key] for key in scores} == pytest.approx({key: trained[key] for key in scores})
    assert f"{trained['accuracy']:.1%}" in out
    command("eval", run, "--split", "train")
    assert json.loads((run / "eval-train.json").read_text())["images"] == 40
