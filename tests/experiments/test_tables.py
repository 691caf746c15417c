"""The rows of the tables, what pairs them, what they cost, and the pages that are made of their records."""

import json
import math
import random
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import nn

from samples import TINY
from scapnet.build import build_model, part_count
from scapnet.config import Config, ModelConfig, PartsConfig
from scapnet.experiments.cost import Cost, cost_of, hours, location_parameters, seconds_an_image, training_images
from scapnet.experiments.page import Found, by_pictures, by_seeds, markdown, read_rows, write_table
from scapnet.experiments.recipes import FIRST_SEED, PAPER, classes_of, recipe_of, with_seed
from scapnet.experiments.record import essence, hardware, pack
from scapnet.experiments.reproduce import _mean_curves
from scapnet.experiments.rows import Row, Table, another_seed, changed, equal_compute, equal_steps, times
from scapnet.experiments.stats import STUDENT, difference, spread, student
from scapnet.experiments.tables import NO_PARTS, NTS, PLAIN, TABLES
from scapnet.modules.ggau import GridGate
from scapnet.schedule import stage_of
from scapnet.serialization import to_dict

SETS = ("finches", "grocery", *PAPER)


def rows_of(data: str) -> Iterator[tuple[Table, Row]]:
    """Every row that a data set runs."""
    for table in TABLES.values():
        yield from ((table, row) for row in table.rows if row.name and row.belongs(data))


def small(config: Config) -> Config:
    """The same with the tiny network at 128 px."""
    data = replace(config.data, size=128, resize=128, source_size=None)
    return replace(
        config,
        data=data,
        model=replace(config.model, backbone="test_resnet", weights="none", parts=replace(config.model.parts, size=32)),
    )


def one(data: str, seed: int = 0) -> Config:
    return with_seed(recipe_of(data, None), seed)


# --- Rows ---


@pytest.mark.parametrize("data", SETS)
def test_a_name_is_one_config_and_a_config_one_name(data: str) -> None:
    names, configs = defaultdict(set), defaultdict(set)
    for _, row in rows_of(data):
        config = row.config(one(data))
        settings = json.dumps(essence(config), sort_keys=True)
        names[row.name].add(settings)
        if row.average is None:
            configs[settings].add(row.name)
        assert re.fullmatch(r"[a-z0-9.-]+", row.name)
    assert [name for name, found in names.items() if len(found) > 1] == []
    assert [found for found in configs.values() if len(found) > 1] == []
    for table in TABLES.values():
        mine = [row.name for row in table.rows if row.name and row.belongs(data)]
        assert len(mine) == len(set(mine))


def test_every_network_of_every_row_builds() -> None:
    backbones, seen = set(), set()
    for data in ("finches", "grocery", "cub"):
        for _, row in rows_of(data):
            config = row.config(one(data))
            backbones.add(config.model.backbone)
            tiny = small(config).model
            if tiny not in seen:
                seen.add(tiny)
                assert build_model(tiny, 5, 128).config == tiny
    assert len(seen) > 35
    assert backbones == {"test_resnet", "mobilenetv2_100", "resnet50.tv_in1k", "vgg19.tv_in1k"}
    assert all(timm.is_model(name) for name in backbones)


def test_whatever_a_row_needs_is_in_its_table() -> None:
    for data in SETS:
        for table in TABLES.values():
            mine = {row.name for row in table.rows if row.belongs(data)}
            assert all(set(row.average) <= mine for row in table.rows if row.belongs(data) and row.average)
    for table in TABLES.values():
        assert {name for pair in table.claims for name in pair} <= {row.name for row in table.rows}
        assert all(table.rows[0].belongs(data) and table.rows[0].name for data in SETS) or table.name == "table5"


