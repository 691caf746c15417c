"""Scores of a split: exact whatever the batches are, with the marks and the box of each picture."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from safetensors import safe_open
from torch.utils.data import DataLoader

from samples import TINY, Command, class_folders, cub, make, noise
from scapnet.checkpoint import from_pretrained
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
from scapnet.data.sample import NO_MARKS, Sample
from scapnet.data.synthetic.finches import Finches
from scapnet.data.transforms import EvalViews
from scapnet.evaluate import Evaluation, evaluate, evaluate_model, score_run
from scapnet.jsonfile import read_json, write_json
from scapnet.masking import answer_from_open_pixels
from scapnet.metrics.batch import averaged
from scapnet.metrics.coverage import calibrate, calibrated_scores
from scapnet.metrics.gate import intraclass_correlation
from scapnet.metrics.per_class import rejection_threshold
from scapnet.metrics.skipping import parts_cost, sure_threshold
from scapnet.metrics.unknowns import auroc, false_positive_rate, familiarity, max_softmax
from scapnet.model import SCAPNet
from scapnet.predict import predict_photo
from scapnet.summary import write_tables
from scapnet.training.manifest import write_manifest
from scapnet.training.train import resume, train


@pytest.mark.parametrize("strategy", ["score", "random"])
def test_the_size_of_a_batch_changes_no_score(strategy: str) -> None:
    model, accelerator = make(parts__strategy=strategy), Accelerator(cpu=True)
    data = Finches("test", 4, 7, 96)
    found = [
        evaluate_model(model, accelerator.prepare(eval_loader(data, model.view, size, 0)), accelerator)
        for size in (1, 3, 7)
    ]
    backwards = DataLoader(EvalViews(data, model.view), 3, sampler=range(6, -1, -1))
    found.append(
        evaluate_model(model, accelerator.prepare(backwards), accelerator)
    )  # rows are in the order of the data
    for other in found[1:]:
        assert torch.equal(other.target, found[0].target)
        torch.testing.assert_close(other.probs, found[0].probs, rtol=0, atol=1e-5)
        assert other.scores == pytest.approx(found[0].scores, abs=1e-6)
    assert found[0].target.tolist() == list(data.labels)
    assert found[0].scores["images"] == 7
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
        evaluate_model(model, accelerator.prepare(eval_loader(Boxed(7), ViewConfig(64, 72), size, 0)), accelerator)
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


def test_a_run_reports_places_in_its_result_and_its_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = Config(
        "test",
        DataConfig(
            "finches",
            size=64,
            resize=72,
            workers=0,
            synthetic=SyntheticConfig(num_classes=4, train_length=4, test_length=8),
        ),
        ModelConfig("test_resnet", "none", parts=PartsConfig(size=32)),
        train=TrainConfig(epochs=1, batch_size=4, clip=5.0),
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


@pytest.fixture(scope="module")
def drawn_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained run on finches, whose evaluations only add files."""
    config = replace(
        TINY,
        train=replace(TINY.train, epochs=1, stage1_epochs=0),
        model=replace(TINY.model, gate=replace(TINY.model.gate, open=0.0)),
    )
    return train(config, tmp_path_factory.mktemp("drawn_run") / "run")


def test_eval_gives_the_score_that_training_gave(drawn_run: Path, command: Command) -> None:
    run = drawn_run
    trained = json.loads((run / "results.json").read_text())
    out, _ = command("eval", run)
    again = json.loads((run / "eval-test.json").read_text())
    scores = {key for key in trained if key.startswith(("accuracy", "kept", "hit", "random", "images"))}
    assert {"accuracy", "accuracy_parts", "hit_scale1", "random_scale3"} <= scores
    assert {key: again[key] for key in scores} == pytest.approx({key: trained[key] for key in scores})
    assert f"{trained['accuracy']:.1%}" in out
    command("eval", run, "--split", "train")
    assert json.loads((run / "eval-train.json").read_text())["images"] == 12


def evaluation(target: list[int], answers: list[int], samples: list[int]) -> Evaluation:
    probs = torch.eye(3)[torch.tensor(answers)] * 0.4 + 0.2
    return Evaluation({}, torch.tensor(target), probs, torch.tensor(samples), {}, torch.zeros(0, 2), torch.zeros(0, 2))


