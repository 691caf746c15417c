"""Parts against annotated marks, and the gate against the object's box: equal to slow loops, chance by enumeration."""

import itertools
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor
from torchvision.ops import box_convert

from samples import TINY, cub
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
from scapnet.data.names import WIDTH, pack_names, unpack_names
from scapnet.data.sample import Sample
from scapnet.data.synthetic.finches import Finches
from scapnet.data.transforms import EvalViews
from scapnet.evaluate import evaluate
from scapnet.metrics.localization import MarkTable, any_of, by_place, covered, gate_columns, visible
from scapnet.model import SCAPNet, SCAPNetOutput
from scapnet.modules.ggau import GateOutput
from scapnet.summary import mark_table, score_rows, show_scores
from scapnet.train import train


def output_of(size: int, grid: int, **options: Any) -> SCAPNetOutput:
    torch.manual_seed(1)
    config = ModelConfig("test_resnet", "none", parts=PartsConfig(size=32, **options), gate=GateConfig(grid=grid))
    with torch.no_grad():
        found: SCAPNetOutput = SCAPNet.from_config(config, 4, size).eval()(torch.randn(6, 3, size, size))
    return found


def points(rows: int) -> Tensor:
    return torch.rand(6, rows, 2, generator=torch.Generator().manual_seed(2)).repeat(1, 1, 2)


