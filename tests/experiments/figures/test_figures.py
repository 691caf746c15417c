"""The paper's figures tell what the networks did: shapes, maps, choices and points, each against a known answer."""

import json
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest
import torch
from PIL import Image, ImageColor, ImageDraw
from torch import Tensor, nn

from samples import NAMES as CLASSES
from samples import make
from scapnet.backbones.cnn import Backbone
from scapnet.config import ViewConfig
from scapnet.data.loaders import eval_loader
from scapnet.data.sample import Sample
from scapnet.data.synthetic.finches import Finches
from scapnet.data.transforms import centre_view, to_input
from scapnet.experiments.figures import charts
from scapnet.experiments.figures.architecture import architecture, shape_text, tensor_shapes
from scapnet.experiments.figures.cam import activation, heat, palette
from scapnet.experiments.figures.charts import Point, curves, histogram_chart, kept_against_accuracy, score_histogram
from scapnet.experiments.figures.parts import AGREED, DROPPED, REPLACEMENT, cam_beside_gate, part_colours
from scapnet.experiments.figures.parts import parts_with_and_without as fig10
from scapnet.experiments.figures.tiles import FOOT
from scapnet.model import SCAPNet, masked_tail
from scapnet.modules.boxes import window_boxes
from scapnet.modules.scaps import PartSelection, PartsOutput
from scapnet.visualize import MARGIN, TILE

PLAIN: dict[str, Any] = {"gate__enabled": False, "parts__enabled": False, "relation__enabled": False}
STAGE4: dict[str, Any] = {"gate__mask": "stage4", "gate__grid": 2, "parts__keep": (3, 1)}
RED, GREEN, BLUE = (ImageColor.getrgb(colour) for colour in (DROPPED, REPLACEMENT, AGREED))


def finches(count: int) -> list[Sample]:
    data = Finches("test", 4, count, 96)
    return [data[i] for i in range(count)]


# --- Fig. 2 ---


@pytest.mark.parametrize(
    "changes",
    [
        {},
        PLAIN,
        {"parts__enabled": False, "relation__enabled": False},
        STAGE4 | {"parts__shared": True},
        {"gate__mask": "none", "gate__grid": 3},
    ],
)
def test_the_architecture_shows_the_shapes_that_the_tensors_have(
    changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, image = make(**changes), torch.zeros(1, 3, 64, 64)
    with torch.no_grad():
        output = model(image)
        expected: dict[str, Sequence[Tensor]] = {"image": [image], "logits": [output.logits], "probs": [output.probs]}
        expected["features"] = [model.backbone(image)]
        expected["last map"] = [model.backbone.net.forward_features(image)]  # type: ignore[operator]
        if model.gate is not None:
            grid, third = model.gate.grid, model.backbone.head(image)
            expected |= {"stage-3 map": [third], "gate logits": [output.gate.logits]}
            expected["pooled units"] = [torch.zeros(1, grid, grid, third.shape[1])]
            if model.mask != "none":
                expected["mask"] = [output.gate.mask]
            if model.mask == "stage3":
                expected["masked map"] = [output.gate.features]
        if output.parts is not None:
            assert model.selection is not None
            sides = [(1, grid - u, grid - u) for u in range(len(model.selection.keep))]
            m = model.selection.num_parts
            expected |= {"scores": output.parts.maps, "boxes": [output.parts.boxes]}
            expected |= {"windows": [torch.zeros(*side, third.shape[1]) for side in sides]}
            expected |= {"source": [torch.zeros(1, 3, 96, 96)], "crops": [torch.zeros(m, 3, 32, 32)]}
            expected |= {"part features": [torch.zeros(1, m, model.backbone.dim)], "part logits": [output.part_logits]}
        if model.relation is not None:
            expected["related features"] = expected["part features"]
    shapes = tensor_shapes(model, 64)
    assert shapes == {name: [tuple(tensor.shape) for tensor in tensors] for name, tensors in expected.items()}

    written: list[str] = []
    text = ImageDraw.ImageDraw.text

    def spy(self: ImageDraw.ImageDraw, xy: Any, said: str, *rest: Any, **options: Any) -> None:
        written.append(said)
        text(self, xy, said, *rest, **options)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", spy)
    architecture(model, 64)
    shown = sorted(line for line in written if line.startswith(("B x", "6B x", "4B x")))
    assert shown == sorted(shape_text(shape) for all_shapes in shapes.values() for shape in all_shapes)
    assert set(shapes) <= set(written)


# --- nothing is left behind ---


@pytest.mark.parametrize(
    "draw",
    [
        lambda model: architecture(model, 64),
        lambda model: cam_beside_gate(model, None, finches(1)),
        lambda model: fig10(model, model, finches(1)),
        lambda model: score_histogram(model, finches(2), draws=2),
    ],
)
def test_a_figure_leaves_the_network_and_the_random_numbers_as_they_were(draw: Callable[[SCAPNet], Any]) -> None:
    model = make().train()
    model.backbone.eval()
    modes = [module.training for module in model.modules()]
    names = set(vars(model.backbone.net))
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, again = draw(model), draw(model)
    assert first == again
    assert torch.equal(torch.get_rng_state(), before)
    assert [module.training for module in model.modules()] == modes
    assert set(vars(model.backbone.net)) == names
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())