def rows_of(file: Path) -> list[list[str]]:
    with file.open(newline="", encoding="utf-8") as lines:
        return list(csv.reader(lines))


def test_tables_have_a_row_for_each_class_and_each_photo(tmp_path: Path) -> None:
    found = evaluation([0, 0, 1], [0, 2, 1], [0, 1, 3])  # the third photo could not be read
    classes = ("crow", "jay, blue", "owl")
    names = ["a.jpg", "b.jpg", "bad.jpg", "d.jpg"]
    write_tables(tmp_path, "eval-test", found.target, found.probs, found.samples, classes, names)
    assert rows_of(tmp_path / "eval-test-classes.csv") == [
        ["class", "images", "accuracy", "precision", "mistaken_for", "mistaken"],
        ["crow", "2", "0.5000", "1.0000", "owl", "1"],
        ["jay, blue", "1", "1.0000", "1.0000", "", "0"],
        ["owl", "0", "", "0.0000", "", "0"],
    ]
    assert rows_of(tmp_path / "eval-test-photos.csv") == [
        ["file", "true", "predicted", "probability"],
        ["a.jpg", "crow", "crow", "0.6000"],
        ["b.jpg", "crow", "owl", "0.6000"],
        ["d.jpg", "jay, blue", "jay, blue", "0.6000"],
    ]
    found.save(tmp_path / "answers.safetensors", classes)
    with safe_open(tmp_path / "answers.safetensors", "pt") as file:
        assert json.loads(file.metadata()["classes"]) == list(classes)
        assert file.get_tensor("target").tolist() == [0, 0, 1]


