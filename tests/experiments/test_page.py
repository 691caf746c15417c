"""The pages of a table: what they say of the runs, and that both files agree."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from samples import TINY
from scapnet.experiments.cost import Cost
from scapnet.experiments.environment import hardware
from scapnet.experiments.page import markdown, write_table
from scapnet.experiments.record import Record, write_record
from scapnet.experiments.rows import changed
from scapnet.experiments.stats import difference
from scapnet.experiments.tables import TABLES
from toy_runs import TABLE, THREE, answers, record, results


def page(records: dict[str, list[Record]], data: str = "finches") -> str:
    return markdown(TABLE, results(records), data, "scapnet reproduce toy", {})


def cells(text: str) -> dict[str, list[str]]:
    """The cells of each row by its label."""
    lines = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    assert len({len(line) for line in lines if len(line) > 3}) == 1
    return {line[0].strip(): [cell.strip() for cell in line[1:]] for line in lines}


def test_the_rows_of_three_seeds() -> None:
    rows = cells(page(THREE))
    assert rows["row"] == [
        *("runs", "accuracy", "vs first row", "vs row above", "kept"),
        *("paper, CUB", "vs its first row", "paper, Aircraft", "vs its first row"),
    ]
    assert rows["bare"] == ["3", "51.0 ± 1.0", "", "", "50.0 ± 0.0", "80.0", "", "", ""]
    assert rows["quoted"] == ["", "", "", "", "", "81.5", "+1.5", "", ""]
    # gaps 10, 9, 11: 10 -+ 4.303 / 3**0.5 is (7.516, 12.484)
    assert rows["better"] == ["3", "61.0 ± 1.0", "+10.0 [+7.5, +12.5]", "", "25.0 ± 0.0", "82.0", "+2.0", "91.0", ""]
    # gaps 1, -4, 1 to the first and -9, -13, -10 to the row above
    assert rows["worse"][:5] == ["3", "50.3 ± 2.1", "-0.7 [-7.8, +6.5]", "-10.7 [-15.8, -5.5]", ""]
    assert rows["better > bare"] == ["+10.0 [+7.5, +12.5]", "holds"]
    assert rows["worse > bare"] == ["-0.7 [-7.8, +6.5]", "undecided"]
    assert rows["better > worse"] == ["+10.7 [+5.5, +15.8]", "holds"]


def test_an_interval_over_images_is_marked() -> None:
    rows = cells(page({name: records[:1] for name, records in THREE.items()}))
    gap = difference([100.0] * 10 + [0.0] * 90, [0.0] * 100)
    assert rows["better"][:3] == ["1", "60.0", f"+10.0 [{gap.low:+.1f}, {gap.high:+.1f}] †"]


def test_the_text_says_what_was_run() -> None:
    text = page(THREE)
    assert "`scapnet reproduce toy`" in text
    assert "Data: finches, 100 test images per run." in text
    assert "Trained on an abacus in 4.5 hours in total, at commit abc1234." in text
    assert text.endswith("- Toys are no birds.\n- better: ours.\n- Quoted from the paper: quoted.\n")
    more = THREE | {"bad": [record(3, answers(50, 90)), *THREE["bad"]]}
    assert "90 to 100 test images per run" in page(more)
    averaged = THREE | {"bad": [replace(made, curve=[]) for made in THREE["bad"]]}  # their hours are the others'
    assert "in 3.0 hours" in page(averaged)


@pytest.mark.parametrize(("held_out", "again"), [((0, 1, 2), False), ((0, 1, 0), True)])
def test_a_fold_that_is_held_out_again_is_named(held_out: tuple[int, ...], again: bool) -> None:
    configs = [changed(TINY, {"data.folds": 4, "data.fold": fold}) for fold in held_out]
    rows = {name: [replace(r, config=c) for r, c in zip(row, configs, strict=True)] for name, row in THREE.items()}
    text = page(rows, "grocery")
    assert "each run holds out one of 4 folds" in text
    assert ("the same fold with another seed" in text) == again


def test_runs_that_differ_in_more_than_their_rows_are_listed() -> None:
    listed = "also differ in precision or PyTorch version"
    assert listed not in page(THREE)
    half = replace(THREE["bad"][0], config=changed(TINY, {"train.precision": "bf16"}))
    text = page(THREE | {"bad": [half, *THREE["bad"][1:]]})
    assert listed in text
    assert ". bf16 with torch 9.0: *worse*; float32 with torch 9.0: *bare*, *better*, *worse*." in text
    newer = [replace(made, torch="9.1") for made in THREE["good"]]
    assert ". float32 with torch 9.0: *bare*, *worse*; float32 with torch 9.1: *better*." in page(
        THREE | {"good": newer}
    )
    averaged = [replace(made, curve=[]) for made in newer]  # it trained nothing
    assert listed not in page(THREE | {"good": averaged})


def test_nothing_run_yet() -> None:
    text = page({}, "cub")
    assert "Not run yet, so the columns with our results are empty." in text
    assert "claim" not in text
    assert cells(text)["better"] == ["", "", "", "", "82.0", "+2.0", "91.0", ""]


@pytest.mark.parametrize("name", TABLES)
def test_every_table_has_an_empty_page(name: str, tmp_path: Path) -> None:
    rows = [row for row in TABLES[name].rows if row.applies_to("cub")]
    assert len(cells(write_table(TABLES[name], tmp_path, "cub", "c").read_text())) == len(rows) + 2


def test_costs_have_columns_and_a_place() -> None:
    costs = {"base": Cost(0, 1.5, 2.0), "good": Cost(16434, 4.125, 3.0)}
    text = markdown(replace(TABLE, costs=True), results({}), "cub", "c", costs)
    assert "Not run yet, so the columns with our accuracy are empty." in text
    assert f"measured on {hardware()} with {torch.get_num_threads()} thread" in text
    priced = cells(text)
    assert priced["bare"][4:7] == ["-", "1.50", "2 (1.00 x)"]
    assert priced["better"][4:7] == ["16,434", "4.12", "3 (1.50 x)"]
    assert priced["quoted"][4:7] == ["", "", ""]


def test_both_files_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    for name, records in THREE.items():
        for made in records:
            write_record(tmp_path / "rows" / f"{name}-{made.seed}.json", made)
    file = write_table(TABLE, tmp_path, "finches", "c", {"base": Cost(1, 2.0, 3.0)})
    shown, values = cells(file.read_text()), json.loads((tmp_path / "toy.json").read_text())
    assert {path.name for path in tmp_path.iterdir()} == {"rows", "toy.md", "toy.json"}
    for row in values["rows"]:
        line = shown[row["label"]]
        assert line[0] == str(len(row["seeds"]) or "")
        assert line[1] == (f"{row['mean']:.1f} ± {row['std']:.1f}" if row["seeds"] else "")
        if gap := row.get("to_first"):
            assert gap["over"] == "runs"
            assert line[2] == f"{gap['mean']:+.1f} [{gap['low']:+.1f}, {gap['high']:+.1f}]"
        assert row["paper"].get("cub") == (float(line[-4]) if line[-4] else None)
    quoted, good = values["rows"][1:3]
    assert values["costs"] == {"base": {"location": 1, "gmacs": 2.0, "seconds": 3.0}}
    assert good["measured"]["kept"] == [0.25] * 3
    assert good["to_above"] == {}  # the row above is quoted
    assert good["paper_to_first"] == {"cub": 2.0}
    assert "to_first" not in values["rows"][0]
    assert quoted["row"] is None
    assert "mean" not in quoted
    assert [claim["verdict"] for claim in values["claims"]] == ["holds", "undecided", "holds"]
    assert (values["commits"], values["hours"]) == ("abc1234", 4.5)
