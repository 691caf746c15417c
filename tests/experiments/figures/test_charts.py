"""The charts have the points of their numbers, and the numbers are those of the networks."""

import json
from itertools import pairwise

import pytest
import torch

from samples import NO_MODULES, finches, leaves_unchanged, make
from scapnet.data.loaders import eval_loader
from scapnet.data.synthetic.finches import Finches
from scapnet.experiments.figures import charts
from scapnet.experiments.figures.charts import Point, curves, histogram_chart, kept_against_accuracy, score_histogram


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
        score_histogram(make(**NO_MODULES), loader)
    with pytest.raises(ValueError, match="no image"):
        score_histogram(model, [])


def test_counting_leaves_the_network_as_it_was() -> None:
    leaves_unchanged(lambda model: score_histogram(model, finches(2), draws=2))


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