@pytest.fixture(scope="module")
def folder_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained run on class folders with two photos of each class held out."""
    place = tmp_path_factory.mktemp("folder_run")
    root = class_folders(place / "data", {"a": 6, "b": 6})
    config = replace(
        TINY,
        data=replace(TINY.data, name="folder", root=root, val_fraction=0.34),
        train=replace(TINY.train, epochs=1, stage1_epochs=0, batch_size=4),
    )
    return train(config, place / "run")


def test_training_and_eval_leave_the_same_tables(folder_run: Path) -> None:
    files = [folder_run / f"eval-val-{name}.csv" for name in ("classes", "photos")]
    trained = [rows_of(file) for file in files]
    held = json.loads((folder_run / "split.json").read_text())["val"]
    assert [row[0] for row in trained[1][1:]] == held
    for file in files:
        file.unlink()
    said, results = list[str](), read_json(folder_run / "results.json")
    write_json(folder_run / "eval-val.json", results | {"unknown_auroc": 0.5, "unknown_weights": "others"})
    score = score_run(folder_run, say=said.append)
    assert not [key for key in score.result if key.startswith("unknown")]
    assert "dropped the figures on unknown photos" in said[-1]
    assert [rows_of(file) for file in files] == trained
    assert json.loads((folder_run / "eval-val.json").read_text()) == score.result
    assert score.result["mean_per_class"] == results["mean_per_class"]
    assert score.result["accuracy"] == results["accuracy"]
    assert evaluate(folder_run) == score.result


def test_a_trained_model_knows_the_threshold_of_its_validation_split(folder_run: Path) -> None:
    found = score_run(folder_run, "val").found
    assert from_pretrained(folder_run).threshold == rejection_threshold(found.target, found.probs)
    assert "threshold" in json.loads((folder_run / "best" / "config.json").read_text())


def test_a_trained_model_is_calibrated_on_its_validation_split(tmp_path: Path, folder_run: Path) -> None:
    run = shutil.copytree(folder_run, tmp_path / "run")
    score, trained = score_run(run, "val"), from_pretrained(folder_run).calibration
    found = score.found
    assert trained == calibrate(found.held, True)
    assert trained.images == len(found.target)
    expected = calibrated_scores(found.held, None, (), 0.1)  # half by half
    assert {key: score.result[key] for key in expected} == pytest.approx(expected)
    assert json.loads((run / "results.json").read_text())["set_coverage"] == pytest.approx(expected["set_coverage"])
    other = score_run(run, "train", error_rate=0.4)
    assert trained.images != len(other.found.target)
    expected = calibrated_scores(other.found.held, trained, (), 0.4)
    assert {key: other.result[key] for key in expected} == pytest.approx(expected)


def test_eval_calibrates_a_model_of_an_earlier_version(tmp_path: Path, folder_run: Path) -> None:
    run = shutil.copytree(folder_run, tmp_path / "run")
    file = run / "model" / "config.json"
    about = read_json(file)
    trained = from_pretrained(run).calibration
    write_json(file, {key: value for key, value in about.items() if key != "calibration"})
    (run / "model" / "prototypes.safetensors").unlink()
    assert from_pretrained(run).calibration is None
    assert "set_coverage" not in score_run(run, "train").result
    score_run(run, "val", tta=True)
    assert from_pretrained(run).calibration is None  # whose answers are others
    score_run(run, "val")
    assert from_pretrained(run).calibration == trained
    assert read_json(file) == about
    first, again = (from_pretrained(one).prototypes for one in (folder_run, run))
    assert first is not None
    assert again is not None
    assert all(torch.equal(*pair) for pair in zip(first, again, strict=True))


def test_photos_of_other_things_are_told_apart_as_the_metrics_say(tmp_path: Path, folder_run: Path) -> None:
    other = class_folders(tmp_path / "other", {"x": 2, "y": 3})
    (other / "x" / "0.bmp").write_bytes(b"BM")
    said: list[str] = []
    score = score_run(folder_run, unknown=other, say=said.append)
    model = from_pretrained(folder_run)
    files = sorted(other.rglob("*.bmp"))[1:]
    photos = [predict_photo(model, file, top=2) for file in files]
    softmax = torch.tensor([photo.probabilities[0] for photo in photos])
    assert score.result["unknown_images"] == 4
    known = max_softmax(score.found.probs)
    assert score.result["unknown_auroc_softmax"] == pytest.approx(auroc(known, softmax))
    assert score.result["unknown_fpr95_softmax"] == pytest.approx(false_positive_rate(known, softmax))
    assert model.prototypes is not None
    away = [photo.features for photo in (predict_photo(model, file, features=True) for file in files)]
    _, nearest = familiarity(torch.stack([one for one in away if one is not None]), model.prototypes)
    assert score.result["unknown_auroc_nearest"] == pytest.approx(auroc(score.found.shown[:, 1], nearest))
    assert 0 <= score.result["unknown_fpr95_nearest"] <= 1
    assert 0 <= score.result["unknown_auroc"] <= 1
    assert 0 <= score.result["unknown_found"] <= 1
    assert any("x/0.bmp" in line for line in said)
    with pytest.raises(ValueError, match="there is no folder"):
        score_run(folder_run, unknown=tmp_path / "none")
    unknown = {key: value for key, value in score.result.items() if key.startswith("unknown_")}
    again = score_run(folder_run, say=said.append)
    assert again.result.items() >= unknown.items()
    assert read_json(folder_run / "eval-val.json") == again.result
    assert "kept the figures on unknown photos" in said[-1]


def test_a_run_that_is_finished_again_sets_its_threshold_again(tmp_path: Path, folder_run: Path) -> None:
    run = shutil.copytree(folder_run, tmp_path / "run")
    (file,) = run.glob("checkpoints/*/position.json")
    write_json(file, read_json(file) | {"threshold": 0.123})  # not what this model gives
    write_manifest(file.parent)
    resume(run)
    assert from_pretrained(run).threshold == from_pretrained(folder_run).threshold


def test_other_photos_are_scored_beside_the_runs_own(tmp_path: Path, folder_run: Path) -> None:
    before = {path.name for path in folder_run.iterdir()}
    field = class_folders(tmp_path / "field", {"b": 3})
    for i, path in enumerate(field.rglob("*.bmp")):
        noise(path, i + 99)
    said: list[str] = []
    score = score_run(folder_run, root=field, say=said.append)
    assert said == [f"{field}: 3 photos of 1 of the model's 2 classes, none of a"]
    assert (score.result["root"], score.result["split"], score.result["images"]) == (str(field), "all", 3)
    assert score.found.target.tolist() == [1, 1, 1]
    assert {path.name for path in folder_run.iterdir()} - before == {
        *("eval-of-field.json", "eval-of-field-classes.csv", "eval-of-field-photos.csv")
    }
    assert [row[0] for row in rows_of(folder_run / "eval-of-field-photos.csv")[1:]] == ["b/0.bmp", "b/1.bmp", "b/2.bmp"]
    copy = tmp_path / "copy"
    shutil.copytree(folder_run.parent / "data", copy)
    assert score_run(folder_run, "train", root=copy).result["images"] == 8


def test_a_run_on_all_photos_holds_none_out(tmp_path: Path) -> None:
    root = class_folders(tmp_path / "data", {"a": 3, "b": 3})
    config = replace(
        TINY,
        data=replace(TINY.data, name="folder", root=root, val_fraction=0.0),
        train=replace(TINY.train, epochs=1, stage1_epochs=0, batch_size=4),
    )
    run = train(config, tmp_path / "run")
    assert json.loads((run / "results.json").read_text())["train_images"] == 6
    assert from_pretrained(run).threshold is None
    assert not list(run.glob("eval*"))
    with pytest.raises(ValueError, match=r"has no best model, .* leave out --best"):
        score_run(run, best=True)


class Mirrored:
    """The pictures of a data set, mirrored."""

    def __init__(self, data: Finches) -> None:
        self.data, self.classes, self.labels = data, data.classes, data.labels

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Sample:
        return self.data[index]._replace(image=self.data[index].image.flip(-1), marks=NO_MARKS)


@pytest.mark.parametrize(
    "changes", [{}, {"parts__classifier": "concat"}, {"parts__enabled": False, "relation__enabled": False}]
)
def test_tta_scores_the_mean_with_the_mirrored_pictures(changes: dict[str, Any]) -> None:
    model, accelerator, data = make(**changes), Accelerator(cpu=True), Finches("test", 4, 7, 72)
    model.view = ViewConfig(64, 72)  # without a larger source, the view of the mirrored picture is the mirrored view

    def run(data: Any, tta: bool) -> Evaluation:
        return evaluate_model(model, accelerator.prepare(eval_loader(data, model.view, 4, 0)), accelerator, tta)

    plain, mirrored, both, both_too = (run(seen, tta) for tta in (False, True) for seen in (data, Mirrored(data)))
    torch.testing.assert_close(both.probs, (plain.probs + mirrored.probs) / 2, rtol=0, atol=1e-6)
    torch.testing.assert_close(both_too.probs, both.probs, rtol=0, atol=1e-6)
    assert (plain.probs - mirrored.probs).abs().max() > 1e-3
    assert both.scores["accuracy"] == pytest.approx(float((both.probs.argmax(1) == both.target).float().mean()))
    for key in ("kept", "covered", "random_covered", "hit_scale1"):
        assert both.scores.get(key) == plain.scores.get(key)
    assert both.scores.keys() == plain.scores.keys()


def test_averaged_logits_give_the_scores_of_the_branches() -> None:
    model = make()
    views = torch.randn(2, 5, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        one, other = (model(view, index=torch.arange(5)) for view in views)
    both = averaged(one, other)
    torch.testing.assert_close(both.logits, (one.logits + other.logits) / 2)
    torch.testing.assert_close(both.part_logits.mean(1), (one.part_logits.mean(1) + other.part_logits.mean(1)) / 2)
    assert both.parts is one.parts
    assert both.gate is one.gate


def test_eval_with_tta_has_a_file_of_its_own(drawn_run: Path, command: Command) -> None:
    run = drawn_run
    command("eval", run)
    command("eval", run, "--tta")
    plain, found = (json.loads((run / f"eval-{name}test.json").read_text()) for name in ("", "tta-"))
    assert found["tta"] is True
    assert "tta" not in plain
    assert found["images"] == plain["images"]
    assert (run / "eval-tta-test-photos.csv").is_file()


@pytest.mark.parametrize("size", [1, 4])
def test_only_unsure_photos_are_looked_at_again(size: int) -> None:
    model, accelerator = make(), Accelerator(cpu=True)
    data = Finches("test", 4, 6, 96)
    loader = accelerator.prepare(eval_loader(data, model.view, size, 0))
    whole = evaluate_model(model, loader, accelerator)
    assert whole.main is not None
    sure = float(whole.main.amax(1).sort().values[2])
    some = evaluate_model(model, loader, accelerator, sure=sure)
    looked = whole.main.amax(1) < sure
    assert some.scores["looked"] == pytest.approx(1 / 3)
    torch.testing.assert_close(some.probs, torch.where(looked[:, None], whole.probs, whole.main), rtol=0, atol=1e-5)
    assert some.scores["accuracy_main"] == whole.scores["accuracy_main"]
    assert "accuracy_parts" not in some.scores
    assert evaluate_model(model, loader, accelerator, tta=True, sure=sure).scores["images"] == 6


def test_answers_from_open_pixels_are_scored_beside_the_ordinary_ones() -> None:
    model, accelerator, data = make(), Accelerator(cpu=True), Finches("test", 4, 7, 96)
    views = [EvalViews(data, model.view)[i] for i in range(7)]
    image, source = (torch.stack([one[key] for one in views]) for key in ("image", "source"))
    assert model.gate is not None
    with torch.no_grad():
        logits = model(image, source).gate.logits
        model.gate.fc2.bias[1] -= (logits[..., 1] - logits[..., 0]).quantile(0.5)  # half of the units are closed
        said = model(image, source, torch.arange(7))
        strict = answer_from_open_pixels(model, image, source, torch.arange(7), said)
    assert strict.part_logits is not None
    found = []
    for size in (1, 3, 7):
        loader = accelerator.prepare(eval_loader(data, model.view, size, 0))
        plain, both = (evaluate_model(model, loader, accelerator, mask_pixels=on) for on in (False, True))
        assert plain.scores == {key: value for key, value in both.scores.items() if "masked" not in key}
        assert torch.equal(plain.probs, both.probs)
        found.append({key: value for key, value in both.scores.items() if "masked" in key})
    target = torch.tensor([one["target"] for one in views])
    expected = {
        "accuracy": strict.probs.argmax(1) == target,
        "accuracy_main": strict.logits.argmax(1) == target,
        "accuracy_parts": strict.part_logits.mean(1).argmax(1) == target,
        "same": strict.probs.argmax(1) == said.probs.argmax(1),
    }
    for scores in found:
        assert scores == pytest.approx({f"masked_pixels_{key}": float(v.float().mean()) for key, v in expected.items()})


def test_eval_tells_the_accuracy_from_open_pixels(drawn_run: Path, command: Command) -> None:
    plain = evaluate(drawn_run, "test")
    out, _ = command("eval", drawn_run, "--mask-pixels")
    found = read_json(drawn_run / "eval-test.json")
    assert {key: value for key, value in found.items() if "masked" not in key} == plain
    assert f"{found['masked_pixels_accuracy']:.1%} (the same answer for {found['masked_pixels_same']:.1%})" in out
    others: list[dict[str, Any]] = [{"tta": True}, {"parts_for": "none"}, {"engine": "folded"}]
    for options in others:
        with pytest.raises(ValueError, match="masked"):
            evaluate(drawn_run, "test", mask_pixels=True, **options)


def test_a_trained_model_knows_when_to_skip_parts(tmp_path: Path, folder_run: Path) -> None:
    run = shutil.copytree(folder_run, tmp_path / "run")
    found = score_run(run, "val").found
    assert found.main is not None
    model = from_pretrained(run)
    share = parts_cost(model).affordable()
    assert model.sure == sure_threshold(found.target, found.main, found.probs, share=share)
    with safe_open(run / "answers.safetensors", "pt") as file:
        assert torch.equal(file.get_tensor("main"), found.main)
    result = evaluate(run, "val", parts_for=0.5)
    assert result == read_json(run / "eval-parts-0.5-val.json")
    assert 0 < result["cost"] <= 1
    never = evaluate(run, "val", parts_for="none")
    assert never["accuracy"] == never["accuracy_main"] == found.scores["accuracy_main"]
    assert never["looked"] == 0


def test_an_engine_is_scored_on_its_answers(drawn_run: Path) -> None:
    run = drawn_run
    plain, found = evaluate(run, "test"), score_run(run, "test", engine="folded")
    assert found.result["engine"] == "folded"
    assert (run / "eval-folded-test.json").is_file()
    assert plain["accuracy_main"] == pytest.approx(found.result["accuracy_main"], abs=0.2)  # bf16, where there is
    assert found.result["images"] == plain["images"]
    assert found.found.probs.shape == (12, 4)
    with pytest.raises(ValueError, match="scored with all parts"):
        score_run(run, "test", engine="folded", parts_for="none")
    with pytest.raises(ValueError, match="no engine 'abacus'"):
        score_run(run, "test", engine="abacus")
