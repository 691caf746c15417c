"""Parts against annotated marks: equal to slow loops, and chance by enumeration."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.ops import box_convert

from scapnet.config import GateConfig, ModelConfig, PartsConfig
from scapnet.metrics.localization import chance_of_a_hit, coverage, coverage_by_mark, hit_rates, holds_centre, in_view
from scapnet.model import SCAPNet, SCAPNetOutput


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
    found = coverage(output, marks)
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
    assert chance_of_a_hit(holders, 9, torch.tensor([0, 9])).tolist() == [[0, 0, 0], [0, 1, 1]]


def test_the_edge_of_the_view_belongs_to_one_side() -> None:
    marks = torch.tensor([[0.0, 0.0], [1.0, 0.5], [0.999, 0.999], [-0.01, 0.5]]).repeat(1, 2)[None]
    assert in_view(marks).tolist() == [[True, False, True, False]]


def test_a_box_holds_a_mark_whose_centre_it_contains() -> None:
    torch.manual_seed(0)
    boxes, marks = torch.rand(7, 5, 4), torch.rand(7, 3, 2).repeat(1, 1, 2)
    marks[..., 2:] += 0.1
    marks[0] = torch.nan
    marks[1, 1:] = torch.nan
    found = holds_centre(boxes, marks).any(-1)
    assert 0 < int(found.sum()) < found.numel()
    for b in range(7):
        for m in range(5):
            x, y, w, h = boxes[b, m].tolist()
            expected = False
            for x0, y0, x1, y1 in marks[b].tolist():
                cx, cy = (x0 + x1) / 2, (y0 + y1) / 2
                expected |= x - w / 2 <= cx < x + w / 2 and y - h / 2 <= cy < y + h / 2
            assert bool(found[b, m]) == expected


@pytest.mark.parametrize(("size", "grid"), [(64, 4), (96, 4), (80, 3)])
def test_hits_and_their_chance_are_counted_over_chosen_and_over_all_windows(size: int, grid: int) -> None:
    torch.manual_seed(1)
    model = SCAPNet.from_config(
        ModelConfig("test_resnet", "none", parts=PartsConfig(size=32, keep=(3, 0, 1)), gate=GateConfig(grid=grid)),
        4,
        size,
    ).eval()
    with torch.no_grad():
        output = model(torch.randn(6, 3, size, size))
    marks = torch.rand(6, 2, 2).repeat(1, 1, 2)
    marks[0] = torch.nan  # nothing annotated
    marks[1] += 2.0  # annotated, but not in the view
    found = hit_rates(output, marks)
    cells = size // 16
    edges = [i * cells // grid / cells for i in range(grid + 1)]

    def held(corners: list[float], points: Tensor) -> bool:
        x0, y0, x1, y1 = corners
        return any(x0 <= x < x1 and y0 <= y < y1 for x, y in points[:, :2].tolist())

    for b in range(6):
        for scale in (1, 2, 3):
            n = grid - scale + 1
            every = [
                held([edges[j], edges[i], edges[j + scale], edges[i + scale]], marks[b])
                for i in range(n)
                for j in range(n)
            ]
            corners = box_convert(output.parts.boxes[b], "cxcywh", "xyxy").tolist()
            mine = [held(box, marks[b]) for box, u in zip(corners, output.parts.scales[b], strict=True) if u == scale]
            hit, random = float(found[f"hit_scale{scale}"][b]), float(found[f"random_scale{scale}"][b])
            if b < 2 or not mine:
                assert np.isnan(hit)
                assert np.isnan(random)
            else:
                assert hit == pytest.approx(sum(mine) / len(mine))
                assert random == pytest.approx(sum(every) / len(every))


def test_means_are_taken_by_the_name_of_a_mark() -> None:
    nan = torch.nan
    cover = torch.tensor([[[1.0, 0.5], [1.0, 0.25]], [[0.0, 0.1], [nan, nan]], [[nan, nan], [nan, nan]]])  # (R, U+1, 2)
    other = torch.tensor([[[0.0, 0.1], [nan, nan]], [[1.0, 0.5], [1.0, 0.25]], [[nan, nan], [nan, nan]]])
    found = coverage_by_mark(torch.stack((cover, other)), ("a", "b", "c"))
    row = {"marks": 2, "covered": 0.5, "random": pytest.approx(0.3), "covered_scale1": 1, "random_scale1": 0.25}
    assert found == {"a": row, "b": row}  # c is in no view
    assert coverage_by_mark(torch.stack((cover, other)), ("b", "b", "c")) == {"b": row | {"marks": 4}}
    assert coverage_by_mark(cover[None, :, :1], ("a", "b", "c"))["a"] == {"marks": 1, "covered": 1, "random": 0.5}


def test_rows_of_marks_that_are_not_seen_change_nothing() -> None:
    output, marks = output_of(64, 4), points(3)
    padded = torch.full((6, 5, 4), torch.nan)
    padded[:, [1, 2, 4]] = marks
    torch.testing.assert_close(coverage(output, padded)[:, [1, 2, 4]], coverage(output, marks), rtol=0, atol=0)
    assert coverage(output, padded)[:, [0, 3]].isnan().all()
    for key, value in hit_rates(output, padded).items():
        torch.testing.assert_close(value, hit_rates(output, marks)[key], rtol=0, atol=0)