# Tables III to XII as the paper's text prints them: CUB and AIR, or the columns that a table has.
PRINTED: dict[str, list[tuple[str, tuple[float | None, ...]]]] = {
    "table3": [
        ("FT-VGG-19", (77.8, 84.8)),
        ("FT-ResNet-50", (85.3, 89.5)),
        ("RA-CNN", (85.3, 88.2)),
        ("DT-RAM", (86.0, 88.2)),
        ("MA-CNN", (86.5, 89.9)),
        ("MAMC", (86.3, None)),
        ("WARN", (85.6, None)),
        ("PC", (87.4, 89.2)),
        ("DFL-CNN", (87.4, 92.0)),
        ("NTS-Net", (87.5, 91.4)),
        ("Stack LSTM", (90.4, None)),
        ("PMG", (89.6, 93.4)),
        ("TASN", (87.9, None)),
        ("RG", (87.3, None)),
        ("gGAU + RRA", (87.5, 91.5)),
        ("PRM + NTS-Net", (88.0, 91.8)),
        ("SCAPNet", (88.6, 92.5)),
        ("SCAPNet-dagger", (89.5, 93.6)),
    ],
    "table4": [
        ("backbone", (85.3, 89.5)),
        ("gGAU", (86.3, 91.0)),
        ("SCAPS", (87.0, 90.8)),
        ("gGAU + PRM", (87.3, 91.1)),
        ("gGAU + SCAPS", (87.9, 91.6)),
        ("SCAPS + PRM", (87.1, 90.9)),
        ("gGAU + SCAPS + PRM", (88.6, 92.5)),
    ],
    "table5": [
        ("one stage, 1 head", (92.5,)),
        ("two stages, 1 head", (93.0,)),
        ("two stages, 2 heads", (93.3,)),
        ("two stages, 3 heads", (93.6,)),
        ("two stages, 4 heads", (93.2,)),
    ],
    "table6": [("2 x 2", (85.9, 90.5)), ("3 x 3", (86.0, 91.1)), ("4 x 4", (86.3, 91.0)), ("5 x 5", (85.6, 90.2))],
    "table7": [
        ("soft", (85.4, 89.7)),
        ("soft, Gumbel", (85.9, 90.3)),
        ("hard, Gumbel", (85.8, 90.4)),
        ("hard, Gumbel, L_act", (86.3, 91.0)),
    ],
    "table8": [("random", (87.8, 91.5)), ("max score (gamma = 0)", (88.2, 92.0)), ("scale-consistent", (88.6, 92.5))],
    "table9": [
        ("3 parts: 1, 2, 0", (87.5,)),
        ("4 parts: 1, 2, 1", (88.1,)),
        ("5 parts: 2, 2, 1", (88.5,)),
        ("6 parts: 3, 2, 1", (88.6,)),
        ("7 parts: 4, 2, 1", (88.2,)),
    ],
    "table10": [
        ("concatenate", (87.9, 91.6)),
        ("ensemble", (88.0, 91.6)),
        ("graph convolution", (87.5, 91.9)),
        ("ARM", (88.4, 92.2)),
        ("GRM", (88.1, 91.9)),
        ("PRM", (88.6, 92.5)),
    ],
    "table11": [
        ("VGGNet", (78.5, 79.8, 77.1)),
        ("HybridNet", (None, None, 83.5)),
        ("REVF", (None, None, 84.5)),
        ("ResNet", (88.1, 89.7, 86.9)),
        ("SCAPNet", (89.3, 91.0, 88.1)),
    ],
    "table12": [
        ("1, 1, 0, 1", (91.5,)),
        ("1, 1, 0.5, 1", (92.0,)),
        ("1, 0, 1, 1", (91.1,)),
        ("1, 0.75, 1, 1", (91.7,)),
        ("1, 1.25, 1, 1", (92.0,)),
        ("1, 1, 1.5, 1", (92.7,)),
        ("1, 1, 1, 1", (92.5,)),
    ],
    "fig9": [],
}


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("data", ["finches", "cub"])
def test_the_figures_are_the_papers(name: str, data: str) -> None:
    table = TABLES[name]
    printed = [(label, {c: f for c, f in zip(table.columns, row, strict=True) if f}) for label, row in PRINTED[name]]
    if name == "table3" and data not in PAPER:
        printed = printed[1:]  # VGG-19 is for the paper's own data sets
    found = [(row.label, dict(row.paper)) for row in table.rows if row.belongs(data) and row.paper]
    assert sorted(found, key=str) == sorted(printed, key=str)
    assert set(table.columns) <= set(PAPER)


