"""Rows and tables: the settings that a row changes, and the numbers that the paper prints for it."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from scapnet.config import Config
from scapnet.training.schedule import work_of

Changes = Mapping[str, Any]  # "section.setting" to a value, or to a function of the recipe that returns one


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Args:
        name: name of its runs, shared by rows of different tables with the same run; "" for a quoted row.
        label: its text in the table.
        changes: changes to the data set's recipe.
        paper: accuracy in percent in the paper, by data set.
        note: what a reader must know.
        average: names of two rows whose answers are averaged; such a row trains nothing.
        only: the data sets that have this row; empty for all.
        cascade: name of a row whose answers it has, or names of two: the answers of the first or, where these are
            unsure, of both. A name with ".main" means the row's main branch, one with ".pool" its answer with weighed
            branches (`scapnet.metrics.pooling`). Such a row trains nothing.
    """

    name: str
    label: str
    changes: Changes = field(default_factory=dict)
    paper: Mapping[str, float] = field(default_factory=dict)
    note: str = ""
    average: tuple[str, str] | None = None
    only: tuple[str, ...] = ()
    cascade: tuple[str, ...] = ()

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the rows whose answers this one is made of; empty of one that is trained."""
        return tuple(dict.fromkeys(source_of(name) for name in (*(self.average or ()), *self.cascade)))

    def config(self, recipe: Config) -> Config:
        """The row's config, from a recipe."""
        return changed(recipe, self.changes)

    def applies_to(self, data: str) -> bool:
        """Whether a data set has this row."""
        return not self.only or data in self.only


@dataclass(frozen=True)
class Table:
    """A table of the paper.

    Args:
        name: its name for `scapnet reproduce`.
        title: what it compares.
        rows: in the order of the table; differences are to the first one.
        columns: the data sets for which the paper has numbers.
        scores: the scores shown beside the accuracy.
        notes: notes on the whole table.
        costs: show what each row's network costs.
        claims: pairs of rows, the first of which should be better, according to the paper or as a control.
        first: names of the rows to train before the others.
    """

    name: str
    title: str
    rows: tuple[Row, ...]
    columns: tuple[str, ...] = ("cub", "aircraft")
    scores: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    costs: bool = False
    claims: tuple[tuple[str, str], ...] = ()
    first: tuple[str, ...] = ()


def source_of(name: str) -> str:
    """The row that an entry of `Row.cascade` names.

    >>> source_of("full.main")
    'full'
    """
    return name.removesuffix(".main").removesuffix(".pool")


def changed(config: Config, changes: Changes) -> Config:
    """A config with some settings changed at once; values that are functions get the config before any change.

    Raises:
        KeyError: there is no such setting.
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


def scaled(term: str, factor: float) -> Callable[[Config], float]:
    """The recipe's weight of a loss term times a factor, as the paper's weights are relative to 1."""
    return lambda recipe: float(getattr(recipe.loss, term)) * factor


def keep(*quotas: int) -> Callable[[Config], tuple[int, ...]]:
    """Parts per scale, counted from the smallest scale at which the recipe chooses parts."""

    def shifted(recipe: Config) -> tuple[int, ...]:
        return (0,) * next(i for i, quota in enumerate(recipe.model.parts.keep) if quota) + quotas

    return shifted


def equal_compute(recipe: Config) -> int:
    """Epochs in which the plain backbone sees as many pixels as the recipe's network does in the recipe's epochs."""
    return equal_pixels(recipe.data.size)(recipe)


def equal_pixels(size: int) -> Callable[[Config], int]:
    """Epochs, rounded up, in which the backbone at ``size`` px sees as many pixels as the recipe's network does."""

    def epochs(recipe: Config) -> int:
        work = sum(work_of(recipe, epoch) for epoch in range(recipe.train.epochs))
        return math.ceil(work * (recipe.data.size / size) ** 2)

    return epochs


def equal_steps(recipe: Config) -> int:
    """Epochs between two steps of the learning rate, stretched like the run in `equal_compute`."""
    train = recipe.train
    if train.schedule != "step":
        return train.step_epochs
    return round(train.step_epochs * equal_compute(recipe) / train.epochs)


def two_stages(recipe: Config) -> int:
    """Epochs of stage 1: the recipe's own, or a third of the total."""
    return recipe.train.stage1_epochs or recipe.train.epochs // 3


def another_seed(recipe: Config) -> int:
    """A seed that no other row of the same data has."""
    return recipe.train.seed + 500_000
