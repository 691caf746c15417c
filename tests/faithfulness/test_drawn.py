"""The protocols on drawn birds, with networks whose answers are known."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from samples import NO_MODULES, make
from scapnet.config import ViewConfig
from scapnet.data.synthetic.cache import CachedFinches
from scapnet.data.synthetic.finches import Finches
from scapnet.faithfulness.drawn import Scene, drawn_birds, measure_drawn
from scapnet.model import SCAPNet, SCAPNetOutput


class Beak(nn.Module):
    """A network that only asks whether the beak's pixels are there: class 1 where they are as they were."""

    view = ViewConfig(96, 96, 96)

    def __init__(self, whole: Tensor, region: Tensor) -> None:
        super().__init__()
        self.whole, self.region = whole, region
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, image: Tensor, source: Tensor | None = None, index: Tensor | None = None) -> SCAPNetOutput:
        same = ((image - self.whole).abs() * self.region).amax((1, 2, 3)) < 0.1
        logits = torch.stack((torch.zeros(len(image)), torch.where(same, 5.0, -5.0)), 1)
        return SCAPNetOutput(logits, None, logits.softmax(1), None, None)


def test_a_scene_is_asked_without_each_thing_and_finds_its_pixels() -> None:
    birds = Finches("test", 8, 4, 96, hide=0)
    model = make()
    scene = Scene(model, birds, 1)
    regions = scene.regions()
    sample = birds[1]
    for name, (x0, y0, x1, y1) in zip(birds.mark_names, sample.marks.tolist(), strict=True):
        if math.isnan(x0) or name not in regions:
            continue
        scale = model.view.resize / 96  # the picture's sides are resized, then the middle is the view
        at = [(v * scale - (model.view.resize - model.view.size) / 2) for v in (x0, y0, x1, y1)]
        rows, columns = regions[name].nonzero().T
        assert at[0] - 4 <= columns.min() <= columns.max() <= at[2] + 4
        assert at[1] - 4 <= rows.min() <= rows.max() <= at[3] + 4
    assert scene.answer().scores == scene.answer(*[]).scores
    assert scene.without(["beak", "background 0"]).near == scene.parameters.near[1:]


def test_a_network_that_sees_the_beak_alone() -> None:
    birds = Finches("test", 2, 2, 96, hide=0)
    full = Scene(make(**NO_MODULES), birds, 0)
    real: Any = make(**NO_MODULES)
    real.view = Beak.view
    scene = Scene(real, birds, 0)
    region = scene.regions()["beak"]
    network: Any = Beak(scene.answer().image, region)
    asked = Scene(network, birds, 0)
    assert "beak" in asked.parts
    assert asked.answer().predicted == 1
    assert asked.answer("beak").predicted == 0
    others = [name for name in asked.parts if name != "beak"]
    clear = [name for name in others if not (scene.regions().get(name, torch.zeros(1)) & region).any()]
    assert clear
    assert all(asked.answer(name).predicted == 1 for name in clear)
    assert full.parts == asked.parts


@pytest.mark.parametrize("changes", [{}, NO_MODULES])
def test_the_figures_are_shares(changes: dict[str, Any]) -> None:
    found = measure_drawn(make(**changes), Finches("test", 4, 3, 64), 2)
    assert found["images"] == 2
    for name, row in found["explanations"].items():
        assert all(math.isnan(v) or 0 <= v <= 1 for k, v in row.items() if not k.endswith("_images")), name
    assert found["background_matters"] == pytest.approx(
        1 - next(iter(found["explanations"].values()))["background_independence"]
    )


def test_drawn_birds_are_found_under_their_cache(tmp_path: Any) -> None:
    birds = Finches("test", 4, 2, 64)
    assert drawn_birds(birds) is birds
    assert drawn_birds(CachedFinches(birds, tmp_path)) is birds
    assert drawn_birds([1, 2]) is None
    with pytest.raises(ValueError, match="need drawn birds"):
        measure_drawn(make(), [1, 2], 1)


def test_the_protocols_take_any_network() -> None:
    model: SCAPNet = make(parts__classifier="concat")
    assert "parts" not in measure_drawn(model, Finches("test", 4, 1, 96), 1)["explanations"]