def test_rows_change_what_their_labels_say() -> None:
    base = one("finches")
    named = {row.name: row.config(base) for _, row in rows_of("finches")}
    assert named["full"] == base
    assert named["plain"] == named["plain-two"] != named["plain-b"]
    assert named["act-0.75"].loss.act == 0.75 * 0.5
    assert named["ggau-beta-8"].loss.act == 8 * 0.5
    assert named["hard-gumbel"].loss.act == 0
    assert named["con-1.5"].loss.con == 1.5
    assert sum(named["top-5"].model.parts.keep) == 6
    assert named["top-5"].model.parts.total == 5
    assert named["gcn"].model.relation.type == "gcn"
    looked = [row.name for row in TABLES["table4"].rows if row.name in named and part_count(named[row.name].model)]
    assert looked == ["scaps", "ggau-prm", "ggau-scaps", "scaps-prm", "full", "fixed", "printed", "scratch"]
    assert {sum(named[name].model.parts.keep) for name in looked} == {6}
    assert named["fixed"].model.parts.strategy == "fixed"
    assert named["dagger"].model.relation.heads == 3
    for data, stages in (("finches", 4), ("grocery", 2), ("cub", 20)):
        rows = {row.label: row.config(one(data)) for table, row in rows_of(data) if table.name == "table5"}
        assert [(c.train.stage1_epochs, c.model.relation.heads) for c in rows.values()] == [
            (0, 1),
            *((stages, n) for n in (1, 2, 3, 4)),
        ]
        assert [name for name, c in rows.items() if c == one(data)] == [
            "one stage, 1 head" if data == "cub" else "two stages, 1 head"
        ]


def test_changes_that_are_none_are_refused() -> None:
    for name in ("model.gird", "mode.grid", "grid"):
        with pytest.raises(KeyError, match=name):
            changed(TINY, {name: 1})
    assert changed(TINY, {}) == TINY
    assert changed(TINY, {"loss.con": times("con", 3)}).loss == replace(TINY.loss, con=3.0)


@pytest.mark.parametrize("data", SETS)
def test_equal_compute_sees_as_many_pixels(data: str) -> None:
    config = one(data)
    pixels = 0
    for epoch in range(config.train.epochs):
        pixels += config.data.size**2
        if stage_of(config, epoch) == 2:
            for _ in range(sum(config.model.parts.keep)):
                pixels += config.model.parts.size**2
    plain = changed(config, {**PLAIN, "train.epochs": equal_compute})
    assert 0 <= plain.train.epochs * config.data.size**2 - pixels < config.data.size**2
    assert part_count(plain.model) == 0
    assert equal_steps(changed(config, {"train.schedule": "cosine"})) == config.train.step_epochs
    stepped = changed(config, {"train.schedule": "step"})  # as many steps of the learning rate as in the shorter run
    assert equal_steps(stepped) == pytest.approx(
        config.train.step_epochs * plain.train.epochs / config.train.epochs, abs=1
    )
    for row in TABLES["table4"].rows:
        if row.name == "plain-long":
            assert row.config(stepped).train.step_epochs == equal_steps(stepped)


@pytest.mark.parametrize("data", SETS)
def test_seeds_draw_anew_and_pair_all_rows(data: str) -> None:
    seeds = [one(data, seed) for seed in range(12)]
    assert len({config.train.seed for config in seeds}) == 12
    assert min(config.train.seed for config in seeds) >= FIRST_SEED == 1000
    if data in ("finches", "grocery"):
        assert len({config.data for config in seeds}) == (12 if data == "finches" else 4)
        assert all(config.data.seed >= FIRST_SEED for config in seeds)
    if data == "grocery":
        assert [c.data.fold for c in seeds] == [*range(4)] * 3  # the fifth is for trials
        assert {c.data.seed for c in seeds} == {1000}  # dealt anew, the trials' photos would be in other folds
    for seed in (0, 7):
        others = [row.config(seeds[seed]) for _, row in rows_of(data)]
        assert {config.data for config in others} == {seeds[seed].data}
        assert {config.train.seed for config in others} <= {seeds[seed].train.seed, another_seed(seeds[seed])}
    assert not {another_seed(config) for config in seeds} & {config.train.seed for config in seeds}


