"""Given the mask and the boxes, no pixel of a closed unit changes the answer from open pixels."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from samples import NO_MODULES, STAGE4, make, model_with
from scapnet.baselines.rra import RRA
from scapnet.config import ModelConfig, PartsConfig, ViewConfig
from scapnet.data.transforms import to_input
from scapnet.engine import FoldedEngine, TorchEngine
from scapnet.masking import answer_from_open_pixels, check_mask_pixels, masked_views
from scapnet.model import SCAPNet, SCAPNetOutput
from scapnet.modules.boxes import unit_edges

# Backbone, sides of view and source, and settings: two CNN masks, grids that do not divide the map, class token,
# registers, a mean of the patches, all parts at once, parts anywhere.
KINDS: dict[str, tuple[str, int, int | None, dict[str, Any]]] = {
    "cnn": ("test_resnet", 64, None, {}),
    "cnn, larger source": ("test_resnet", 64, 96, {"parts__strategy": "random"}),
    "cnn, stage 4": ("test_resnet", 64, 100, STAGE4),
    "cnn, grid of 3": ("test_resnet", 64, None, {"gate__grid": 3, "parts__classifier": "concat"}),
    "class token": ("test_vit", 160, None, {}),
    "mean of patches": ("test_vit2", 160, 200, {"gate__grid": 3}),
    "registers": ("vit_small_patch14_reg4_dinov2", 56, 84, {}),
}


def closed_pixels(mask: Tensor, cells: int, side: int) -> Tensor:
    """(B, side, side): the pixels whose centre is in a cell of a closed unit."""
    edges = unit_edges(cells, mask.shape[-1])
    unit = [sum(edge * side <= (y + 0.5) * cells for edge in edges[1:-1]) for y in range(side)]
    return mask[:, unit][:, :, unit] == 0


class Case:
    """A network, three images with a mask each, the first of which is open, and what was said of them."""

    def __init__(self, backbone: str, side: int, larger: int | None, changes: dict[str, Any]) -> None:
        torch.manual_seed(0)
        cnn = backbone == "test_resnet"
        parts = PartsConfig(size=28 if "patch14" in backbone else 32)
        config = model_with(ModelConfig(backbone, "tiny" if cnn else "none", parts=parts), **changes)
        self.model = SCAPNet.from_config(config, 5, side).eval()
        for parameter in self.model.parameters():
            if parameter.dim() == 1 and not cnn:  # biases and norms that are not those of a fresh network
                torch.nn.init.normal_(parameter, std=0.3)
        self.image, self.index = torch.randn(3, 3, side, side), torch.arange(3)
        self.source = None if larger is None else torch.randn(3, 3, larger, larger)
        with torch.no_grad():
            said = self.model(self.image, self.source, self.index)
        grid = said.gate.mask.shape[-1]
        mask = (torch.rand(3, grid, grid) > 0.5).float()
        mask[0], mask[1:, 0, 0], mask[1:, -1, -1] = 1, 1, 0
        self.said = said._replace(gate=said.gate._replace(mask=mask))
        self.cells = said.gate.features.shape[-1]

    def noisy(self, images: Tensor | None, noise: float) -> Tensor | None:
        """Images with other pixels in the closed units."""
        if images is None:
            return None
        closed = closed_pixels(self.said.gate.mask, self.cells, images.shape[-1])[:, None]
        return torch.where(closed, torch.randn_like(images) * noise, images)

    def strict(self, image: Tensor | None, source: Tensor | None) -> SCAPNetOutput:
        assert image is not None
        with torch.no_grad():
            return answer_from_open_pixels(self.model, image, source, self.index, self.said)


@pytest.fixture(scope="module", params=KINDS)
def case(request: pytest.FixtureRequest) -> Case:
    return Case(*KINDS[request.param])


@pytest.mark.parametrize("noise", [1.0, 100.0, float("nan")])
def test_no_pixel_of_a_closed_unit_changes_the_answer(case: Case, noise: float) -> None:
    image, source = case.noisy(case.image, noise), case.noisy(case.source, noise)
    assert image is not None
    found, expected = case.strict(image, source), case.strict(case.image, case.source)
    for name in ("logits", "part_logits", "probs"):
        assert torch.equal(getattr(found, name), getattr(expected, name))
        assert getattr(found, name).isfinite().all()
    with torch.no_grad():  # the mask of the map alone lets them through, in both branches
        other = case.model(image, source, case.index, held=case.said)
        same = case.model(case.image, case.source, case.index, held=case.said)
    assert torch.equal(other.probs[0], same.probs[0])
    for closed in (1, 2):
        assert not torch.allclose(other.logits[closed], same.logits[closed], rtol=0, atol=1e-4)
        assert not torch.allclose(other.part_logits[closed], same.part_logits[closed], rtol=0, atol=1e-4)


def test_open_pixels_matter(case: Case) -> None:
    found = case.strict(case.image, case.source)
    moved = case.strict(case.image.roll(1, -1), None if case.source is None else case.source.roll(1, -1))
    assert (found.probs - moved.probs).abs().amax(1).min() > 1e-6


def test_where_nothing_is_closed_the_answer_is_the_ordinary_one(case: Case) -> None:
    model = copy.deepcopy(case.model)
    assert model.gate is not None
    with torch.no_grad():
        model.gate.fc2.weight.zero_()
        model.gate.fc2.bias.copy_(torch.tensor([-1.0, 1.0]))
        given = case.image, case.source, case.index
        said = model(*given)
        found = answer_from_open_pixels(model, *given, said)
    assert said.gate.mask.all()
    for name in ("logits", "part_logits", "probs"):
        assert torch.equal(getattr(found, name), getattr(said, name))
    assert found.gate is not None
    assert torch.equal(found.gate.features, said.gate.features)


def test_the_mask_and_the_parts_are_those_of_the_first_pass(case: Case) -> None:
    found = case.strict(case.image, case.source)
    assert found.gate is not None
    assert torch.equal(found.gate.mask, case.said.gate.mask)
    assert found.parts is case.said.parts
    assert not torch.equal(found.logits[1:], case.said.logits[1:])


@torch.no_grad()
def test_a_photo_has_the_same_answer_in_any_batch(case: Case) -> None:
    whole = case.strict(case.image, case.source)
    for i in range(3):
        gate, parts, row = case.said.gate, case.said.parts, slice(i, i + 1)
        gate = gate._replace(features=gate.features[row], mask=gate.mask[row], logits=gate.logits[row])
        parts = parts._replace(boxes=parts.boxes[row], scores=parts.scores[row], scales=parts.scales[row])
        source = None if case.source is None else case.source[row]
        given = case.image[row], source, case.index[row]
        alone = answer_from_open_pixels(case.model, *given, case.said._replace(gate=gate, parts=parts))
        torch.testing.assert_close(alone.probs, whole.probs[row], rtol=1e-4, atol=1e-5)


def test_only_the_main_branch_runs_in_stage_1() -> None:
    case = Case(*KINDS["cnn"])
    case.model.set_stage(1)
    case.said = case.said._replace(parts=None, part_logits=None)
    found, other = case.strict(case.image, None), case.strict(case.noisy(case.image, 1.0), None)
    assert found.part_logits is None
    assert torch.equal(found.probs, other.probs)


@pytest.mark.parametrize("larger", [64, 72, 100, 160])
def test_nothing_of_a_closed_pixel_of_the_source_is_left_in_the_view(larger: int) -> None:
    """The view is made from the source, by a filter that looks over the edge of a unit."""
    mask = torch.tensor([[1.0, 0, 1, 1], [0, 1, 0, 1], [1, 0, 0, 1], [1, 1, 1, 0]])[None]
    view, generator = ViewConfig(64, 72, larger), torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (3, larger, larger), generator=generator, dtype=torch.uint8)
    noise = torch.randint(0, 256, (3, larger, larger), generator=generator, dtype=torch.uint8)
    said = make()(torch.randn(1, 3, 64, 64))
    said = said._replace(gate=said.gate._replace(mask=mask))
    closed = closed_pixels(mask, said.gate.features.shape[-1], larger)
    changed = torch.where(closed, noise, pixels)
    assert not torch.equal(changed, pixels)
    found = []
    for one in (pixels, changed):
        inputs = {key: value[None] for key, value in to_input(one, view).items()}
        found.append(masked_views(inputs["image"], inputs.get("source"), said))
    for before, after in zip(*found, strict=True):
        assert (before is None) == (after is None) or larger == 64
        if before is not None:
            assert after is not None
            assert torch.equal(before, after)
            assert 0.2 < float((before == 0).float().mean()) < 0.6


SOURCES = torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))
VIEWS = SOURCES[..., 16:80, 16:80], SOURCES


@torch.no_grad()
def half_closed(model: SCAPNet) -> SCAPNet:
    """A network whose gate closes half the units of these views: one that was never trained keeps all."""
    assert model.gate is not None
    logits = model(*VIEWS).gate.logits
    model.gate.fc2.bias[1] -= (logits[..., 1] - logits[..., 0]).quantile(0.5)
    return model


@pytest.mark.parametrize("engine", [TorchEngine, FoldedEngine])
def test_an_engine_answers_from_open_pixels(engine: type[TorchEngine]) -> None:
    model = half_closed(make())
    given = *VIEWS, torch.arange(2)
    with torch.no_grad():
        said = model(*given)
        expected = answer_from_open_pixels(model, *given, said)
    assert 0 < float(said.gate.mask.mean()) < 1
    plain = engine(model, **({} if engine is TorchEngine else {"half": False}))
    found = plain.with_options(mask_pixels=True)
    assert found.mask_pixels
    answers, ordinary = found(*given), plain(*given)
    torch.testing.assert_close(answers.probs, expected.probs, rtol=1e-3, atol=1e-4)
    assert (answers.probs - ordinary.probs).abs().max() > 1e-3
    for name in ("mask", "boxes", "scores", "scales"):
        torch.testing.assert_close(getattr(answers, name), getattr(ordinary, name))
    assert answers.features is not None
    with torch.no_grad():
        torch.testing.assert_close(model.classifier(answers.features), answers.logits)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (NO_MODULES, "this model has no gate"),
        ({"gate__mode": "soft"}, "this model's gate is soft"),
        ({"gate__mask": "none"}, "masks nothing in evaluation"),
        ({"gate__mask_in_evaluation": False}, "masks nothing in evaluation"),
    ],
)
def test_a_model_without_closed_units_is_refused(changes: dict[str, Any], words: str) -> None:
    for refused in (check_mask_pixels, lambda model: TorchEngine(model, mask_pixels=True)):
        with pytest.raises(ValueError, match=words) as error:
            refused(make(**changes))
        assert "\n" not in str(error.value)


def test_other_networks_and_settings_are_refused() -> None:
    config = model_with(ModelConfig("test_resnet", "none", "rra", parts=PartsConfig(size=32)), relation__enabled=False)
    with pytest.raises(ValueError, match="for SCAPNet only; this model's network is RRA"):
        check_mask_pixels(RRA.from_config(config, 4, 64))
    check_mask_pixels(make())
    for option, words in (("tta", "tta"), ("some_parts", "choice of parts"), ("set_before", "error_rate")):
        with pytest.raises(ValueError, match=words):
            check_mask_pixels(make(), **{option: True})