# --- Fig. 4 ---


def test_the_threshold_is_a_step_and_noise_keeps_a_unit_with_its_probability(monkeypatch: pytest.MonkeyPatch) -> None:
    logits = torch.randn(300, 4, 4, 2, generator=torch.Generator().manual_seed(0)).double() * 2
    logits[0] = torch.tensor([1.0, -1.0])  # all closed
    logits[1] = 0.0  # P(keep) is a half: not above it
    monkeypatch.setattr(charts, "_gate_logits", lambda *_: logits)
    found = score_histogram(make(), [], draws=50)
    assert json.loads(json.dumps(found)) == found
    assert found["threshold"] == [0.0] * 5 + [1.0] * 5
    assert found["images"] == 300
    assert found["all_closed"] == 2
    keep = (logits[..., 1] - logits[..., 0]).sigmoid()
    for (low, high), units, score, share in zip(
        pairwise(found["edges"]), found["units"], found["scores"], found["gumbel"], strict=True
    ):
        mine = keep[(keep > low) & (keep <= high)]
        assert units == len(mine) > 50
        assert score == pytest.approx(float(mine.mean()))
        error = float((mine * (1 - mine)).sum().sqrt()) / len(mine) / 50**0.5
        assert share == pytest.approx(score, abs=4 * error)


def test_samples_and_a_loader_score_the_same_units() -> None:
    model, data = make(), Finches("test", 4, 7, 96)
    loader = eval_loader(data, model.view, 3, 0)
    by_loader, by_sample = score_histogram(model, loader), score_histogram(model, finches(7))
    assert by_loader == by_sample
    assert sum(by_sample["units"]) == 7 * 16
    batch = next(iter(loader))
    batch["broken"][1] = True
    assert score_histogram(model, [batch])["images"] == 2
    empty = [i for i, units in enumerate(by_sample["units"]) if not units]
    assert empty
    assert all(by_sample["gumbel"][i] is by_sample["scores"][i] is None for i in empty)
    with pytest.raises(ValueError, match="no gate"):
        score_histogram(make(**PLAIN), loader)
    with pytest.raises(ValueError, match="no image"):
        score_histogram(model, [])


# --- Fig. 8 ---


class Pooled(nn.Module):
    """A network whose last map is the photo in 4 x 4 blocks, with more layers behind its pool on request."""

    def __init__(self, more: nn.Module) -> None:
        super().__init__()
        self.more = more

    def forward_features(self, x: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(x, 8)

    def forward_head(self, x: Tensor, pre_logits: bool) -> Tensor:
        assert pre_logits
        pooled: Tensor = self.more(x.mean((2, 3)))
        return pooled


def hand_made(more: nn.Module, weight: Tensor) -> SCAPNet:
    classifier = nn.Linear(weight.shape[1], len(weight), bias=False)
    with torch.no_grad():
        classifier.weight.copy_(weight)
    model = SCAPNet(Backbone(Pooled(more), 32, cut=False), classifier).eval()
    model.view, model.classes = ViewConfig(32, 32, mean=(0.0,) * 3, std=(1.0,) * 3), CLASSES[: len(weight)]
    return model


def test_the_map_of_a_hand_made_network_is_known() -> None:
    photo = torch.full((3, 32, 32), 51, dtype=torch.uint8)
    photo[0, 8:16, 24:] = 255  # one red block, at row 1 and column 3
    model = hand_made(nn.Identity(), torch.tensor([[2.0, 0, -1], [1.0, 0, -1]]))
    cam, output = activation(model, [photo])
    expected = torch.full((1, 4, 4), 2 * 0.2 - 0.2)
    expected[0, 1, 3] = 2 * 1.0 - 0.2
    assert output.probs.argmax(1).tolist() == [0]
    torch.testing.assert_close(cam, expected)

    # Behind the pool, the first of two rectified sums is closed: the map follows the second one alone.
    linear = nn.Linear(3, 2, bias=False)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[-1.0, 0, 0], [0.5, 1, 0]]))
    model = hand_made(nn.Sequential(linear, nn.ReLU()), torch.tensor([[3.0, -1], [7.0, 2]]))
    cam, output = activation(model, [photo])
    blocks = nn.functional.avg_pool2d(photo.float() / 255, 8)
    assert output.probs.argmax(1).tolist() == [1]
    torch.testing.assert_close(cam[0], 2 * (0.5 * blocks[0] + blocks[1]))