def test_a_data_set_without_a_recipe_is_told() -> None:
    with pytest.raises(ValueError, match=r"no recipe for 'cats'.*vegfru"):
        recipe_of("cats", None)
    known = {"finches": 32, "grocery": 81, "cub": 200, "aircraft": 100, "veg200": 200, "fru92": 92, "vegfru": 292}
    assert {data: classes_of(one(data)) for data in SETS} == known
    base = recipe_of("cub", Path("birds"), "some/file.pth")
    assert (base.preset, base.data.root, base.model.weights) == ("cub", Path("birds"), "some/file.pth")


# --- Statistics ---


def test_differences_against_sums_by_hand() -> None:
    ours, theirs = [88.1, 90.4, 86.3, 91.2, 89.9], [87.0, 90.9, 85.1, 89.3, 88.2]
    gap = difference(ours, theirs)
    mean = 0.0
    for a, b in zip(ours, theirs, strict=True):
        mean += (a - b) / 5
    squares = 0.0
    for a, b in zip(ours, theirs, strict=True):
        squares += (a - b - mean) ** 2
    half = 2.776 * math.sqrt(squares / 4) / math.sqrt(5)
    assert gap == pytest.approx((mean, mean - half, mean + half, 5))
    assert gap.mean == pytest.approx(1.08)
    back = difference(theirs, ours)
    assert (back.mean, back.low, back.high) == pytest.approx((-gap.mean, -gap.high, -gap.low))


def test_few_or_no_pairs() -> None:
    gap = difference([2.0], [1.0])
    assert (gap.mean, gap.n) == (1.0, 1)
    assert math.isnan(gap.low)
    assert math.isnan(gap.high)
    assert math.isnan(spread([3.0]))
    assert spread([1.0, 3.0]) == pytest.approx(math.sqrt(2))
    for pair in (([], []), ([1.0], []), ([1.0, 2.0], [1.0])):
        with pytest.raises(ValueError, match="no pairs"):
            difference(*pair)
    assert difference([1.0, 1.0, 1.0], [0.0, 0.0, 0.0])[:3] == (1.0, 1.0, 1.0)


def below(point: float, freedom: int, steps: int = 4000) -> float:
    """Share of Student's t below a positive point: half, and the integral of its density from 0 by Simpson's rule."""
    scale = math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2) - math.log(freedom * math.pi) / 2
    total = 0.0
    for i in range(steps + 1):
        x = point * i / steps
        weight = 1 if i in (0, steps) else 4 if i % 2 else 2
        total += weight * math.exp(scale - (freedom + 1) / 2 * math.log1p(x * x / freedom))
    return 0.5 + total * point / steps / 3


def test_student() -> None:
    assert len(STUDENT) == 30
    for freedom, point in enumerate(STUDENT, 1):
        assert student(freedom) == point
        assert below(point - 0.0006, freedom) < 0.975 < below(point + 0.0006, freedom)
    for freedom in (31, 40, 100, 4999):  # the short formula is a little too wide, never too narrow
        assert below(student(freedom) - 0.003, freedom) < 0.975 <= below(student(freedom), freedom) + 1e-5


# --- Pages ---


def record(seed: int, right: Sequence[bool], **scores: float) -> dict[str, Any]:
    """What a run leaves, without the run."""
    found = {"accuracy": sum(right) / len(right), "images": float(len(right)), "train_seconds": 1800.0} | scores
    about = {"row": "?", "seed": seed, "command": "c", "commit": "abc1234", "hardware": "an abacus", "torch": "9.0"}
    return about | {"config": TINY, "scores": found, "curve": [{"accuracy": 0.5}], "right": pack_list(right)}


def pack_list(right: Sequence[bool]) -> str:
    return pack(torch.tensor(list(right)))


def answers(count: int, of: int = 100) -> list[bool]:
    return [i < count for i in range(of)]


TABLE = Table(
    "toy",
    "Toys",
    (
        Row("base", "bare", paper={"cub": 80.0}),
        Row("", "quoted", paper={"cub": 81.5}),
        Row("good", "better", paper={"cub": 82.0, "aircraft": 91.0}, note="ours"),
        Row("bad", "worse", paper={"aircraft": 90.0}),
    ),
    shows=("kept", "covered"),
    notes=("Toys are no birds.",),
    claims=(("good", "base"), ("bad", "base"), ("good", "bad"), ("bad", "other")),
)


