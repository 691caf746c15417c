"""What a run folder records about its data: the classes and the files of every split, in ``split.json``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from scapnet.config import DataConfig
from scapnet.data.photos import PhotoList
from scapnet.data.sample import SPLITS, FineGrained, Splits
from scapnet.data.splits import below
from scapnet.jsonfile import read_json, write_json

FILE = "split.json"


def moved(data: DataConfig, root: Path | None, table: Path | None) -> DataConfig:
    """The settings of data that has moved; a table from the old root is looked for in the new one."""
    if root is None:
        return data if table is None else replace(data, table=table)
    if data.name == "hub":
        return replace(data, hub=str(root))
    if table is None and data.table is not None:
        below_root = data.root is not None and data.table.is_relative_to(data.root)
        inside = root / (data.table.relative_to(data.root) if data.root and below_root else data.table.name)
        table = inside if inside.is_file() else data.table
    return replace(data, root=root, table=table, download=False)


@dataclass(frozen=True)
class DataRecord:
    """The data that a run began with. Version 0.1 recorded only the ``files`` of splits that it had drawn itself."""

    classes: tuple[str, ...] = ()  # K names, in the order of the network's outputs
    files: Mapping[str, Sequence[str]] = field(default_factory=dict)  # by split: names relative to the root
    labels: Mapping[str, Sequence[int]] = field(default_factory=dict)  # by split, in the order of the files
    sizes: Mapping[str, Sequence[int]] = field(default_factory=dict)  # by split, in the order of the files; bytes
    images: Mapping[str, int] = field(default_factory=dict)  # by split: the number of pictures that are not files
    drawn: Mapping[str, Any] = field(default_factory=dict)  # how scapnet chose the held-out photos, if it did

    @property
    def complete(self) -> bool:
        """Whether every split is recorded."""
        return bool(self.labels or self.images)

    def names(self, split: str, data: FineGrained) -> list[str]:
        """The names of a split's samples, even if they are not files."""
        return list(self.files.get(split, ())) or names_of(data, None)


def record_of(splits: Splits, root: Path | None) -> DataRecord:
    """The record of a data set, with file names relative to ``root``."""
    lists = lists_of(splits)
    drawn = {key: value for key, value in (splits.drawn or {}).items() if key not in SPLITS}
    if not hasattr(splits.train, "name"):
        return DataRecord(tuple(splits.train.classes), images={name: len(data) for name, data in lists.items()})
    return DataRecord(
        tuple(splits.train.classes),
        {name: names_of(data, root) for name, data in lists.items()},
        {name: [int(label) for label in data.labels] for name, data in lists.items()},
        {name: sizes for name, data in lists.items() if (sizes := _sizes(data)) is not None},
        drawn=drawn,
    )


def lists_of(splits: Splits) -> dict[str, FineGrained]:
    """The existing splits, by name."""
    return {name: data for name in SPLITS if (data := getattr(splits, name)) is not None}


def _sizes(data: FineGrained) -> list[int] | None:
    """The file size of each sample in bytes; None if samples are not files."""
    return [path.stat().st_size for path in data.paths] if isinstance(data, PhotoList) else None


def names_of(data: FineGrained, root: Path | None) -> list[str]:
    """The names of a split's samples, relative to ``root``."""
    name = getattr(data, "name", None)
    return [below(name(i), root) if name else str(i) for i in range(len(data))]


def write_record(run: Path, record: DataRecord) -> None:
    """Write ``split.json`` unless it is up to date: for a million files this takes a while."""
    if (run / FILE).exists() and read_record(run) == record:
        return
    values = {**record.drawn, **record.files, "classes": list(record.classes)}
    values |= {key: found for key in ("labels", "sizes", "images") if (found := getattr(record, key))}
    write_json(run / FILE, values)


def read_record(run: Path) -> DataRecord:
    """The record in a run folder; fields that an older version did not record are empty.

    Raises:
        ValueError: the file is not a record.
    """
    values = read_json(run / FILE) if (run / FILE).exists() else {}
    files = {name: values.pop(name) for name in SPLITS if name in values}
    named = values.pop("classes", [])
    classes = (tuple(named) if isinstance(named, list) else (None,)) or _model_classes(run)
    labels, sizes, images = (values.pop(key, {}) for key in ("labels", "sizes", "images"))
    numbers = [label for found in labels.values() for label in found] if _fit(files, labels, sizes) else [-1]
    known = _all(str, list(classes)) and isinstance(images, dict) and _all(int, list(images.values()))
    if not known or not all(0 <= number < len(classes) for number in numbers):
        raise ValueError(f"{run / FILE} is damaged (its lists do not match each other); restore it, or train a new run")
    return DataRecord(classes, files, labels, sizes, images, values)


def _fit(files: dict[str, Any], *tables: Any) -> bool:
    """Whether there is a training split, and other tables have one value for each file of a split."""
    lists = all(_all(str, names) for names in files.values()) and ("train" in files or not files)
    return lists and all(
        isinstance(table, dict)
        and all(_all(int, found) and len(found) == len(files.get(name, ())) for name, found in table.items())
        for table in tables
    )


def _all(kind: type, values: Any) -> bool:
    """Whether it is a list of one type."""
    return isinstance(values, list) and all(type(value) is kind for value in values)


def _model_classes(run: Path) -> tuple[str, ...]:
    """The classes of a run's saved model; empty if it has saved none."""
    files = (run / name / "config.json" for name in ("model", "best"))
    return next((tuple(read_json(file).get("classes", ())) for file in files if file.is_file()), ())
