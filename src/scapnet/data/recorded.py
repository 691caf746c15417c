"""Finding the photos that a run began with among those present now, by name, and reporting what has changed."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from scapnet.config import DataConfig
from scapnet.data.load import data_root, load_data
from scapnet.data.photos import PhotoList
from scapnet.data.record import DataRecord, lists_of, names_of, read_record, record_of
from scapnet.data.sample import FineGrained, Splits
from scapnet.terminal.hints import option


def _key(name: str) -> str:
    """A name with its accents in one form: file systems store them in different ones."""
    return unicodedata.normalize("NFC", name)


class Present:
    """The photos present now, by name.

    Args:
        lists: the photos by split.
        root: the folder that their names are relative to.
        record: the run's record; its names may be relative to another folder above or below ``root``.
    """

    def __init__(self, lists: Mapping[str, FineGrained], root: Path | None, record: DataRecord) -> None:
        self.lists = lists
        self.names = {split: [_key(name) for name in names_of(data, root)] for split, data in lists.items()}
        self.places: dict[str, tuple[str, int]] = {}
        for split, names in self.names.items():
            self.places |= {name: (split, i) for i, name in enumerate(names) if name not in self.places}
        self.own = {split: {name: i for i, name in enumerate(names)} for split, names in self.names.items()}
        self.strip, self.add = self._shift([_key(name) for names in record.files.values() for name in names])

    def _shift(self, names: Sequence[str]) -> tuple[str, str]:
        """The prefixes to remove from and add to recorded names to make them relative to this root."""
        if not names or any(name in self.places for name in names):
            return "", ""
        name = names[0]
        starts = [i + 1 for i, letter in enumerate(name) if letter == "/"]
        inner = next((name[:i] for i in starts if name[i:] in self.places), None)
        if inner is not None:
            return inner, ""
        outer = [found.removesuffix(name) for found in self.places if found.endswith(f"/{name}")]
        return "", outer[0] if len(outer) == 1 else ""

    def key(self, name: str) -> str:
        """The name that a recorded photo has now."""
        return self.add + _key(name).removeprefix(self.strip)

    def find(self, split: str, name: str) -> tuple[str, int] | None:
        """The split and the index of a photo now, preferably in its recorded split."""
        key = self.key(name)
        index = self.own.get(split, {}).get(key)
        return self.places.get(key) if index is None else (split, index)

    def path(self, place: tuple[str, int]) -> Path | None:
        """The file of a photo; None if it is not a file."""
        data = self.lists[place[0]]
        return data.paths[place[1]] if isinstance(data, PhotoList) else None

    def size(self, place: tuple[str, int]) -> int | None:
        """The size of a photo's file in bytes; None if it is not a file."""
        path = self.path(place)
        return None if path is None else path.stat().st_size

    def class_of(self, place: tuple[str, int]) -> str:
        """The name of a photo's class."""
        data = self.lists[place[0]]
        return data.classes[data.labels[place[1]]]

    def take(self, split: str, names: Sequence[str]) -> FineGrained:
        """The photos with the given names, all of which exist, in that order."""
        keys = [self.key(name) for name in names]
        if self.names.get(split) == keys:
            return self.lists[split]
        every: Any = None
        offsets = {}
        for name, data in self.lists.items():
            if not hasattr(data, "join"):
                raise data_changed(["its rows have changed, or are in another order"], "train a new run")
            offsets[name] = 0 if every is None else len(every)
            every = data if every is None else every.join(data)
        places = [place for name in names if (place := self.find(split, name))]
        chosen: FineGrained = every.subset([offsets[name] + i for name, i in places])
        return chosen


def some(names: Iterable[str], most: int = 3) -> str:
    """The first few names, for a sentence."""
    names = list(names)
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def count(n: int, what: str) -> str:
    """A number and its noun.

    >>> count(1, "photo"), count(2, "photo")
    ('1 photo', '2 photos')
    """
    return f"{n} {what}" + ("" if n == 1 else "s")


def class_changes(before: Sequence[str], now: Sequence[str]) -> list[str]:
    """Phrases on how the names of the classes differ, regardless of their order.

    >>> class_changes(["apple", "berry"], ["berry", "zapple"])
    ["class 'apple' is gone", "class 'zapple' is new"]
    """
    old, here = set(map(_key, before)), set(map(_key, now))
    gone, new = [name for name in before if _key(name) not in here], [name for name in now if _key(name) not in old]
    found = []
    for names, verb in ((gone, "gone"), (new, "new")):
        if names:
            quoted = some(map(repr, names))
            found.append(
                f"class {quoted} is {verb}" if len(names) == 1 else f"{len(names)} classes are {verb}: {quoted}"
            )
    return found