def found(records: Mapping[str, Sequence[dict[str, Any]]]) -> list[Found]:
    return [Found(row, {r["seed"]: r for r in records.get(row.name, [])}) for row in TABLE.rows]


def cells(page: str) -> dict[str, list[str]]:
    """The cells of each row by its label."""
    lines = [line.strip("|").split("|") for line in page.splitlines() if line.startswith("|")]
    assert len({len(line) for line in lines if len(line) > 3}) == 1
    return {line[0].strip(): [cell.strip() for cell in line[1:]] for line in lines}


THREE = {
    "base": [record(s, answers(n), kept=0.5) for s, n in enumerate((50, 52, 51))],
    "good": [record(s, answers(n), kept=0.25) for s, n in enumerate((60, 61, 62))],
    "bad": [record(s, answers(n)) for s, n in enumerate((51, 48, 52))],
}


def test_a_page_of_three_seeds() -> None:
    page = markdown(TABLE, found(THREE), "finches", "scapnet reproduce toy", {})
    rows = cells(page)
    assert rows["row"] == [
        *("runs", "accuracy", "to the first row", "to the row above", "kept"),
        *("paper, CUB", "to its first row", "paper, Aircraft", "to its first row"),
    ]
    assert rows["bare"] == ["3", "51.0 ± 1.0", "", "", "50.0 ± 0.0", "80.0", "", "", ""]
    assert rows["quoted"] == ["", "", "", "", "", "81.5", "+1.5", "", ""]
    # gaps 10, 9, 11: 10 -+ 4.303 / 3**0.5 is (7.516, 12.484)
    assert rows["better"] == ["3", "61.0 ± 1.0", "+10.0 [+7.5, +12.5]", "", "25.0 ± 0.0", "82.0", "+2.0", "91.0", ""]
    # gaps 1, -4, 1 to the first and -9, -13, -10 to the row above
    assert rows["worse"][:5] == ["3", "50.3 ± 2.1", "-0.7 [-7.8, +6.5]", "-10.7 [-15.8, -5.5]", ""]
    assert rows["better > bare"] == ["+10.0 [+7.5, +12.5]", "holds"]
    assert rows["worse > bare"] == ["-0.7 [-7.8, +6.5]", "not decided"]
    assert rows["better > worse"] == ["+10.7 [+5.5, +15.8]", "holds"]
    assert "over runs, paired by seed" in page
    assert "100 test pictures a run" in page
    folds = THREE | {"bad": [record(3, answers(50, 90)), *THREE["bad"]]}
    assert "90 to 100 test pictures a run" in markdown(TABLE, found(folds), "finches", "c", {})
    assert "training took 4.5 hours in all" in page
    assert "- Toys are no birds." in page
    averaged = THREE | {"bad": [made | {"curve": []} for made in THREE["bad"]]}  # their hours are the others' already
    assert "training took 3.0 hours in all" in markdown(TABLE, found(averaged), "finches", "c", {})
    assert "- better: ours." in page
    assert "`scapnet reproduce toy`" in page
    turned = replace(TABLE, claims=(("bad", "good"),))
    assert cells(markdown(turned, found(THREE), "finches", "c", {}))["worse > better"][1] == "does not hold"


@pytest.mark.parametrize(("held_out", "again"), [((0, 1, 2), False), ((0, 1, 0), True)])
def test_a_page_says_where_a_fold_is_held_out_again(held_out: tuple[int, ...], again: bool) -> None:
    configs = [replace(TINY, data=replace(TINY.data, folds=4, fold=fold)) for fold in held_out]
    rows = {name: [made | {"config": c} for made, c in zip(row, configs, strict=True)] for name, row in THREE.items()}
    page = markdown(TABLE, found(rows), "grocery", "c", {})
    assert "each run holds out one of 4 folds" in page
    assert ("the same fold under another seed" in page) == again


