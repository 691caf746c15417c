"""What networks and runs cost, counted by hand."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from samples import TINY
from scapnet.build import build_model
from scapnet.config import ModelConfig
from scapnet.experiments import cost
from scapnet.experiments.cost import cost_of, hours, location_parameters, seconds_per_image, training_images
from scapnet.experiments.recipes import PAPER, recipe_of, with_seed
from scapnet.experiments.rows import Changes, changed
from scapnet.experiments.tables import TABLES
from scapnet.experiments.tables.changes import NO_PARTS, PLAIN
from scapnet.experiments.tables.networks import NTS
from scapnet.modules.ggau import GridGate
from scapnet.network import Network


def network(changes: Changes) -> Network:
    return build_model(changed(TINY, changes).model, 5, 64)


def test_parameters_that_locate() -> None:
    assert sum(p.numel() for p in GridGate(1024, 4, 16).parameters()) == 16_434  # the paper's 0.02M
    full, plain = network({}), network(PLAIN)
    gate = full.location_module()
    assert isinstance(gate, GridGate)
    assert location_parameters(full) == sum(p.numel() for p in gate.parameters())
    assert location_parameters(plain) == 0


def test_parameters_of_the_navigator() -> None:
    nts = network({**NTS, "model.relation.enabled": False})
    width = nts.backbone.dim
    # Three 3 x 3 convolutions of 128 channels, and 6 + 6 + 9 scores of anchors per place.
    expected = width * 128 * 9 + 128 + 2 * (128 * 128 * 9 + 128) + 128 * 21 + 21
    assert location_parameters(nts) == expected
    assert expected + (2048 - width) * 128 * 9 == 2_657_301  # of ResNet-50


def test_the_attention_of_a_transformer_counts() -> None:
    model = build_model(ModelConfig("test_vit", "none", "plain"), 5, 160)
    tokens, dim = 1 + 100, 64
    layers = 4 * dim * dim + 2 * dim * 3 * dim  # query, key, value and output; two of the MLP
    blocks = 6 * (tokens * layers + 2 * tokens * tokens * dim)
    assert cost.macs_of(model, 160) == 100 * 16 * 16 * 3 * dim + blocks + 5 * dim


class Convolution(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8, 5)

    def location_module(self) -> nn.Module:
        return self.last

    def forward(self, image: torch.Tensor, source: None, index: torch.Tensor) -> torch.Tensor:
        assert not self.training
        assert len(image) == len(index)
        return torch.as_tensor(self.last(self.first(image).mean((2, 3))))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(6, 5, 2, batch_first=True)

    def location_module(self) -> None:
        return None

    def forward(self, image: torch.Tensor, source: None, index: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(self.lstm(image.flatten(1)[:, :42].reshape(-1, 7, 6))[0])


@pytest.mark.parametrize(
    ("net", "macs", "location"),
    [
        (Convolution, 16 * 16 * 3 * 8 * 9 + 8 * 5, 8 * 5 + 5),
        # At each of seven steps, four gates of five units see the input and the state; so do the second layer's.
        (Recurrent, 7 * (4 * 5 * (6 + 5) + 4 * 5 * (5 + 5)), 0),
    ],
)
def test_multiply_adds_by_hand(net: Any, macs: int, location: int) -> None:
    model = net()
    found = cost_of(model, 16, batch=2, repeats=1)
    assert found.gmacs == pytest.approx(macs / 1e9)
    assert found.location == location
    assert model.training
    assert not any(module._forward_hooks for module in model.modules())


def clock(monkeypatch: pytest.MonkeyPatch, ticks: Iterator[float]) -> None:
    found = SimpleNamespace(perf_counter=lambda: next(ticks), process_time=lambda: next(ticks))
    monkeypatch.setattr(cost, "time", found)


def test_the_least_time_counts_without_the_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    model: Any = Convolution()
    clock(monkeypatch, iter([0.0, 0.1, 1.0, 1.5, 2.0, 2.3, 3.0, 3.4]))
    assert cost_of(model, 16, batch=2, repeats=3).seconds == pytest.approx(0.3)


def test_seconds_are_per_image(monkeypatch: pytest.MonkeyPatch) -> None:
    clock(monkeypatch, map(float, count()))  # a second between two looks
    assert seconds_per_image(TINY, batch=2) == pytest.approx(0.5)


def test_hours_add_up() -> None:
    base = with_seed(recipe_of("finches", None), 0)
    configs = [row.config(base) for row in TABLES["table3"].rows if row.name]
    assert hours(configs, 0.2) == pytest.approx(2 * hours(configs, 0.1))
    assert hours(configs, 0.1) == pytest.approx(sum(hours([config], 0.1) for config in configs))


def test_hours_of_published_data() -> None:
    cub = with_seed(recipe_of("cub", None), 0)
    plain = changed(cub, PLAIN)
    for epochs in (1, 10):
        assert hours([changed(plain, {"train.epochs": epochs})], 1.0) == pytest.approx(epochs * 5994 / 3600)
    assert hours([changed(cub, NO_PARTS)], 1.0) == hours([plain], 1.0)
    assert hours([cub], 1.0) == pytest.approx(2.5 * hours([plain], 1.0))  # six parts of a quarter


def test_images_of_an_epoch() -> None:
    assert training_images(recipe_of("finches", None)) == 2000
    assert training_images(recipe_of("grocery", None)) == (2640 + 296) * 4 // 5
    assert all(training_images(recipe_of(data, None)) > 5000 for data in PAPER)
    folds = replace(TINY, data=replace(TINY.data, name="cub", folds=3))
    assert training_images(folds) == 5994 * 2 // 3
