"""A probe is a run like any other; its features are computed once."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from samples import own_photos, painted
from scapnet.checkpoint import from_pretrained
from scapnet.config import DataConfig
from scapnet.evaluate import evaluate
from scapnet.predictor import Predictor
from scapnet.probing.linear import choose_penalty
from scapnet.probing.probe import probe
from scapnet.training.train import resume


@pytest.fixture(autouse=True)
def _few_penalties(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two penalties on two folds to choose from: the choice itself is tested in test_linear.py."""
    monkeypatch.setattr(choose_penalty, "__defaults__", ((0.1, 1e-3), 2))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "scapnet" / "features"


@pytest.fixture
def data(tmp_path: Path) -> DataConfig:
    return own_photos(tmp_path / "data").data


def test_a_probe_is_a_run(tmp_path: Path, data: DataConfig, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = probe(data, "test_resnet", "tiny", tmp_path / "run")
    result = json.loads((run / "results.json").read_text())
    assert result["split"] == "val"
    said = capsys.readouterr().out
    assert f"L2 penalty {result['penalty']:g}" in said
    assert f"{result['neighbours']} nearest neighbours: {result['accuracy_neighbours']:.1%}" in said
    model = from_pretrained(run)
    assert evaluate(run)["accuracy"] == result["accuracy"]
    assert Predictor.from_pretrained(run, device="cpu")(painted(70, 70)).names[0] in "abc"
    # Its backbone is as it was, and its answers are those of the classifier on the cached features.
    start = from_pretrained(probe(data, "test_resnet", "tiny", tmp_path / "again"))
    for name, tensor in model.backbone.state_dict().items():
        assert torch.equal(tensor, start.backbone.state_dict()[name])
    files = sorted(cache.iterdir())
    assert len(files) == 2  # of training and validation photos, not computed again
    answers = load_file(run / "answers.safetensors")
    (features,) = [one for one in map(load_file, files) if len(one["labels"]) == len(answers["target"])]
    logits = model.classifier(features["features"]).detach()
    torch.testing.assert_close(logits.softmax(1), answers["probs"], rtol=0, atol=1e-4)
    resume(run)  # a finished run
    assert json.loads((run / "results.json").read_text())["accuracy"] == result["accuracy"]


def test_another_run_is_compared_photo_by_photo(
    tmp_path: Path, data: DataConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    first = probe(data, "test_resnet", "tiny", tmp_path / "first")
    second = probe(data, "test_resnet", "none", tmp_path / "second", [first])
    (found,) = json.loads((second / "results.json").read_text())["against"]
    scores = [json.loads((run / "results.json").read_text())["accuracy"] for run in (first, second)]
    assert found["accuracy"] == pytest.approx(scores[0])
    assert found["ahead"] == pytest.approx(scores[0] - scores[1])
    assert "first (plain): " in capsys.readouterr().out


def test_runs_on_other_photos_are_not_compared(tmp_path: Path, data: DataConfig) -> None:
    other = probe(data, "test_resnet", "tiny", tmp_path / "other")
    changed = own_photos(tmp_path / "more").data
    (next(changed.root.glob("val/a/*"))).unlink()  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="was scored on other photos"):
        probe(changed, "test_resnet", "tiny", tmp_path / "run", [other])
    (other / "answers.safetensors").unlink()
    with pytest.raises(ValueError, match="has no answers to compare with"):
        probe(data, "test_resnet", "tiny", tmp_path / "third", [other])
    with pytest.raises(ValueError, match="exists; choose another --out"):
        probe(data, "test_resnet", "tiny", other)