def test_a_page_says_where_runs_differ_in_more_than_their_rows() -> None:
    alone = "do not differ in their rows alone"
    assert alone not in markdown(TABLE, found(THREE), "finches", "c", {})
    halves = replace(TINY, train=replace(TINY.train, precision="bf16"))
    bad = [THREE["bad"][0] | {"config": halves}, *THREE["bad"][1:]]
    page = markdown(TABLE, found(THREE | {"bad": bad}), "finches", "c", {})
    assert alone in page
    assert ". bf16 with torch 9.0: *worse*; float32 with torch 9.0: *bare*, *better*, *worse*." in page
    newer = [made | {"torch": "9.1"} for made in THREE["good"]]
    page = markdown(TABLE, found(THREE | {"good": newer}), "finches", "c", {})
    assert ". float32 with torch 9.0: *bare*, *worse*; float32 with torch 9.1: *better*." in page
    averaged = [made | {"curve": [], "torch": "9.1"} for made in THREE["good"]]  # it trained nothing
    assert alone not in markdown(TABLE, found(THREE | {"good": averaged}), "finches", "c", {})


def test_one_seed_is_compared_picture_by_picture() -> None:
    few = {name: records[:1] for name, records in THREE.items()}
    rows = cells(page := markdown(TABLE, found(few), "finches", "c", {}))
    gaps = [100.0] * 10 + [0.0] * 90
    gap = difference(gaps, [0.0] * 100)
    assert rows["better"][:3] == ["1", "60.0", f"+10.0 [{gap.low:+.1f}, {gap.high:+.1f}] †"]
    assert "over their test pictures, paired" in page
    assert rows["better > bare"][1] == "holds in these runs"
    assert rows["worse > bare"][1] == "not decided"
    lost = replace(TABLE, claims=(("base", "good"), ("base", "bad")))
    few["bad"] = [record(0, answers(50))]
    rows = cells(markdown(lost, found(few), "finches", "c", {}))
    assert rows["bare > better"][1] == "does not hold in these runs"
    assert rows["bare > worse"][1] == "not decided"
    assert by_seeds(*(found(few)[i] for i in (2, 0))) == pytest.approx((10.0, math.nan, math.nan, 1), nan_ok=True)


def test_a_picture_that_two_seeds_answered_is_one_picture() -> None:
    ours, theirs = found({"good": [record(0, answers(60)), record(1, answers(60))], "base": THREE["base"][:1] * 1})[
        2::-2
    ]
    theirs = Found(theirs.row, {s: record(s, answers(50)) for s in (0, 1, 2)})
    single = by_pictures(Found(ours.row, {0: ours.records[0]}), theirs)
    assert by_pictures(ours, theirs) == single  # the same answers twice are no more evidence
    dice = random.Random(0)
    runs = {s: [[dice.random() < p for _ in range(400)] for s in range(2)] for s, p in ((0, 0.7), (1, 0.6))}
    a, b = (Found(TABLE.rows[0], {s: record(s, right) for s, right in enumerate(runs[k])}) for k in (0, 1))
    gap = by_pictures(a, b)
    assert gap is not None
    assert gap.mean == pytest.approx(100 * (sum(map(sum, runs[0])) - sum(map(sum, runs[1]))) / 800)
    assert gap.n == 400
    longer = [Found(f.row, {**f.records, 2: record(2, answers(n, 500))}) for f, n in ((a, 500), (b, 0))]
    gap = by_pictures(longer[0], longer[1])
    assert gap is not None
    assert gap.n == 500  # a run of more pictures is used whole
    drawn = [{0: record(0, answers(n)), 1: record(1, answers(n))} for n in (60, 50)]
    for side in drawn:  # other pictures for another seed
        side[1]["config"] = changed(TINY, {"data.seed": 77})
    gap = by_pictures(*(Found(TABLE.rows[0], side) for side in drawn))
    assert gap is not None
    assert gap.mean == pytest.approx(10.0)
    assert gap.n == 200
    short = Found(TABLE.rows[0], {0: record(0, answers(1, 3))})
    assert by_pictures(a, short) is None
    assert by_pictures(a, Found(TABLE.rows[0], {5: record(5, answers(1))})) is None
    assert by_seeds(a, Found(TABLE.rows[0], {5: record(5, answers(1))})) is None


