"""Removing pixels from photos, with networks that look at one place only."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from samples import NO_MODULES, make
from scapnet.config import ViewConfig
from scapnet.data.sample import Sample
from scapnet.data.synthetic.finches import Finches
from scapnet.faithfulness.photos import SHARES, Eraser, measure_photos, regions, some_views
from scapnet.model import SCAPNetOutput


class Boxed:
    """Finches with an object's box."""

    classes = ("a", "b", "c", "d")

    def __init__(self, box: tuple[float, ...]) -> None:
        self.inner, self.box = Finches("test", 4, 6, 96), box
        self.labels, self.mark_names = self.inner.labels, self.inner.mark_names

    def __len__(self) -> int:
        return len(self.inner)

    def __getitem__(self, index: int) -> Sample:
        return self.inner[index]._replace(box=torch.tensor(self.box, dtype=torch.float32))


class Corner(nn.Module):
    """A network whose class 1 is as probable as its upper left corner is like the first picture's."""

    view = ViewConfig(64, 72, 96)

    def __init__(self, image: Tensor, source: Tensor) -> None:
        super().__init__()
        self.image, self.source, self.unused = image, source, nn.Parameter(torch.zeros(1))

    def forward(self, image: Tensor, source: Tensor, index: Tensor) -> SCAPNetOutput:
        change = (image - self.image)[..., :16, :16].abs().amax((1, 2, 3))
        change = change + (source - self.source)[..., :24, :24].abs().amax((1, 2, 3))
        logits = torch.stack((torch.zeros(len(image)), torch.where(change < 1e-5, 3.0, -3.0)), 1)
        return SCAPNetOutput(logits, None, logits.softmax(1), None, None)


def test_what_is_erased_is_asked_about_in_view_and_source() -> None:
    (batch,) = some_views(make(), Boxed((0, 0, 96, 96)), 1)
    network: Any = Corner(batch["image"], batch["source"])
    eraser = Eraser(network, batch)
    here, there = torch.zeros(2, 64, 64, dtype=torch.bool)
    here[:8, :8] = True
    there[24:] = True
    high, low = (1 / (1 + math.exp(-x)) for x in (3, -3))
    assert eraser.probs([here, there, torch.zeros_like(here)], 1) == pytest.approx([low, high, high])


def test_photos_are_spread_over_a_split() -> None:
    indices = [int(batch["index"]) for batch in some_views(make(), Boxed((0, 0, 96, 96)), 3)]
    assert indices == [0, 2, 5]


def test_a_box_that_fills_the_view_is_left_out() -> None:
    (batch,) = some_views(make(), Boxed((0, 0, 96, 96)), 1)
    assert set(regions(batch, 64)) == {"marks"}
    (batch,) = some_views(make(), Boxed((20, 20, 60, 60)), 1)
    assert float(regions(batch, 64)["box"].float().mean()) == pytest.approx((40 * 72 / 96 / 64) ** 2, abs=0.02)


def test_the_figures_of_a_network() -> None:
    found = measure_photos(make(), Boxed((20, 20, 60, 60)), 1)
    assert found["images"] == 1
    for row in found["explanations"].values():
        assert row["difference"] == pytest.approx(row["insertion"] - row["deletion"])
        assert all(0 <= value <= 1 for key, value in row.items() if key != "difference")
        assert {"points_in_box", "energy_in_marks"} <= set(row)
    assert set(found["parts"]) == {"strongest_first", "weakest_first"}
    assert 0 < found["area"]["marks"] < found["area"]["box"] < 1
    assert len(SHARES) == 3
    plain = measure_photos(make(**NO_MODULES), Boxed((20, 20, 60, 60)), 1)
    assert plain["parts"] == {}
