"""Which settings decide a run's result, and that every committed record is still a run of its row."""

from copy import deepcopy
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

import pytest

from scapnet.experiments.identity import deciding_settings, same_settings
from scapnet.experiments.recipes import recipe_of, with_seed
from scapnet.experiments.record import files_of, read_record
from scapnet.experiments.rows import changed
from scapnet.experiments.tables import TABLES
from scapnet.experiments.tables.frontier import FRONTIER
from scapnet.serialization import from_dict, to_dict
from toy_runs import BASE

RESULTS = Path(__file__).parents[2] / "results" / "reproduce"
IGNORED = {
    *("preset", "data.root", "data.workers", "data.download"),
    *("train.precision", "train.log_every", "train.checkpoint_steps", "train.grad_checkpointing", "train.tracker"),
    "loss.distill_tau",  # without distillation
}


def leaves(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Each setting by its name with the names of its sections."""
    found: dict[str, Any] = {}
    for name, value in vars(tree).items():
        found |= leaves(value, f"{prefix}{name}.") if is_dataclass(value) else {prefix + name: value}
    return found


def with_changes(**changes: Any) -> dict[str, Any]:
    """The deciding settings of BASE with some changed; two underscores stand for a dot."""
    return deciding_settings(changed(BASE, {name.replace("__", "."): value for name, value in changes.items()}))


def test_all_settings_but_those_of_place_and_pace_decide() -> None:
    whole = deciding_settings(BASE)
    for name in leaves(BASE):
        other = deepcopy(BASE)
        section: Any = other
        *sections, setting = name.split(".")
        for part in sections:
            section = getattr(section, part)
        # Past the checks of settings, each of which would need a value of its own kind.
        object.__setattr__(section, setting, "rra" if name == "model.network" else "other")
        assert (deciding_settings(other) == whole) == (name in IGNORED), name
    deep, flat = with_changes(model__weights="a/b/w.pth"), with_changes(model__weights="c/w.pth")
    assert deep == flat != whole


def test_settings_of_modules_that_a_network_does_not_have_decide_nothing() -> None:
    bare = {"model__parts__enabled": False, "model__relation__enabled": False}
    assert with_changes(**bare, model__parts__keep=(1,), loss__con=9.0) == with_changes(**bare)
    assert with_changes(**bare, train__stage1_epochs=1, train__part_start="main") == with_changes(**bare)
    assert with_changes(**bare) != deciding_settings(BASE)
    assert with_changes(**bare, loss__act=9.0) != with_changes(**bare)
    bare["model__gate__enabled"] = False
    assert with_changes(**bare, loss__act=9.0, model__gate__grid=3) == with_changes(**bare)
    assert with_changes(model__network="plain", model__parts__size=99) == with_changes(**bare)
    assert with_changes(**bare, train__lr=9.0) != with_changes(**bare)
    nts, rra = (with_changes(model__network=name, model__gate__enabled=False) for name in ("nts", "rra"))
    assert nts != rra


@pytest.mark.parametrize(("section", "name"), [("model", "relation"), ("data", "fold_by"), ("loss", "smoothing")])
def test_settings_saved_before_one_was_added_are_of_the_same_run(section: str, name: str) -> None:
    values = to_dict(BASE)
    del values[section][name]
    assert same_settings(from_dict(type(BASE), values), BASE)
    values["train"]["epochs"] = 9
    assert not same_settings(from_dict(type(BASE), values), BASE)


@pytest.mark.parametrize("data", sorted(folder.parent.name for folder in RESULTS.glob("*/rows")))
def test_every_committed_record_is_a_run_of_its_row(data: str) -> None:
    rows = {
        row.name: row
        for table in (*TABLES.values(), FRONTIER)
        for row in table.rows
        if row.name and row.applies_to(data)
    }
    files = set((RESULTS / data / "rows").glob("*.json"))
    assert files
    for name, row in rows.items():
        for seed, file in files_of(name, RESULTS / data / "rows").items():
            record = read_record(file)
            weights = record.config.model.weights  # of a file, where --weights named one
            base = recipe_of(data, None, weights if "." in weights else None)
            assert same_settings(record.config, row.config(with_seed(base, seed))), file
            assert (record.row, record.seed) == (name, seed)
            files.remove(file)
    assert not files, "records of no row"