def test_only_seeds_that_both_have_are_compared() -> None:
    some = THREE | {"good": [record(s, answers(n)) for s, n in ((1, 61), (7, 99))]}
    rows = cells(markdown(TABLE, found(some), "finches", "c", {}))
    gap = by_pictures(found(some)[2], found(some)[0])
    assert gap is not None  # of seed 1 alone
    assert rows["better"][:3] == ["2", "80.0 ± 26.9", f"+9.0 [{gap.low:+.1f}, {gap.high:+.1f}] †"]
    assert rows["better > bare"] == [f"+9.0 [{gap.low:+.1f}, {gap.high:+.1f}] †", "holds in these runs"]
    assert rows["worse > bare"] == ["-0.7 [-7.8, +6.5]", "not decided"]  # three of its seeds are shared


def test_nothing_run_yet() -> None:
    page = markdown(TABLE, found({}), "cub", "c", {})
    assert "Not yet run" in page
    assert "claim" not in page
    assert cells(page)["better"] == ["", "", "", "", "82.0", "+2.0", "91.0", ""]
    for table in TABLES.values():
        rows = [Found(row, {}) for row in table.rows if row.belongs("cub")]
        assert len(cells(markdown(table, rows, "cub", "c", {}))) == len(rows) + 2
    paid = replace(TABLE, costs=True)
    costs = {"base": Cost(0, 1.5, 2.0), "good": Cost(16434, 4.125, 3.0)}
    page = markdown(paid, found({}), "cub", "c", costs)
    assert "Not yet run: the columns of our accuracy are empty." in page
    assert f"on {hardware()} with {torch.get_num_threads()} thread" in page
    priced = cells(page)
    assert priced["bare"][4:7] == ["-", "1.50", "2 (1.00 x)"]
    assert priced["better"][4:7] == ["16,434", "4.12", "3 (1.50 x)"]
    assert priced["quoted"][4:7] == ["", "", ""]


def test_files_say_the_same_twice(tmp_path: Path) -> None:
    rows = tmp_path / "rows"
    rows.mkdir()
    for name, records in THREE.items():
        for made in records:
            (rows / f"{name}-{made['seed']}.json").write_text(json.dumps(made | {"config": to_dict(TINY)}))
    (rows / "good-10.json").write_text(json.dumps(record(10, answers(61)) | {"config": to_dict(TINY)}))
    for other in ("good-old-0", "good-b-1", "good", "good-1.5-0"):
        (rows / f"{other}.json").write_text("not for this row")
    read = read_rows(TABLE, rows, "finches")
    assert [list(f.records) for f in read] == [[0, 1, 2], [], [0, 1, 2, 10], [0, 1, 2]]
    file = write_table(TABLE, tmp_path, "finches", "c", {"base": Cost(1, 2.0, 3.0)})
    page, values = cells(file.read_text()), json.loads((tmp_path / "toy.json").read_text())
    assert {path.name for path in tmp_path.iterdir()} == {"rows", "toy.md", "toy.json"}
    for row in values["rows"]:
        accuracies = [100 * a for a in row["measured"].get("accuracy", [])]
        shown = page[row["label"]]
        assert shown[0] == str(len(row["seeds"]) or "")
        assert shown[1].startswith(f"{sum(accuracies) / len(accuracies):.1f}" if accuracies else "")
        assert (row["mean"] == pytest.approx(sum(accuracies) / len(accuracies))) if accuracies else "mean" not in row
        if row.get("to_first"):
            gap = row["to_first"]
            assert gap["over"] == "runs"
            assert shown[2] == f"{gap['mean']:+.1f} [{gap['low']:+.1f}, {gap['high']:+.1f}]"
        assert row["paper"].get("cub") == (float(shown[-4]) if shown[-4] else None)
    assert values["costs"] == {"base": {"location": 1, "gmacs": 2.0, "seconds": 3.0}}
    assert values["rows"][2]["to_above"] == {}  # the row above is quoted
    assert "to_first" not in values["rows"][0]
    assert values["rows"][2]["paper_to_first"] == {"cub": 2.0}
    assert [claim["verdict"] for claim in values["claims"]] == ["holds", "not decided", "holds"]
    assert values["commits"] == "abc1234"
    assert values["hours"] == 5.0
    assert values["rows"][1]["row"] is None