def edges(size: int, grid: int) -> list[float]:
    cells = size // 16
    return [i * cells // grid / cells for i in range(grid + 1)]


def holds_point(box: list[float], x: float, y: float) -> bool:
    return box[0] <= x < box[2] and box[1] <= y < box[3]


@pytest.mark.parametrize(("size", "grid"), [(64, 4), (96, 4), (80, 3)])
@pytest.mark.parametrize("options", [{"keep": (3, 2, 1)}, {"keep": (2, 0, 1)}, {"strategy": "top", "total": 4}])
def test_covered_marks_equal_a_slow_loop_over_all_draws(size: int, grid: int, options: dict[str, Any]) -> None:
    output, marks, line = output_of(size, grid, **options), points(3), edges(size, grid)
    marks[0, 0] = torch.nan
    marks[1, 0] += 2  # out of the view
    marks[2, 0, 2:] += 0.05  # a box: its centre counts
    found = covered(output, marks)
    assert output.parts is not None
    for b, r in itertools.product(range(6), range(3)):
        x, y = float(marks[b, r, 0::2].mean()), float(marks[b, r, 1::2].mean())
        if not (0 <= x < 1 and 0 <= y < 1):
            assert found[b, r].isnan().all()
            continue
        boxes = box_convert(output.parts.boxes[b], "cxcywh", "xyxy").tolist()
        missed = 1.0
        for scale in (1, 2, 3):
            n = grid - scale + 1
            windows = [[line[j], line[i], line[j + scale], line[i + scale]] for i in range(n) for j in range(n)]
            mine = [box for box, u in zip(boxes, output.parts.scales[b], strict=True) if u == scale]
            draws = list(itertools.combinations([holds_point(box, x, y) for box in windows], len(mine)))
            chance = sum(any(draw) for draw in draws) / len(draws)
            missed *= 1 - chance
            if mine:
                expected = [float(any(holds_point(box, x, y) for box in mine)), chance]
                assert found[b, r, scale].tolist() == pytest.approx(expected, abs=1e-6)
            else:
                assert found[b, r, scale].isnan().all()
        held = float(any(holds_point(box, x, y) for box in boxes))
        assert found[b, r, 0].tolist() == pytest.approx([held, 1 - missed], abs=1e-6)


def test_the_chance_of_a_draw_at_its_ends() -> None:
    holders = torch.tensor([[0, 1, 9], [0, 1, 9]])
    assert any_of(holders, 9, torch.tensor([0, 9])).tolist() == [[0, 0, 0], [0, 1, 1]]


def test_the_edge_of_the_view_belongs_to_one_side() -> None:
    marks = torch.tensor([[0.0, 0.0], [1.0, 0.5], [0.999, 0.999], [-0.01, 0.5]]).repeat(1, 2)[None]
    assert visible(marks).tolist() == [[True, False, True, False]]


def gate_of(mask: Tensor, size: int) -> SCAPNetOutput:
    zero = torch.zeros(1)
    gate = GateOutput(torch.zeros(len(mask), 1, size, size), mask, zero)
    return SCAPNetOutput(zero, None, zero, gate, None)


@pytest.mark.parametrize(("cells", "grid"), [(8, 4), (8, 3), (28, 5)])
@pytest.mark.parametrize("soft", [False, True])
def test_gate_precision_and_recall_equal_counting_fine_points(cells: int, grid: int, soft: bool) -> None:
    torch.manual_seed(0)
    mask = torch.rand(5, grid, grid)
    mask = mask if soft else (mask > 0.5).float()
    fine = 40 * cells
    first = torch.randint(-fine // 4, fine // 2, (5, 2))
    box = torch.cat((first, first + torch.randint(20, fine, (5, 2))), 1)  # some reach out of the view
    found = gate_columns(gate_of(mask, cells), box / fine)
    line = [i * cells // grid * 40 for i in range(grid + 1)]
    for b in range(5):
        x0, y0, x1, y1 = box[b].clamp(0, fine).tolist()
        kept = inside = 0.0
        for i, j in itertools.product(range(grid), repeat=2):
            weight = float(mask[b, i, j])
            kept += weight * (line[i + 1] - line[i]) * (line[j + 1] - line[j])
            rows = len(set(range(line[i], line[i + 1])) & set(range(y0, y1)))
            inside += weight * rows * len(set(range(line[j], line[j + 1])) & set(range(x0, x1)))
        size = (x1 - x0) * (y1 - y0)
        if not size:
            assert found["gate_precision"][b].isnan()
            continue
        assert float(found["gate_precision"][b]) == pytest.approx(inside / kept, abs=1e-5)
        assert float(found["gate_recall"][b]) == pytest.approx(inside / size, abs=1e-5)


@pytest.mark.parametrize("kept", [1, 3, 9])
def test_a_random_gate_is_the_mean_over_all_gates_of_the_same_share(kept: int) -> None:
    masks = torch.zeros(0, 9)
    for chosen in itertools.combinations(range(9), kept):
        masks = torch.cat((masks, torch.zeros(1, 9).index_fill(1, torch.tensor(chosen), 1.0)))
    box = torch.tensor([0.1, 0.2, 0.75, 0.6]).expand(len(masks), 4)
    found = gate_columns(gate_of(masks.view(-1, 3, 3), 9), box)
    for name in ("precision", "recall"):
        expected = float(found[f"random_gate_{name}"][0])
        assert float(found[f"gate_{name}"].mean()) == pytest.approx(expected, abs=1e-5)


def test_by_place_is_the_share_of_the_variance_between_units() -> None:
    torch.manual_seed(0)
    often = torch.rand(4, 4) < 0.5
    same = often.float().expand(30, 4, 4)
    assert float(by_place(same)) == 1  # one mask for all
    chance = torch.where(often, 0.8, 0.2)  # variance of a unit 0.16, of the means about 0.09
    many = (torch.rand(20_000, 4, 4) < chance).float()
    between, within = float(chance.var()), 0.16
    assert float(by_place(many)) == pytest.approx(between / (between + within), abs=0.02)
    assert float(by_place(0.2 + 0.6 * many)) == pytest.approx(float(by_place(many)))  # soft masks: no unit of measure
    few = torch.stack([by_place(part) for part in many.view(-1, 5, 4, 4)]).mean()  # no more by chance with five images
    assert float(few) == pytest.approx(between / (between + within), abs=0.04)
    rolled = torch.stack([often.float().roll((i, j), (0, 1)) for i in range(4) for j in range(4)])
    assert float(by_place(rolled)) == 0  # every place as often as the others
    for nothing in (torch.ones(30, 4, 4), torch.rand(1, 4, 4), torch.rand(30, 1, 1)):
        assert by_place(nothing).isnan()


def test_a_gate_that_keeps_the_same_places_is_said_to(capsys: pytest.CaptureFixture[str]) -> None:
    show_scores({"images": 2.0, "kept": 0.3, "gate_by_place": 0.12})
    printed = capsys.readouterr().out
    assert "12.0%" in printed
    assert "same places" not in printed
    show_scores({"images": 2.0, "kept": 0.6, "gate_by_place": 0.76})
    assert "keeps much the same places" in capsys.readouterr().out
    for kept in ({"kept": 1.0}, {"kept": 0.97, "gate_by_place": 0.9}):  # open, or nearly
        show_scores({"images": 2.0} | kept)
        assert "same places" not in capsys.readouterr().out


def test_no_box_and_a_box_out_of_the_view_give_no_figure() -> None:
    box = torch.tensor([[torch.nan] * 4, [1.1, 0.0, 1.5, 1.0], [0.0, 0.0, 1.0, 1.0]])
    found = gate_columns(gate_of(torch.ones(3, 4, 4), 8), box)
    assert all(value.isnan().tolist() == [True, True, False] for value in found.values())
    assert {key: float(value[2]) for key, value in found.items()} == dict.fromkeys(found, 1.0)


def test_names_travel_as_bytes() -> None:
    names = ("left eye", "Flügel", "x" * 40)
    packed = pack_names(names, 4)
    assert packed.shape == (4, WIDTH)
    assert unpack_names(packed) == ["left eye", "Flügel", "x" * WIDTH, ""]
    assert unpack_names(pack_names(("é" * 20,), 1)) == ["é" * (WIDTH // 2)]
    assert unpack_names(pack_names((), 2)) == ["", ""]


def test_the_table_sums_by_name() -> None:
    nan = torch.nan
    cover = torch.tensor([[[1.0, 0.5], [1.0, 0.25]], [[0.0, 0.1], [nan, nan]], [[nan, nan], [nan, nan]]])  # (R, U+1, 2)
    table = MarkTable()
    table.add(cover[None], pack_names(("a", "b", "c"), 3)[None])
    table.add(cover[None], pack_names(("b", "b", "c"), 3)[None])
    assert table.result() == {
        "a": {"marks": 1, "covered": 1, "random": 0.5, "covered_scale1": 1, "random_scale1": 0.25},
        "b": {
            "marks": 3,
            "covered": pytest.approx(1 / 3),
            "random": pytest.approx(0.7 / 3),
            "covered_scale1": 1,
            "random_scale1": 0.25,
        },
    }


class Boxed:
    """Finches with a box, whose first mark has the name and no size."""

    classes = ("a", "b", "c", "d")

    def __init__(self, length: int) -> None:
        self.inner = Finches("test", 4, length, 72, hide=0)
        self.labels = self.inner.labels

    def __len__(self) -> int:
        return len(self.inner)

    def __getitem__(self, index: int) -> Sample:
        sample = self.inner[index]
        box = torch.tensor([4.0 + index, 4, 68, 68]) if index else torch.full((4,), torch.nan)
        there = SimpleNamespace(**sample._asdict())
        there.box = box
        return there  # type: ignore[return-value]


def test_a_box_and_names_reach_the_view() -> None:
    views = EvalViews(Boxed(3), ViewConfig(64, 72))
    assert views[0]["box"].isnan().all()
    torch.testing.assert_close(views[1]["box"], torch.tensor([1.0, 0, 64, 64]) / 64)
    names = Finches("test", 4, 3, 72, hide=0)[1].mark_names
    assert unpack_names(views[1]["mark_names"])[: len(names) + 1] == [*names, ""]
    assert EvalViews(Finches("test", 4, 3, 72), ViewConfig(64, 72))[0]["box"].isnan().all()


def test_an_evaluation_reports_places_whatever_its_batches() -> None:
    torch.manual_seed(0)
    # A hard gate that was never trained keeps everything, or the same unit everywhere.
    model = SCAPNet.from_config(
        ModelConfig("test_resnet", "none", parts=PartsConfig(size=32), gate=GateConfig(mode="soft")), 4, 64
    )
    accelerator = Accelerator(cpu=True)
    found = [
        evaluate(model, accelerator.prepare(eval_loader(Boxed(7), ViewConfig(64, 72), size, 0)), accelerator)
        for size in (2, 7)
    ]
    for key in ("covered", "random_covered", "gate_precision", "random_gate_recall"):
        assert 0 <= found[0].scores[key] <= 1
    views = EvalViews(Boxed(7), ViewConfig(64, 72))
    with torch.no_grad():
        masks = torch.cat([model(views[i]["image"][None], None, torch.tensor([i])).gate.mask for i in range(7)])
    assert float(by_place(masks)) > 0.1
    assert found[0].scores["gate_by_place"] == pytest.approx(float(by_place(masks)), abs=1e-6)
    assert found[0].scores == pytest.approx(found[1].scores, abs=1e-6)
    assert found[0].marks.keys() == found[1].marks.keys() <= set(Boxed(7).inner.mark_names)
    for name, row in found[0].marks.items():
        assert row == pytest.approx(found[1].marks[name], abs=1e-6)
        assert 0 < row["random_scale1"] < 1  # of scale 3, every window holds the middle
    seen = sum(row["marks"] for row in found[0].marks.values())
    assert seen == sum(len(Boxed(7)[i].marks) for i in range(7))  # none of them lies in the margin


EXTRA = {"random_scale1", "covered_scale2", "random_scale2", "covered_scale3"}


def test_a_run_tells_places_in_its_result_and_its_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = Config(
        "test",
        DataConfig(
            "finches",
            size=64,
            resize=72,
            workers=0,
            synthetic=SyntheticConfig(num_classes=4, train_length=16, test_length=8),
        ),
        ModelConfig("test_resnet", "none", parts=PartsConfig(size=32)),
        train=TrainConfig(epochs=1, batch_size=8, clip=5.0),
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


def test_tables_show_chance_beside_every_score(capsys: pytest.CaptureFixture[str]) -> None:
    scores = {"gate_precision": 0.7, "random_gate_precision": 0.4, "covered": 0.8, "random_covered": 0.5}
    text = dict(score_rows(scores))
    assert text["kept area that lies in the object's box"] == "70.0% (random 40.0%)"
    assert "80.0% (random 50.0%)" in text.values()
    table = mark_table({"beak": {"marks": 3.0, "covered": 0.5, "random": 0.25}, "tail": {"marks": 1.0, "covered": 1.0,
        "random": 0.5, "covered_scale2": 1.0, "random_scale2": 0.3}})  # fmt: skip
    assert [str(column.header) for column in table.columns][-1] == "scale 2"
    assert list(table.columns[-1].cells) == ["", "100.0 (30.0)"]
    show_scores({"images": 2.0})
    assert "beak" not in capsys.readouterr().out


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
