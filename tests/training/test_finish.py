"""What a finished run leaves: the weights of both branches in its model's answer."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from samples import own_photos, photos
from scapnet.checkpoint import from_pretrained
from scapnet.config import Config
from scapnet.evaluate import evaluate
from scapnet.model import SCAPNet
from scapnet.training.train import train


def short(root: Path, val: bool = True) -> Config:
    """One epoch of both branches."""
    return own_photos(root, val, epochs=1, stage1_epochs=0, pool=True)


def test_both_branches_are_weighed_by_the_validation_photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, trusted = list[tuple[torch.Tensor, ...]](), list[tuple[torch.Tensor, ...]]()

    def weights(*given: torch.Tensor) -> tuple[float, float]:
        seen.append(given)
        return 0.25, 1.5

    def threshold(*given: torch.Tensor) -> float:
        trusted.append(given)
        return 0.125

    monkeypatch.setattr("scapnet.training.finish.pool_weights", weights)
    monkeypatch.setattr("scapnet.training.finish.rejection_threshold", threshold)
    config = short(tmp_path / "data")
    photos(tmp_path / "data" / "test", "abca", set())
    run = train(config, tmp_path / "run")
    result, answers = json.loads((run / "results.json").read_text()), load_file(run / "answers.safetensors")
    model = from_pretrained(run)
    assert isinstance(model, SCAPNet)
    assert model.pool == (0.25, 1.5) == tuple(result["pool"])
    ((target, main, parts),) = seen
    assert (len(target), result["split"], result["images"]) == (6, "test", 4)
    # The model is then calibrated by its weighed answers to the validation photos, and scored on the test photos.
    assert model.threshold == 0.125
    assert torch.equal(trusted[-1][0], target)
    for probs, one, other in ((trusted[-1][1], main, parts), (answers["probs"], answers["main"], answers["parts"])):
        weighed = (0.25 * one.log() + 1.5 * other.log()).softmax(1)
        torch.testing.assert_close(probs, weighed, rtol=1e-4, atol=1e-6)
    assert evaluate(run, "test")["accuracy"] == result["accuracy"]


@pytest.mark.parametrize("test", [False, True])
def test_weights_from_the_photos_that_are_scored_are_named(
    test: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = short(tmp_path / "data")
    if test:
        photos(tmp_path / "data" / "test", "abca", set())
    train(config, tmp_path / "run")
    said = " ".join(capsys.readouterr().out.split())
    assert "weighing both branches by 6 val images" in said
    assert ("which are scored, too" in said) is not test


def test_without_validation_photos_or_parts_the_answer_is_the_mean(tmp_path: Path) -> None:
    config = short(tmp_path / "data", val=False)
    parts = replace(config.model.parts, enabled=False)
    relation = replace(config.model.relation, enabled=False)
    bare = replace(config, model=replace(config.model, parts=parts, relation=relation))
    for name, one in (("whole", config), ("bare", bare)):
        run = train(one, tmp_path / name)
        assert "pool" not in json.loads((run / "results.json").read_text())
        assert from_pretrained(run).config.parts.pool is None


def test_settings_without_effect_are_named_before_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = short(tmp_path / "data")
    plain = replace(config, model=replace(config.model, network="plain"), loss=replace(config.loss, cam=0.25))
    train(plain, tmp_path / "run")
    assert "--loss.cam" in " ".join(capsys.readouterr().out.split()).partition("epoch 1")[0]
