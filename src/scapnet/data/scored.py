"""Which photos a run is scored on: its recorded split, wherever that is now, or other labelled photos."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from scapnet.config import DataConfig
from scapnet.data.files import SkippedFile
from scapnet.data.labelled import ALL, load_labelled
from scapnet.data.layout import layout_of, not_used
from scapnet.data.load import data_root, load_data
from scapnet.data.photos import PhotoList
from scapnet.data.record import DataRecord, lists_of, moved, read_record
from scapnet.data.recorded import (
    Present,
    added_note,
    class_changes,
    count,
    data_changed,
    file_changes,
    in_order,
    some,
)
from scapnet.data.sample import FineGrained, Splits


class Chosen(NamedTuple):
    """The photos to score."""

    data: FineGrained
    split: str  # "train", "val", "test", or "all" if they are in no split
    root: Path | None  # the folder that their file names are relative to
    other: Path | None = None  # the folder or table, if they are not the run's own photos
    left_out: int = 0  # how many are not scored because the run was trained on them
    notes: tuple[str, ...] = ()  # sentences for the user

    @property
    def label(self) -> str:
        """The scores' name in file names: "test", or "of-field-test" for a folder called field."""
        if self.other is None:
            return self.split
        name = self.other.resolve().stem if self.other.is_file() else self.other.resolve().name
        return f"of-{name}" + ("" if self.split == ALL else f"-{self.split}")


def choose(
    run: Path, data: DataConfig, classes: Sequence[str], split: str | None, root: Path | None, table: Path | None
) -> Chosen:
    """Choose the photos that an evaluation of a run scores.

    Args:
        run: the run folder.
        data: the run's data settings.
        classes: the model's classes.
        split: "train", "val" or "test"; by default test, or val if there is no test.
        root: where the run's data is now, or other class folders.
        table: likewise for a table.

    Raises:
        ValueError: no such data, no such split, or data that has changed since the run began.
    """
    record = replace(read_record(run), classes=tuple(classes))
    place = moved(data, root, table)
    if root is None and table is None:
        return _own(record, load_data(place), place, split, data)
    if _may_be_own(data, root, table):
        try:
            splits = load_data(place)
        except ValueError as error:
            return _other(record, classes, split, root, table, data, error)
        if _is_own(record, splits, data_root(place), split, data_root(data)):
            return _own(record, splits, place, split, data)
    return _other(record, classes, split, root, table, data)


def _may_be_own(data: DataConfig, root: Path | None, table: Path | None) -> bool:
    """Whether a place can hold the run's data at all: only csv data has a table, and drawn data no class folders."""
    drawn = data.name == "finches" and root is not None and root.is_dir() and any(p.is_dir() for p in root.iterdir())
    return not drawn and (table is None or data.name == "csv")


def _is_own(record: DataRecord, splits: Splits, place: Path | None, split: str | None, before: Path | None) -> bool:
    """Whether the data at a place is the run's own, which was somewhere else before."""
    if not record.files:
        same = tuple(splits.train.classes) == record.classes
        return same and (bool(record.images) or not isinstance(splits.train, PhotoList) or not splits.drawn)
    wanted = [split] if split is not None and split in record.files else list(record.files)
    return is_same_data(record, Present(lists_of(splits), place, record), wanted, before)


def _own(record: DataRecord, splits: Splits, place: DataConfig, split: str | None, data: DataConfig) -> Chosen:
    """The recorded photos of a split, or the photos of a split that has been added since."""
    instead = "give other photos"
    if changes := class_changes(record.classes, splits.train.classes):
        raise data_changed(changes, instead)
    lists = lists_of(in_order(record.classes, splits))
    name = _split(split, [*record.files, *lists], "the data")
    present = Present(lists, data_root(place), record)
    if changes := file_changes(record, present, [name]):
        raise data_changed(changes, instead)
    recorded = name in record.files
    photos = present.take(name, record.files[name]) if recorded else lists[name]
    notes = [layout_of(splits, name, photos), *(added_note(record, present) if recorded else [])]
    chosen = Chosen(photos, name, data_root(place), notes=tuple(notes))
    if recorded or not record.complete or not record.files or name == "train":
        return chosen
    return _without_trained(chosen, record, data)


