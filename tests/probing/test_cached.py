"""Features are computed again when anything that they depend on has changed."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from samples import VIEW, make, photos
from scapnet.config import DataConfig
from scapnet.probing.cached import features_of, key_of
from scapnet.terminal.console import ProgressBar


def test_what_the_key_depends_on(tmp_path: Path) -> None:
    model, data, settings = make(network="plain"), photos(tmp_path, "abab", set()), DataConfig()
    model.view = VIEW
    key = key_of(model, data, "train", settings)
    assert key_of(model, data, "train", settings) == key
    others = {
        key_of(model, data, "val", settings),
        key_of(model, data, "train", replace(settings, fold_by="neighbours")),
    }
    model.view = replace(VIEW, fit="pad")
    others.add(key_of(model, data, "train", settings))
    model.view = VIEW
    others.add(key_of(model, photos(tmp_path / "more", "abba", set()), "train", settings))
    path = data.paths[0]
    path.write_bytes(path.read_bytes() + b" ")
    others.add(key_of(model, data, "train", settings))
    with torch.no_grad():
        next(iter(model.backbone.parameters())).add_(1)
    others.add(key_of(model, data, "train", settings))
    assert len(others | {key}) == 7


def test_unreadable_photos_have_no_features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    model, data = make(network="plain"), photos(tmp_path, "abab", {1})
    model.view = VIEW
    with ProgressBar("images", quiet=True) as bar:
        first = features_of(model, data, "train", DataConfig(), 0, bar)
        monkeypatch.setattr(nn.Module, "__call__", None)  # nothing is computed a second time
        again = features_of(model, data, "train", DataConfig(), 0, bar)
    assert (first.samples.tolist(), first.labels.tolist()) == ([0, 2, 3], [0, 0, 1])
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
