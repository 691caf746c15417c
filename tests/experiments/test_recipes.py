"""The recipes: what differs between seeds, and the precision of a machine."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from scapnet.experiments.recipes import (
    DRAWN,
    FIRST_SEED,
    OURS,
    PAPER,
    SMALL,
    classes_of,
    for_machine,
    recipe_of,
    with_seed,
)
from scapnet.experiments.rows import another_seed
from scapnet.experiments.tables import TABLES
from scapnet.experiments.tables.frontier import FRONTIER
from toy_runs import BASE

SETS = (*OURS, *SMALL, *PAPER)


@pytest.mark.parametrize("data", SETS)
def test_seeds_draw_new_data_and_pair_all_rows(data: str) -> None:
    seeds = [with_seed(recipe_of(data, None), seed) for seed in range(12)]
    assert len({config.train.seed for config in seeds}) == 12
    assert min(config.train.seed for config in seeds) >= FIRST_SEED == 1000
    if data in (*OURS, *SMALL):
        assert len({config.data for config in seeds}) == (12 if data in DRAWN else 4)
        assert all(config.data.seed >= FIRST_SEED for config in seeds)
    if data in ("grocery", "cub100", "large-birds"):
        assert [c.data.fold for c in seeds] == [*range(4)] * 3  # the fifth is for trials
        assert {c.data.seed for c in seeds} == {1000}  # of another seed, the trials' photos would be in other folds
    tables = [] if data in SMALL else TABLES.values()
    rows = [row for table in tables for row in table.rows if row.name and row.applies_to(data)]
    sizes = [row for row in FRONTIER.rows if row.applies_to(data)]
    for seed in (0, 7):
        others = [row.config(seeds[seed]) for row in rows]
        assert {config.data for config in others} <= {seeds[seed].data}
        others += [row.config(seeds[seed]) for row in sizes]
        assert {(c.data.fold, c.data.seed) for c in others} <= {(seeds[seed].data.fold, seeds[seed].data.seed)}
        assert {config.train.seed for config in others} <= {seeds[seed].train.seed, another_seed(seeds[seed])}
    assert not {another_seed(config) for config in seeds} & {config.train.seed for config in seeds}


def test_a_data_set_without_a_recipe_is_one_sentence() -> None:
    with pytest.raises(ValueError, match=r"no recipe for 'cats'.*vegfru"):
        recipe_of("cats", None)


def test_a_recipe_takes_a_place_and_weights() -> None:
    base = recipe_of("cub", Path("birds"), "some/file.pth")
    assert (base.preset, base.data.root, base.model.weights) == ("cub", Path("birds"), "some/file.pth")


def test_numbers_of_classes() -> None:
    known = {
        "finches": 32,
        "grocery": 81,
        "cub100": 100,
        "large-birds": 100,
        "small-finches": 32,
        "cub": 200,
        "aircraft": 100,
        "veg200": 200,
        "fru92": 92,
        "vegfru": 292,
    }
    assert {data: classes_of(recipe_of(data, None)) for data in SETS} == known


@pytest.mark.parametrize(
    ("gpu", "native", "capability", "own", "expected"),
    [
        (False, True, "AVX512", "no", "no"),
        (False, True, "AVX512", "bf16", "bf16"),
        (False, True, "AVX2", "no", "no"),
        (False, True, "AVX2", "bf16", "no"),
        (True, True, "AVX2", "no", "bf16"),
        (True, False, "AVX2", "bf16", "fp16"),
    ],
)
def test_the_precision_is_fast_on_the_machine(
    monkeypatch: pytest.MonkeyPatch, gpu: bool, native: bool, capability: str, own: str, expected: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native or including_emulation)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    config = replace(BASE, train=replace(BASE.train, precision=own))  # type: ignore[arg-type]
    assert for_machine(config) == replace(BASE, train=replace(BASE.train, precision=expected))  # type: ignore[arg-type]
