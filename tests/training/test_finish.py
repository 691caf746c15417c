"""What a finished run leaves: the weights of both branches in its model's answer."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from samples import own_photos
from scapnet.checkpoint import from_pretrained
from scapnet.config import Config
from scapnet.evaluate import evaluate
from scapnet.model import SCAPNet
from scapnet.training.train import train


def short(root: Path, val: bool = True) -> Config:
    """One epoch of both branches."""
    return own_photos(root, val, epochs=1, stage1_epochs=0, pool=True)


def test_both_branches_are_weighed_by_the_validation_photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[torch.Tensor, ...]] = []

    def weights(*given: torch.Tensor) -> tuple[float, float]:
        seen.append(given)
        return 0.25, 1.5

    monkeypatch.setattr("scapnet.training.finish.pool_weights", weights)
    run = train(short(tmp_path / "data"), tmp_path / "run")
    result, answers = json.loads((run / "results.json").read_text()), load_file(run / "answers.safetensors")
    model = from_pretrained(run)
    assert isinstance(model, SCAPNet)
    assert model.pool == (0.25, 1.5) == tuple(result["pool"])
    (given,) = seen
    assert all(torch.equal(one, answers[name]) for one, name in zip(given, ("target", "main", "parts"), strict=True))
    weighed = (0.25 * answers["main"].log() + 1.5 * answers["parts"].log()).softmax(1)
    torch.testing.assert_close(answers["probs"], weighed, rtol=1e-4, atol=1e-6)
    assert evaluate(run, "val")["accuracy"] == result["accuracy"]


def test_without_validation_photos_or_parts_the_answer_is_the_mean(tmp_path: Path) -> None:
    config = short(tmp_path / "data", val=False)
    parts = replace(config.model.parts, enabled=False)
    relation = replace(config.model.relation, enabled=False)
    bare = replace(config, model=replace(config.model, parts=parts, relation=relation))
    for name, one in (("whole", config), ("bare", bare)):
        run = train(one, tmp_path / name)
        assert "pool" not in json.loads((run / "results.json").read_text())
        assert from_pretrained(run).config.parts.pool is None