def _other(
    record: DataRecord,
    classes: Sequence[str],
    split: str | None,
    root: Path | None,
    table: Path | None,
    data: DataConfig,
    unread: ValueError | None = None,
) -> Chosen:
    """Labelled photos that are not the run's own; ``unread`` says why they cannot be read like the run's data."""
    source = table or root
    assert source is not None
    skipped: list[SkippedFile] = []
    try:
        home, lists = _labelled(root, table, data, classes, skipped)
    except ValueError as error:
        raise (unread if unread and (data.name != "folder" or not source.exists()) else error) from None
    name = _split(split, list(lists), str(source))
    photos = lists[name]
    here = set(photos.labels)
    absent = [classes[k] for k in range(len(classes)) if k not in here]
    which = f"{source} ({name})" if name != ALL else str(source)
    of = f"{len(here)} of the model's {len(classes)} classes, none of {some(absent)}" if absent else "all classes"
    line = "; ".join([f"{which}: {count(len(photos), 'photo')} of {of}", *not_used(skipped)])
    chosen = Chosen(photos, name, home, source, notes=(line,))
    return chosen if name == "train" else _without_trained(chosen, record, data)


def _labelled(
    root: Path | None, table: Path | None, data: DataConfig, classes: Sequence[str], skipped: list[SkippedFile]
) -> tuple[Path | None, Mapping[str, FineGrained]]:
    """Labelled photos and the folder of their names: for a table alone its own, or else the run's root."""
    if table is None or root is not None:
        return root, load_labelled(root, table, classes, skipped)
    try:
        return table.parent, load_labelled(table.parent, table, classes, skipped)
    except ValueError:
        if data.root is None or not table.is_file():
            raise
        return data.root, load_labelled(data.root, table, classes, skipped)


def _split(wanted: str | None, there: Sequence[str], source: str) -> str:
    """The split to score: the wanted one, or the first of test, val, all photos and train."""
    if wanted is None:
        return next(name for name in ("test", "val", ALL, "train") if name in there)
    if wanted not in there:
        names = [name for name in ("train", "val", "test") if name in there]
        has = f"it has {' and '.join(names)}" if names else "its class folders are in no split, so leave out --split"
        raise ValueError(f"{source} has no {wanted} split; {has}")
    return wanted


def _without_trained(chosen: Chosen, record: DataRecord, data: DataConfig) -> Chosen:
    """Leave out the photos that the run was trained on, wherever they are: they are not held out."""
    photos = chosen.data
    seen = trained_on(record, data_root(data), photos)
    if not seen or not isinstance(photos, PhotoList):
        return chosen
    named = some(photos.paths[i].name for i in seen)
    if len(seen) == len(photos):
        raise ValueError(
            f"the run was trained on all {len(seen)} photos ({named}), so they do not show how good it is; "
            f"give photos that it has not seen"
        )
    note = f"left out: {count(len(seen), 'photo')} that the run was trained on ({named})"
    rest = photos.subset(sorted(set(range(len(photos))) - set(seen)))
    return chosen._replace(data=rest, left_out=len(seen), notes=(*chosen.notes, note))


def trained_on(record: DataRecord, root: Path | None, data: FineGrained) -> list[int]:
    """Indices of the photos in another folder that the run was trained on.

    A photo is one of them if it has the same bytes as a training photo below ``root``, or the same size and file name
    as a training photo that is gone.
    """
    if not isinstance(data, PhotoList):
        return []
    originals = [(root or Path()) / name for name in record.files.get("train", ())]
    sizes = record.sizes.get("train") or [path.stat().st_size if path.is_file() else -1 for path in originals]
    by_size: dict[int, list[Path]] = defaultdict(list)
    for path, size in zip(originals, sizes, strict=True):
        by_size[size].append(path)
    names = {size: {path.name for path in paths if not path.is_file()} for size, paths in by_size.items()}
    same_size = [(i, path, path.stat().st_size) for i, path in enumerate(data.paths)]
    same_size = [(i, path, size) for i, path, size in same_size if size in by_size]
    digests = {
        size: {_digest(path) for path in by_size[size] if path.is_file()} for size in {size for *_, size in same_size}
    }
    return [i for i, path, size in same_size if path.name in names[size] or _digest(path) in digests[size]]


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").digest()


def is_same_data(record: DataRecord, present: Present, splits: Iterable[str], root: Path | None) -> bool:
    """Whether the photos are a run's data, perhaps with changes, and not other photos with similar names.

    Args:
        record: the run's record, with files.
        present: the photos at the new place.
        splits: the recorded splits to look at.
        root: where the run's data was; a few of the files that are still there are compared byte by byte.
    """
    there = [
        (split, i, name, place)
        for split in splits
        for i, name in enumerate(record.files[split])
        if (place := present.find(split, name))
    ]
    equal = [
        (name, place)
        for split, i, name, place in there
        if not record.sizes or present.size(place) == record.sizes[split][i]
    ]
    if 2 * len(there) < sum(len(record.files[split]) for split in splits) or 2 * len(equal) < len(there):
        return False
    pairs = [((root or Path()) / name, new) for name, place in equal if (new := present.path(place)) is not None]
    pairs = [(old, new) for old, new in pairs if old.is_file()][:5]
    return not pairs or any(_digest(old) == _digest(new) for old, new in pairs)
