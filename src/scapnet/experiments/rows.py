"""What a row of a table is: a name, the settings that it changes, and the figures that the paper prints for it."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from scapnet.config import Config
from scapnet.schedule import work_of

Changes = Mapping[str, Any]  # "section.setting" to its value, or to a function of the config that gives the value


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Args:
        name: of its runs; rows of several tables that are the same run share it. "" is a row that is only quoted.
        label: what the table prints.
        changes: what it changes in the base of its data set.
        paper: accuracy in percent that the paper prints, by the name of the data set.
        note: what a reader must know.
        average: names of two rows whose answers are averaged; such a row trains nothing.
        only: data sets that have the row; all, where it is empty.
    """

    name: str
    label: str
    changes: Changes = field(default_factory=dict)
    paper: Mapping[str, float] = field(default_factory=dict)
    note: str = ""
    average: tuple[str, str] | None = None
    only: tuple[str, ...] = ()

    def config(self, base: Config) -> Config:
        """The run that this row is."""
        return changed(base, self.changes)

    def belongs(self, data: str) -> bool:
        """Whether a data set has this row."""
        return not self.only or data in self.only


@dataclass(frozen=True)
class Table:
    """A table of the paper.

    Args:
        name: as `scapnet reproduce` takes it.
        title: what it compares.
        rows: in the order of print; differences are to the first one.
        columns: names of the data sets that the paper gives figures for.
        shows: further scores, beside the accuracy.
        notes: what holds for all of it.
        costs: show what each row's network costs, too.
        claims: pairs of rows of which the first should be the better one, by the paper or as a control.
    """

    name: str
    title: str
    rows: tuple[Row, ...]
    columns: tuple[str, ...] = ("cub", "aircraft")
    shows: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    costs: bool = False
    claims: tuple[tuple[str, str], ...] = ()


def changed(config: Config, changes: Changes) -> Config:
    """A config with some settings changed, all at once; values that are functions see the config before any change.

    Raises:
        KeyError: no such setting.
    """
    tree: dict[str, Any] = {}
    for name, value in changes.items():
        *sections, setting = name.split(".")
        branch: dict[str, Any] = tree
        place: Any = config
        for section in sections:
            branch, place = branch.setdefault(section, {}), getattr(place, section, None)
        if not hasattr(place, setting):
            raise KeyError(f"there is no setting {name}")
        branch[setting] = value(config) if callable(value) else value
    found: Config = _replaced(config, tree)
    return found


def _replaced(section: Any, tree: dict[str, Any]) -> Any:
    new = {
        key: _replaced(getattr(section, key), value) if isinstance(value, dict) else value
        for key, value in tree.items()
    }
    return replace(section, **new)


def times(name: str, factor: float) -> Callable[[Config], float]:
    """The base's own weight of a loss times a factor: the paper's weights are relative to 1."""
    return lambda config: float(getattr(config.loss, name)) * factor


def counts(*keep: int) -> Callable[[Config], tuple[int, ...]]:
    """So many parts a scale, from the smallest one that the recipe has parts of."""

    def shifted(config: Config) -> tuple[int, ...]:
        return (0,) * next(i for i, quota in enumerate(config.model.parts.keep) if quota) + keep

    return shifted


def equal_compute(config: Config) -> int:
    """Epochs in which a plain backbone sees as many pixels as SCAPNet does in a config's epochs."""
    full = changed(config, {"model.network": "scapnet", "model.parts.enabled": True})
    return math.ceil(sum(work_of(full, epoch) for epoch in range(config.train.epochs)))


def equal_steps(config: Config) -> int:
    """Epochs between two steps of the learning rate, stretched as `equal_compute` stretches the run."""
    train = config.train
    if train.schedule != "step":
        return train.step_epochs
    return round(train.step_epochs * equal_compute(config) / train.epochs)


def two_stages(config: Config) -> int:
    """Epochs of stage 1: the recipe's own, or a third of all."""
    return config.train.stage1_epochs or config.train.epochs // 3


def another_seed(config: Config) -> int:
    """A seed that no other row of the same pictures has."""
    return config.train.seed + 500_000
