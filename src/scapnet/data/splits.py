"""Holding out training photos, stratified by class: a random fraction of them, or one of k folds."""

import random
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from scapnet.data.groups import fold_groups, held_out_groups
from scapnet.data.sample import FineGrained, Splits
from scapnet.terminal.hints import option


class Divisible(FineGrained, Protocol):
    """A split that can be divided and can name its samples."""

    def subset(self, indices: Sequence[int]) -> "Divisible":
        """The samples at some indices."""

    def name(self, index: int) -> str:
        """The name of a sample in its data set."""


D = TypeVar("D", bound=Divisible)


def _members(labels: Sequence[int], seed: int) -> list[list[int]]:
    """The indices of each class, shuffled with the seed."""
    groups: dict[int, list[int]] = defaultdict(list)
    for i, label in enumerate(labels):
        groups[label].append(i)
    for label, members in groups.items():
        random.Random(f"{seed}/{label}").shuffle(members)
    return [groups[label] for label in sorted(groups)]


def held_out(labels: Sequence[int], fraction: float, seed: int) -> list[int]:
    """Indices of a random fraction of each class: at least one photo and never all."""
    chosen: list[int] = []
    for members in _members(labels, seed):
        chosen += members[: min(max(1, round(fraction * len(members))), len(members) - 1)]
    return sorted(chosen)


def in_fold(labels: Sequence[int], folds: int, fold: int, seed: int) -> list[int]:
    """Indices of one of k stratified folds; a class's only photo is in no fold."""
    chosen: list[int] = []
    first = 0
    for members in _members(labels, seed):
        if len(members) > 1:
            chosen += [index for turn, index in enumerate(members, first) if turn % folds == fold]
            first += len(members)  # else small classes would all go to the first folds
    return sorted(chosen)


def in_block(labels: Sequence[int], folds: int, fold: int, seed: int) -> list[int]:
    """As `in_fold`, but with blocks of consecutive photos of each class, from a random start and wrapping around."""
    groups: dict[int, list[int]] = defaultdict(list)
    for i, label in enumerate(labels):
        groups[label].append(i)
    chosen: list[int] = []
    for label, members in groups.items():
        dice, n = random.Random(f"{seed}/{label}"), len(members)
        if n > 1:
            start, first = dice.randrange(n), dice.randrange(folds)  # else the larger blocks would share a fold
            turned = members[start:] + members[:start]
            chosen += [index for k, index in enumerate(turned) if (first + k * folds // n) % folds == fold]
    return sorted(chosen)


def _divide(
    train: Divisible, chosen: list[int], how: dict[str, Any], root: Path | None
) -> tuple[Any, Any, dict[str, Any]]:
    """Training and held-out photos, and a record of their names relative to ``root``."""
    if not chosen:
        alone = "there is only one photo of each class, so none can be held out"
        raise ValueError(f"{alone}; add photos, or train on all of them with {option('data.val-fraction')} 0")
    out = set(chosen)
    kept = [i for i in range(len(train)) if i not in out]
    if gone := set(train.labels) - {train.labels[i] for i in kept}:
        lost = ", ".join(train.classes[label] for label in sorted(gone)[:5])
        raise ValueError(f"all photos of {lost} would be held out because they share groups; make the groups smaller")
    names = {"train": [below(train.name(i), root) for i in kept], "val": [below(train.name(i), root) for i in chosen]}
    return train.subset(kept), train.subset(chosen), how | names


def below(name: str, root: Path | None) -> str:
    """A name relative to the root, so that it stays the same when the data set is moved."""
    return Path(name).relative_to(root).as_posix() if root is not None and Path(name).is_relative_to(root) else name


def by_fraction(train: D, fraction: float, seed: int, root: Path | None) -> tuple[D, D, dict[str, Any]]:
    """Hold out a fraction of each class; photos of one group stay together.

    Returns:
        The training photos, the held-out ones, and the record of the split.

    Raises:
        ValueError: a fraction that is not between 0 and 1, or nothing to hold out.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"val_fraction {fraction} must lie between 0 and 1")
    how: dict[str, Any] = {"by": "fraction", "fraction": fraction, "seed": seed}
    groups = groups_of(train)
    if groups is None:
        return _divide(train, held_out(train.labels, fraction, seed), how, root)
    how["groups"] = len(set(groups))
    return _divide(train, held_out_groups(train.labels, groups, fraction, seed), how, root)


def groups_of(data: FineGrained) -> Sequence[str] | None:
    """The group of each sample; None where the data has no groups."""
    groups: Sequence[str] | None = getattr(data, "groups", None)
    return groups


def by_folds(splits: Splits, folds: int, fold: int, seed: int, root: Path | None, neighbours: bool = False) -> Splits:
    """The splits with one of ``folds`` folds of the training and validation photos held out for validation.

    Args:
        splits: the data set; a validation split is divided together with the training photos.
        folds: the number of folds.
        fold: which fold is held out, from 0.
        seed: determines the shuffle.
        root: the data set's folder.
        neighbours: keep consecutive files of a class together, as they often show the same thing.

    Raises:
        ValueError: no such fold, or data that cannot be divided.
    """
    if folds < 2 or not 0 <= fold < folds:
        raise ValueError(
            f"there is no fold {fold} of {folds}; use 2 or more folds, and a fold from 0 to one less than that"
        )
    if not hasattr(splits.train, "subset"):
        raise ValueError(
            f"the built-in data has no folds, as more pictures can always be drawn; leave out {option('data.folds')}"
        )
    train: Any = splits.train
    if splits.val is not None:
        if not hasattr(train, "join"):
            raise ValueError(f"this data already has a validation split; leave out {option('data.folds')}")
        train = train.join(splits.val)
    how: dict[str, Any] = {"by": "neighbours" if neighbours else "folds", "folds": folds, "fold": fold, "seed": seed}
    groups = groups_of(train)
    if groups is None:
        chosen = (in_block if neighbours else in_fold)(train.labels, folds, fold, seed)
    elif neighbours:
        raise ValueError(f"this data has groups, which make the folds; leave out {option('data.fold-by')} neighbours")
    else:
        how["groups"] = len(set(groups))
        chosen = fold_groups(train.labels, groups, folds, fold, seed)
    train, val, drawn = _divide(train, chosen, how, root)
    return splits._replace(train=train, val=val, drawn=drawn)
