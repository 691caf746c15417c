"""Differences between rows: which runs and which test images are paired, and what follows for the claims."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from samples import TINY
from scapnet.experiments.comparison import RowResults, by_images, by_seeds, compare, read_rows, verdicts
from scapnet.experiments.record import Record, write_record
from scapnet.experiments.rows import changed
from scapnet.experiments.stats import difference
from toy_runs import TABLE, THREE, answers, record, results

ROW = TABLE.rows[0]


def row(*runs: Record) -> RowResults:
    return RowResults(ROW, {run.seed: run for run in runs})


def test_rows_are_read_with_every_seed_in_order(tmp_path: Path) -> None:
    for name, records in THREE.items():
        for made in records:
            write_record(tmp_path / f"{name}-{made.seed}.json", made)
    write_record(tmp_path / "good-10.json", record(10, answers(61)))
    for other in ("good-old-0", "good-b-1", "good", "good-1.5-0"):
        (tmp_path / f"{other}.json").write_text("no record of this row")
    read = read_rows(TABLE, tmp_path, "finches")
    assert [list(result.records) for result in read] == [[0, 1, 2], [], [0, 1, 2, 10], [0, 1, 2]]
    only = replace(TABLE, rows=(replace(ROW, only=("cub",)), *TABLE.rows[1:]))
    assert [result.row.name for result in read_rows(only, tmp_path, "finches")] == ["", "good", "bad"]


def test_values_of_a_score_are_percentages_by_seed() -> None:
    two = row(record(0, answers(50), kept=0.5), record(1, answers(60)))
    assert two.values("accuracy") == [50.0, 60.0]
    assert two.values("accuracy", [1]) == [60.0]
    assert two.values("kept") == [50.0]
    unmasked = changed(TINY, {"model.gate.mask": "none"})
    assert row(record(0, answers(50), config=unmasked, kept=0.5)).values("kept") == []


def test_three_shared_seeds_are_compared_by_runs() -> None:
    base, _, good, _ = results(THREE)
    gap = compare(good, base)
    assert gap.over_runs
    assert gap.difference == difference([60.0, 61.0, 62.0], [50.0, 52.0, 51.0])


def test_one_shared_seed_is_compared_image_by_image() -> None:
    base, _, good, _ = results({name: records[:1] for name, records in THREE.items()})
    gap = compare(good, base)
    assert not gap.over_runs
    assert gap.difference == difference([100.0] * 10 + [0.0] * 90, [0.0] * 100)
    alone = by_seeds(good, base)
    assert alone is not None
    assert alone.mean == pytest.approx(10.0)
    assert alone.n == 1


def test_only_seeds_that_both_have_are_compared() -> None:
    some = row(record(1, answers(61)), record(7, answers(99)))
    base = results(THREE)[0]
    assert compare(some, base).difference == by_images(row(record(1, answers(61))), base)
    stranger = row(record(5, answers(1)))
    assert by_images(stranger, base) is by_seeds(stranger, base) is None


def test_an_image_that_two_seeds_answered_counts_once() -> None:
    ours = row(record(0, answers(60)), record(1, answers(60)))
    theirs = row(*(record(seed, answers(50)) for seed in range(3)))
    assert by_images(ours, theirs) == by_images(row(record(0, answers(60))), theirs)
    dice = random.Random(0)
    runs = {side: [[dice.random() < p for _ in range(400)] for _ in range(2)] for side, p in ((0, 0.7), (1, 0.6))}
    a, b = (row(*(record(seed, right) for seed, right in enumerate(runs[side]))) for side in (0, 1))
    gap = by_images(a, b)
    assert gap is not None
    assert gap.mean == pytest.approx(100 * (sum(map(sum, runs[0])) - sum(map(sum, runs[1]))) / 800)
    assert gap.n == 400
    # A run with more images is used as a whole.
    longer = [row(*side.records.values(), record(2, answers(n, 500))) for side, n in ((a, 500), (b, 0))]
    gap = by_images(*longer)
    assert gap is not None
    assert gap.n == 500


def test_other_images_of_another_seed_are_further_images() -> None:
    drawn = changed(TINY, {"data.seed": 77})
    ours, theirs = (row(record(0, answers(n)), record(1, answers(n), config=drawn)) for n in (60, 50))
    gap = by_images(ours, theirs)
    assert gap is not None
    assert gap.mean == pytest.approx(10.0)
    assert gap.n == 200


def test_runs_with_different_numbers_of_images_cannot_be_paired() -> None:
    assert by_images(row(record(0, answers(50))), row(record(0, answers(1, 3)))) is None


def test_a_claim_holds_where_the_whole_interval_is_above_zero() -> None:
    found = {claim: (gap, said) for claim, gap, said in verdicts(TABLE, results(THREE))}
    assert {claim: said for claim, (_, said) in found.items()} == {
        "better > bare": "holds",
        "worse > bare": "undecided",
        "better > worse": "holds",  # the fourth claim is of a row that this data set does not have
    }
    assert all(gap.over_runs for gap, _ in found.values())
    turned = replace(TABLE, claims=(("bad", "good"),))
    assert [said for _, _, said in verdicts(turned, results(THREE))] == ["does not hold"]


def test_a_claim_over_images_is_one_of_these_runs() -> None:
    few = {name: records[:1] for name, records in THREE.items()} | {"bad": [record(0, answers(50))]}
    table = replace(TABLE, claims=(("good", "base"), ("base", "good"), ("base", "bad")))
    said = [verdict for _, _, verdict in verdicts(table, results(few))]
    assert said == ["holds in these runs", "does not hold in these runs", "undecided"]


def test_claims_of_rows_that_were_not_run_are_left_out() -> None:
    assert verdicts(TABLE, results({})) == []
    assert [claim for claim, _, _ in verdicts(TABLE, results({"base": THREE["base"], "bad": THREE["bad"]}))] == [
        "worse > bare"
    ]
