"""The page of accuracy against cost: what a row costs, and which backbone it is held against."""

from dataclasses import replace
from pathlib import Path

import pytest

from scapnet.experiments.comparison import RowResults
from scapnet.experiments.cost import Cost
from scapnet.experiments.frontier import Place, markdown, pixels_of, place_of, rival, write_frontier
from scapnet.experiments.recipes import recipe_of, with_seed
from scapnet.experiments.record import write_record
from scapnet.experiments.tables.frontier import FRONTIER
from toy_runs import answers, record

BASE = recipe_of("cub100", None)
ROWS = {row.name: row for row in FRONTIER.rows}
RIGHT = {"plain-long": (50, 52, 51), "plain-160": (60, 62, 61), "plain-192": (55, 58, 56), "full": (70, 71, 72)}
COSTS = {"plain-long": 1.0, "plain-160": 1.5, "plain-192": 2.25, "full": 4.4, "full.main": 1.1, "plain": 1.0}
COSTS |= {"plain-b": 1.0}
PIXELS = {name: pixels_of(row.config(BASE), BASE) for name, row in ROWS.items()}


def costs() -> dict[str, Cost]:
    return {name: Cost(0, gmacs, 2 * gmacs) for name, gmacs in COSTS.items()}


def results(name: str) -> RowResults:
    config = ROWS[name].config(BASE)
    runs = [record(seed, answers(n), config) for seed, n in enumerate(RIGHT.get(name, (51, 51, 51)))]
    return RowResults(ROWS[name], {run.seed: run for run in runs})


@pytest.fixture
def places() -> list[Place]:
    return [place_of(results(name), costs(), PIXELS) for name in RIGHT]


def test_a_network_with_weighed_branches_costs_what_it_costs_without() -> None:
    full, weighed = (place_of(results(name), costs(), PIXELS) for name in ("full", "full-pool"))
    assert weighed[1:4] == full[1:4]


def test_a_row_is_held_against_the_best_backbone_that_costs_no_more(places: list[Place]) -> None:
    *plain, full = places
    found = rival(full, places)
    assert found is not None
    assert found.row.name == "plain-160"  # the larger one is less accurate
    assert [rival(place, places) for place in plain] == [None] * 3
    assert rival(replace_cost(full, 1.2), places) is plain[0]
    assert rival(replace_cost(full, 0.5), places) is None


def replace_cost(place: Place, gmacs: float) -> Place:
    return place._replace(gmacs=gmacs)


def test_what_rows_cost(places: list[Place]) -> None:
    assert [place.gmacs for place in places] == [1.0, 1.5, 2.25, 4.4]
    assert [round(place.pixels, 2) for place in places] == [15.0, 15.62, 15.75, 14.75]
    both = place_of(results("plain-two"), costs(), PIXELS)
    assert (both.gmacs, both.seconds, both.pixels) == (2.0, 4.0, 16.0)


@pytest.mark.parametrize(
    ("name", "gmacs", "pixels"), [("full-unsure", 1.1 + 0.3 * 3.3, 14.75), ("then-192", 1 + 0.3 * 2.25, 30.75)]
)
def test_what_a_second_pass_costs(name: str, gmacs: float, pixels: float) -> None:
    once = results(name)
    runs = {seed: replace(run, scores=run.scores | {"looked": 0.2 + seed / 10}) for seed, run in once.records.items()}
    place = place_of(replace(once, records=runs), costs(), PIXELS)
    assert place.looked == pytest.approx(0.3)
    assert (place.gmacs, place.seconds, place.pixels) == pytest.approx((gmacs, 2 * gmacs, pixels))


def test_the_page(places: list[Place]) -> None:
    text = markdown(FRONTIER, places, "cub100", "scapnet reproduce frontier")
    lines = {line.split("|")[1].strip(): line for line in text.splitlines() if line.startswith("|")}
    assert "**51.0 ± 1.0**" in lines["backbone, 128 px"]
    assert "**61.0 ± 1.0**" in lines["backbone, 160 px"]
    assert "| 56.3 ± 1.5 |" in lines["backbone, 192 px"]
    # gaps 10, 9, 11 over the seeds
    assert lines["SCAPNet"].endswith("| +10.0 [+7.5, +12.5] (backbone, 160 px) | ahead |")
    assert "| 4.400 | 4.40 | 4.40 |  | 14.8 |" in lines["SCAPNet"]
    assert "Not run yet" in markdown(FRONTIER, [], "cub100", "c")


def test_the_files(tmp_path: Path) -> None:
    rows = tmp_path / "rows"
    rows.mkdir()
    assert [file.name for file in write_frontier(FRONTIER, rows, "cub100", BASE, "c", costs(), tmp_path / "f")] == [
        "cub100.md"
    ]
    for name in ("plain-long", "full"):
        config = ROWS[name].config(with_seed(BASE, 0))
        write_record(rows / f"{name}-0.json", record(0, answers(60), config))
    files = write_frontier(FRONTIER, rows, "cub100", BASE, "c", costs(), tmp_path / "f")
    assert [file.name for file in files] == ["cub100.md", "cub100.png"]
    assert all(file.stat().st_size for file in files)