@pytest.mark.parametrize("changes", [{}, PLAIN, {"parts__shared": True}, STAGE4, {"backbone": "convnext_atto"}])
def test_the_map_is_the_classifiers_weights_over_the_last_map(changes: dict[str, Any]) -> None:
    model, photos = make(**changes), [sample.image for sample in finches(2)]
    cam, output = activation(model, photos)
    view = torch.stack([to_input(centre_view(photo, model.view)[0], model.view)["image"] for photo in photos])
    with torch.no_grad():
        last = model.backbone.net.forward_features(view)  # type: ignore[operator]
        if model.gate is not None:
            third = model.backbone.head(view)
            last = masked_tail(model.backbone, third, model.gate(third), model.mask)
        weight = model.classifier.weight[output.probs.argmax(1)]  # type: ignore[index]
    assert cam.shape == (2, *last.shape[-2:])
    if "backbone" not in changes:  # a norm behind the pool weighs the channels anew
        torch.testing.assert_close(cam, torch.einsum("bd,bdhw->bhw", weight, last), rtol=1e-3, atol=1e-4)


def test_heat_is_least_and_greatest_where_the_map_is() -> None:
    from matplotlib import colormaps

    exact = torch.tensor(colormaps["inferno"](range(256))[:, :3] * 255)
    assert (palette() - exact).abs().max() < 8
    cam = torch.full((4, 4), 0.5)
    cam[0, 0], cam[3, 3] = -2.0, 3.0
    picture = heat(Image.new("RGB", (TILE, TILE), "black"), cam)
    assert picture.getpixel((2, 2)) == (0, 0, 2)
    assert picture.getpixel((TILE - 3, TILE - 3)) == tuple(round(0.6 * v) for v in palette()[255].tolist())
    flat = heat(Image.new("RGB", (TILE, TILE)), torch.zeros(4, 4))
    assert flat.getextrema() == ((0, 0), (0, 0), (2, 2))


def test_a_row_for_each_photo_beside_the_gate() -> None:
    model, samples = make(), finches(2)
    one, two = (cam_beside_gate(model, make(**PLAIN), samples[:n]) for n in (1, 2))
    assert one.width == two.width == MARGIN + 3 * (TILE + MARGIN)
    assert two.height - one.height > TILE
    with pytest.raises(ValueError, match="no gate"):
        cam_beside_gate(make(**PLAIN), None, samples)
    with pytest.raises(ValueError, match="at least one sample"):
        cam_beside_gate(model, None, [])


# --- Fig. 10 ---


class Fixed(PartSelection):
    """Chooses the windows of (scale, index) that it is told."""

    def __init__(self, *chosen: tuple[int, int]) -> None:
        super().__init__()
        self.chosen = chosen

    def forward(self, *given: Any) -> PartsOutput:
        parts = super().forward(*given)
        boxes = torch.stack([window_boxes(4, 4, 4, u, dtype=torch.float32)[i] for u, i in self.chosen])
        scales = torch.tensor([u for u, _ in self.chosen])
        return parts._replace(boxes=boxes[None], scales=scales[None], scores=torch.ones(1, len(scales)))


def choosing(*chosen: tuple[int, int]) -> SCAPNet:
    model = make()
    model.selection = Fixed(*chosen)
    return model


