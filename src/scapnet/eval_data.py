"""Which photos a run is scored on: the split that it recorded, wherever that lies now, or other labelled photos."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from scapnet.config import DataConfig
from scapnet.data.labelled import ALL, load_labelled
from scapnet.data.load import data_root, load_data
from scapnet.data.photos import PhotoList
from scapnet.data.sample import FineGrained, Splits
from scapnet.recorded import Present, class_changes, count, data_changed, file_changes, in_order, some, trained_on
from scapnet.rundir import DataRecord, lists_of, moved, read_record


class Chosen(NamedTuple):
    """The photos to score."""

    data: FineGrained
    split: str  # "train", "val", "test", or "all" where they are in no split
    root: Path | None  # what the names of their files are relative to
    other: Path | None = None  # the folder or table of photos that are not the run's own
    left_out: int = 0  # photos that are not scored because the run was trained on them
    notes: tuple[str, ...] = ()  # sentences for a person

    @property
    def label(self) -> str:
        """What the scores are called in the names of files: "test", or "of-field-test" for a folder called field."""
        if self.other is None:
            return self.split
        name = self.other.resolve().stem if self.other.is_file() else self.other.resolve().name
        return f"of-{name}" + ("" if self.split == ALL else f"-{self.split}")


def choose(
    run: Path, data: DataConfig, classes: Sequence[str], split: str | None, root: Path | None, table: Path | None
) -> Chosen:
    """The photos that an evaluation of a run is to score.

    Args:
        run: its folder.
        data: its settings.
        classes: of its model.
        split: "train", "val" or "test"; by default test, or val where there is no test.
        root: where the run's data lies now, or other class folders.
        table: the same for a table.

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
        if _is_own(record, splits, data_root(place), split):
            return _own(record, splits, place, split, data)
    return _other(record, classes, split, root, table, data)


def _may_be_own(data: DataConfig, root: Path | None, table: Path | None) -> bool:
    """Whether a place can hold the run's data at all: a table is for csv, and drawn pictures have no class folders."""
    drawn = data.name == "finches" and root is not None and root.is_dir() and any(p.is_dir() for p in root.iterdir())
    return not drawn and (table is None or data.name == "csv")


def _is_own(record: DataRecord, splits: Splits, root: Path | None, split: str | None) -> bool:
    """Whether data is that of a run, perhaps with changes: most of the recorded files are there and have their size."""
    if not record.files:
        same = tuple(splits.train.classes) == record.classes
        return same and (bool(record.images) or not isinstance(splits.train, PhotoList) or not splits.drawn)
    present = Present(lists_of(splits), root, record)
    wanted = {split: record.files[split]} if split is not None and split in record.files else record.files
    there, same_size, names = 0, 0, sum(map(len, wanted.values()))
    for name, files in wanted.items():
        sizes = record.sizes.get(name)
        for i, file in enumerate(files):
            if at := present.find(name, file):
                there += 1
                same_size += not sizes or present.size(at) == sizes[i]
    return 2 * there >= names and 2 * same_size >= there


def _own(record: DataRecord, splits: Splits, place: DataConfig, split: str | None, data: DataConfig) -> Chosen:
    """The recorded photos of a split, or those of one that has been added since."""
    instead = "give other photos"
    if changes := class_changes(record.classes, splits.train.classes):
        raise data_changed(changes, instead)
    lists = lists_of(in_order(record.classes, splits))
    name = _split(split, [*record.files, *lists], "the data")
    present = Present(lists, data_root(place), record)
    if changes := file_changes(record, present, [name]):
        raise data_changed(changes, instead)
    if name in record.files:
        return Chosen(present.take(name, record.files[name]), name, data_root(place))
    if not record.complete or not record.files or name == "train":
        return Chosen(lists[name], name, data_root(place))
    return _without_trained(Chosen(lists[name], name, data_root(place)), record, data)


def _other(
    record: DataRecord,
    classes: Sequence[str],
    split: str | None,
    root: Path | None,
    table: Path | None,
    data: DataConfig,
    unread: ValueError | None = None,
) -> Chosen:
    """Labelled photos that are not the run's own; ``unread`` says why they are not laid out as the run's data is."""
    source = table or root
    assert source is not None
    try:
        lists: Mapping[str, FineGrained] = load_labelled(root, table, classes)
    except ValueError as error:
        raise (unread if unread and (data.name != "folder" or not source.exists()) else error) from None
    name = _split(split, list(lists), str(source))
    photos = lists[name]
    here = set(photos.labels)
    absent = [classes[k] for k in range(len(classes)) if k not in here]
    which = f"{source} ({name})" if name != ALL else str(source)
    of = f"{len(here)} of the model's {len(classes)} classes, none of {some(absent)}" if absent else "all classes"
    chosen = Chosen(
        photos, name, root or source.parent, source, notes=(f"{which}: {count(len(photos), 'photo')} of {of}",)
    )
    return chosen if name == "train" else _without_trained(chosen, record, data)


def _split(wanted: str | None, there: Sequence[str], source: str) -> str:
    """The split to score: the wanted one, or the first of test, val, all photos and train."""
    if wanted is None:
        return next(name for name in ("test", "val", ALL, "train") if name in there)
    if wanted not in there:
        names = [name for name in ("train", "val", "test") if name in there]
        has = f"it has {' and '.join(names)}" if names else "its class folders are in no split, so leave --split out"
        raise ValueError(f"{source} has no {wanted} split; {has}")
    return wanted


def _without_trained(chosen: Chosen, record: DataRecord, data: DataConfig) -> Chosen:
    """Leave out the photos that the run was trained on: they are not held out, wherever they lie."""
    photos = chosen.data
    seen = trained_on(record, data_root(data), photos)
    if not seen or not isinstance(photos, PhotoList):
        return chosen
    named = some(photos.paths[i].name for i in seen)
    if len(seen) == len(photos):
        raise ValueError(
            f"the run was trained on all {len(seen)} photos ({named}), so they cannot tell how good it is; "
            f"give photos that it has not seen"
        )
    note = f"left out: {count(len(seen), 'photo')} that the run was trained on ({named})"
    rest = photos.subset(sorted(set(range(len(photos))) - set(seen)))
    return chosen._replace(data=rest, left_out=len(seen), notes=(*chosen.notes, note))