def test_lines_are_means_of_the_same_seeds() -> None:
    def row(name: str, points: Mapping[int, tuple[float, ...]]) -> Found:
        runs = {seed: record(seed, [True]) | {"curve": [{"accuracy": y} for y in ys]} for seed, ys in points.items()}
        return Found(Row(name, name), runs)

    few, many = row("few", {1: (0.2, 0.4), 2: (0.4, 0.8)}), row("many", {0: (0.0, 0.1), 1: (0.5, 0.5), 2: (0.7, 0.9)})
    other = row("other", {7: (0.25,)})
    means = _mean_curves([few, many])
    assert [epoch for epoch, _ in means["few"]] == [1, 2]
    assert [y for _, y in means["few"]] == pytest.approx([0.3, 0.6])
    assert [y for _, y in means["many"]] == pytest.approx([0.6, 0.7])
    apart = _mean_curves([many, other])
    assert apart["other"] == [(1, 0.25)]
    assert apart["many"][0][1] == pytest.approx(0.4)


# --- Costs ---


def test_parameters_that_locate() -> None:
    assert sum(p.numel() for p in GridGate(1024, 4, 16).parameters()) == 16_434  # the paper's 0.02M
    tiny = small(one("cub")).model
    full, plain = (build_model(changed(Config(model=tiny), changes).model, 5, 128) for changes in ({}, PLAIN))
    gate = full.location_module()
    assert isinstance(gate, GridGate)
    assert location_parameters(full) == sum(p.numel() for p in gate.parameters())
    assert location_parameters(plain) == 0
    nts = build_model(changed(Config(model=tiny), NTS).model, 5, 128)
    width = nts.backbone.dim
    # three 3x3 convolutions of 128 channels and the heads of 6, 6 and 9 anchors a place
    expected = width * 128 * 9 + 128 + 2 * (128 * 128 * 9 + 128) + 128 * 21 + 21
    assert location_parameters(nts) == expected
    assert expected + (2048 - width) * 128 * 9 == 2_657_301


def test_multiply_adds_by_hand() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8, 5)

        def forward(self, image: torch.Tensor, source: None, index: torch.Tensor) -> torch.Tensor:
            assert not self.training
            assert len(image) == len(index)
            return torch.as_tensor(self.last(self.first(image).mean((2, 3))))

    net: Any = Net()
    net.location_module = lambda: net.last
    cost = cost_of(net, 16, batch=2, repeats=1)
    assert cost.gmacs == pytest.approx((16 * 16 * 3 * 8 * 9 + 8 * 5) / 1e9)
    assert cost.location == 8 * 5 + 5
    assert cost.seconds > 0
    assert net.training


def test_multiply_adds_of_an_lstm_by_hand() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(6, 5, 2, batch_first=True)

        def forward(self, image: torch.Tensor, source: None, index: torch.Tensor) -> torch.Tensor:
            steps = image.flatten(1)[:, :42].reshape(-1, 7, 6)
            return torch.as_tensor(self.lstm(steps)[0])

    net: Any = Net()
    net.location_module = lambda: None
    # At each of seven steps, four gates of five units see the input and the state; so do the second layer's.
    assert cost_of(net, 16, batch=2, repeats=1).gmacs == pytest.approx(7 * (4 * 5 * (6 + 5) + 4 * 5 * (5 + 5)) / 1e9)


def test_hours() -> None:
    configs = [row.config(one("finches")) for _, row in rows_of("finches")][:7]
    assert hours(configs, 0.2) == pytest.approx(2 * hours(configs, 0.1))
    assert hours(configs, 0.1) == pytest.approx(sum(hours([config], 0.1) for config in configs))
    plain = changed(one("cub"), PLAIN)
    for epochs in (1, 10):
        twice = changed(plain, {"train.epochs": epochs})
        assert hours([twice], 1.0) == pytest.approx(epochs * 5994 / 3600)
    assert hours([changed(plain, {**NO_PARTS, "model.gate.enabled": True})], 1.0) == hours([plain], 1.0)
    assert hours([one("cub")], 1.0) == pytest.approx(2.5 * hours([plain], 1.0))  # six parts of a quarter
    assert training_images(one("finches")) == 2000
    assert training_images(one("grocery")) == (2640 + 296) * 4 // 5
    assert all(training_images(one(data)) > 5000 for data in PAPER)
    tiny = replace(TINY, model=ModelConfig("test_resnet", "tiny", parts=PartsConfig(size=32)))
    assert 0 < seconds_an_image(tiny, batch=2) < 10