def coloured(picture: Image.Image, colour: tuple[int, ...]) -> set[int]:
    """The columns of tiles in which a colour is, the legend left out."""
    pixels = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8).view(picture.height, picture.width, 3)
    places = (pixels[:-FOOT] == torch.tensor(colour)).all(-1).any(0).nonzero().flatten()
    return {int(x) // (TILE + MARGIN + 5) for x in places}


def test_equal_networks_have_neither_red_nor_green() -> None:
    model, samples = make(), finches(3)
    picture = fig10(model, make(), samples)
    assert coloured(picture, RED) == coloured(picture, GREEN) == set()
    assert coloured(picture, BLUE) == {1, 2, 3, 4, 5, 6}
    with pytest.raises(ValueError, match="other grids or views"):
        fig10(model, make(gate__grid=3), samples)
    with pytest.raises(ValueError, match="must choose parts"):
        fig10(model, make(**PLAIN), samples)


def test_red_and_green_are_the_differences_of_the_two_choices() -> None:
    without = choosing((1, 0), (1, 5), (1, 6), (2, 0), (2, 8), (3, 0))
    with_ = choosing((1, 6), (1, 0), (1, 9), (2, 8), (2, 0), (3, 3))
    left, right = (model(torch.zeros(1, 3, 64, 64)).parts for model in (without, with_))
    assert part_colours(left, right, DROPPED) == [AGREED, DROPPED, AGREED, AGREED, AGREED, DROPPED]
    assert part_colours(right, left, REPLACEMENT) == [AGREED, AGREED, REPLACEMENT, AGREED, AGREED, REPLACEMENT]
    # Unit 5 and the window of scale 2 at 5 begin at the same corner: they are two things.
    assert part_colours(left, choosing((2, 4)).eval()(torch.zeros(1, 3, 64, 64)).parts, DROPPED) == [DROPPED] * 6
    picture = fig10(with_, without, finches(1))
    assert coloured(picture, RED) == {1, 3}
    assert coloured(picture, GREEN) == {4, 6}
    assert coloured(picture, BLUE) == {1, 2, 4, 5}
    top = picture.height - FOOT - MARGIN - TILE
    unit = MARGIN + TILE + MARGIN + 16 + TILE // 4  # unit 5 in the tile of scale 1: row 1, column 1
    assert picture.getpixel((unit + 20, top + TILE // 4 + 2)) == RED


# --- the charts ---


def test_the_chart_of_scores_has_the_points_of_its_numbers() -> None:
    found = score_histogram(make(), finches(7))
    top, bottom = histogram_chart(found).axes
    _, threshold, gumbel, _ = (line.get_xydata().tolist() for line in top.lines)  # type: ignore[union-attr]
    full = [i for i, units in enumerate(found["units"]) if units]
    assert threshold == [[found["scores"][i], pytest.approx(100 * (found["threshold"][i] or 0))] for i in full]
    assert gumbel == [[found["scores"][i], pytest.approx(100 * (found["gumbel"][i] or 0))] for i in full]
    assert [bar.get_height() for bar in bottom.patches] == found["units"]  # type: ignore[attr-defined]


def test_a_beta_is_the_mean_of_its_seeds() -> None:
    points: list[Point] = [
        {"beta": 1.0, "seed": 0, "kept": 0.4, "accuracy": 0.8},
        {"beta": 0.0, "seed": 0, "kept": 1.0, "accuracy": 0.7},
        {"beta": 1.0, "seed": 1, "kept": 0.2, "accuracy": 0.9},
    ]
    (ax,) = kept_against_accuracy(points).axes
    drawn = ax.lines[0].get_xydata().tolist()  # type: ignore[union-attr]
    assert drawn == [pytest.approx([100, 70]), pytest.approx([30, 85])]
    across, up = (bars.get_segments() for bars in ax.collections[-2:])  # type: ignore[attr-defined]
    assert float(across[1][1, 0] - across[1][0, 0]) == pytest.approx(2 * 200**0.5)
    assert float(up[1][1, 1] - up[1][0, 1]) == pytest.approx(2 * 50**0.5)
    assert {text.get_text() for text in ax.texts} == {"β = 0", "β = 1"}
    dots = ax.collections[0].get_offsets().tolist()  # type: ignore[union-attr]
    assert sorted(dots) == [pytest.approx(dot) for dot in ([20, 90], [40, 80], [100, 70])]
    (alone,) = kept_against_accuracy(points[:2]).axes
    assert alone.get_legend() is None
    crowd: list[Point] = [
        {"beta": 0.1 * i, "seed": 0, "kept": 0.5 + 0.01 * (i % 3), "accuracy": 0.9 + 0.005 * i} for i in range(4)
    ]
    crowd.append({"beta": 1.0, "seed": 0, "kept": 0.95, "accuracy": 0.5})  # so that the others lie close together
    crowd.append({"beta": 2.0, "seed": 0, "kept": 0.535, "accuracy": 0.924})  # where the first one's name would be
    (full,) = kept_against_accuracy(crowd).axes
    names = [text.get_window_extent() for text in full.texts]
    assert len(names) == 6
    assert not any(a.overlaps(b) for i, a in enumerate(names) for b in names[:i])
    marks = [full.transData.transform((100 * point["kept"], 100 * point["accuracy"])) for point in crowd]
    assert not any(name.contains(*mark) for name in names for mark in marks)
    with pytest.raises(ValueError, match="at least one point"):
        kept_against_accuracy([])


def test_every_series_is_a_line_of_its_own() -> None:
    series = {f"run {i}": [(1, 0.1 * i), (2, 0.12 * i)] for i in range(8)}
    (ax,) = curves(series).axes
    assert [line.get_label() for line in ax.lines] == list(series)
    for line, points in zip(ax.lines, series.values(), strict=True):
        drawn = line.get_xydata().tolist()  # type: ignore[union-attr]
        assert drawn == [pytest.approx([epoch, 100 * y]) for epoch, y in points]
    assert len({(line.get_color(), line.get_marker()) for line in ax.lines}) == 8
    with pytest.raises(ValueError, match="at least one series"):
        curves({})


def test_a_missing_matplotlib_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ValueError, match=r'pip install "scapnet\[lab\]"'):
        curves({"a": [(1, 0.5)]})