def in_order(classes: Sequence[str], splits: Splits) -> Splits:
    """The splits with the classes in the order of a network's outputs: other versions may read them differently."""
    here = {_key(name): name for name in splits.train.classes}
    same = [here[_key(name)] for name in classes]
    if same == list(splits.train.classes):
        return splits
    if not isinstance(splits.train, PhotoList):
        raise data_changed(["its classes are in another order"], "train a new run")
    lists = {name: data.relabelled(same) for name, data in lists_of(splits).items() if isinstance(data, PhotoList)}
    return splits._replace(train=lists["train"], val=lists.get("val"), test=lists.get("test"))


def file_changes(record: DataRecord, present: Present, splits: Iterable[str]) -> list[str]:
    """Phrases on how the files of some splits differ from the recorded ones; added files do not matter."""
    gone, resized, moved = list[str](), list[str](), list[str]()
    for split in splits:
        sizes, labels = record.sizes.get(split), record.labels.get(split)
        for i, name in enumerate(record.files.get(split, ())):
            place = present.find(split, name)
            if place is None:
                gone.append(name)
            elif sizes and present.size(place) != sizes[i]:
                resized.append(name)
            elif labels and _key(present.class_of(place)) != _key(record.classes[labels[i]]):
                moved.append(name)
    phrases = ((gone, "gone"), (resized, "of another size"), (moved, "in another class"))
    return [
        f"{count(len(names), 'photo')} {'is' if len(names) == 1 else 'are'} {what} ({some(names)})"
        for names, what in phrases
        if names
    ]


def added_note(record: DataRecord, present: Present) -> list[str]:
    """A sentence on photos added since the run began; empty if there are none."""
    known = {present.key(name) for names in record.files.values() for name in names}
    added = [name for name in present.places if name not in known] if record.complete else []
    return [f"{count(len(added), 'photo')} added since the run began and not used: {some(added)}"] if added else []


def data_changed(changes: Sequence[str], instead: str) -> ValueError:
    """The error for changed data, with what to do instead."""
    return ValueError(
        f"the data has changed since the run began: {'; '.join(changes)}; restore it, or {instead}, or give an "
        f"unchanged copy with {option('data.root')} FOLDER"
    )


def recorded_splits(record: DataRecord, splits: Splits, root: Path | None) -> tuple[Splits, list[str]]:
    """The splits with the photos that a run began with, in their order.

    Args:
        record: the run's record.
        splits: the data as it is now.
        root: the folder that its names are relative to.

    Returns:
        The recorded splits, and sentences on photos that are not used.

    Raises:
        ValueError: other classes, or files that are gone or have another size or class.
    """
    if record.classes:
        if changes := class_changes(record.classes, splits.train.classes):
            raise data_changed(changes, "train a new run")
        splits = in_order(record.classes, splits)
    present = Present(lists_of(splits), root, record)
    changes = [
        f"the {name} split has {len(data)} pictures instead of {record.images[name]}"
        for name, data in present.lists.items()
        if name in record.images and len(data) != record.images[name]
    ]
    changes += file_changes(record, present, record.files)
    if changes:
        raise data_changed(changes, "train a new run")
    if not record.files:
        return splits, []
    taken = {name: present.take(name, names) for name, names in record.files.items()}
    kept = taken if record.complete else {**present.lists, **taken}
    now = splits._replace(train=kept["train"], val=kept.get("val"), test=kept.get("test"))
    return now, added_note(record, present)


def data_of_run(config: DataConfig, run: Path | None) -> tuple[Splits, DataRecord, list[str]]:
    """The data for a new run, or for one that is resumed.

    Args:
        config: which data.
        run: the folder of the run to resume; None for a new run.

    Returns:
        The splits, the record of them, and sentences for the user.

    Raises:
        ValueError: data that is missing, or that has changed since the run began.
    """
    now, root = load_data(config), data_root(config)
    if run is None:
        return now, record_of(now, root), []
    record = read_record(run)
    splits, notes = recorded_splits(record, now, root)
    if not record.complete:  # written by an older version
        record = replace(record_of(splits, root), drawn=record.drawn or splits.drawn or {})
    return splits, record, notes
