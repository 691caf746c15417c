"""Your own photos by a table ``path,label`` or ``path,label,split``."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from scapnet.data.info import DatasetInfo
from scapnet.data.lists import Finder, check_classes, check_root
from scapnet.data.photos import PhotoList
from scapnet.data.sample import SPLITS, Splits
from scapnet.data.splits import by_fraction
from scapnet.hints import option

INFO = DatasetInfo(
    "csv",
    "a table of photos",
    licence="yours",
    get="write a table with the header path,label or path,label,split, where split is train, val or test",
)
SPELLINGS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


class TableRow(NamedTuple):
    """One photo of the table."""

    place: str  # "FILE, line N"
    path: str
    label: str
    split: str


def load_csv(root: Path | None, table: Path | None, val_fraction: float | None, seed: int) -> Splits:
    """Read a table with a header; the classes are the labels of its training photos, in order.

    Args:
        root: what the paths are relative to; by default the table's folder.
        table: the table; by default ``root/labels.csv``.
        val_fraction: the share of the training photos to hold out where the table has no split; None holds none out.
        seed: of that choice.

    Raises:
        ValueError: what is wrong with the table, with its line.
    """
    root = check_root(table.parent if root is None and table is not None else root, "csv")
    file = table or root / "labels.csv"
    rows = list(_read(file))
    names = {row.label for row in rows if row.split == "train"}
    if len(names) < 2:
        raise ValueError(
            f"{file} has {len(names)} labels among its training photos and at least 2 are needed; add photos"
        )
    classes = sorted(names, key=lambda name: (int(name), name) if all(n.isdecimal() for n in names) else (0, name))
    finder = Finder()
    lists = {split: _photos([row for row in rows if row.split == split], root, classes, finder) for split in SPLITS}
    check_classes(lists["train"], file)
    train, val, test = lists["train"], lists["val"] or None, lists["test"] or None
    drawn = None
    if val is None and test is None and val_fraction is not None:
        train, val, drawn = by_fraction(train, val_fraction, seed, root)
    return Splits(train, val, test, INFO, drawn=drawn)


def read_table(root: Path, file: Path, classes: Sequence[str]) -> dict[str, PhotoList]:
    """The photos of a table by split, for the splits that it has; "train" where it names none.

    Args:
        root: what the paths are relative to.
        file: the table.
        classes: of a trained model; the labels are their indices.

    Raises:
        ValueError: what is wrong with the table, with its line; a label that is not among the classes.
    """
    rows, finder = list(_read(file)), Finder()
    unknown = next((row for row in rows if row.label not in classes), None)
    if unknown is not None:
        raise ValueError(f"{unknown.place}: the model has no class {unknown.label!r}; correct or remove the line")
    chosen = {split: [row for row in rows if row.split == split] for split in SPLITS}
    return {split: _photos(found, root, list(classes), finder) for split, found in chosen.items() if found}


def _read(file: Path) -> Iterator[TableRow]:
    if not file.is_file():
        raise ValueError(f"there is no table {file}; give it with {option('data.table')} FILE")
    seen: dict[str, str] = {}
    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.DictReader(lines, strict=True)
            reader.fieldnames = _header(file, reader.fieldnames or [])
            for fields in reader:
                row = _row(f"{file}, line {reader.line_num}", fields)
                if row.path in seen:
                    raise ValueError(f"{row.place}: {row.path} was on {seen[row.path]} too; keep one of them")
                seen[row.path] = f"line {reader.line_num}"
                yield row
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is not UTF-8 text (byte {error.start}); save it as UTF-8") from error
    except csv.Error as error:
        raise ValueError(f"{file}, line {reader.line_num + 1}: it is no CSV ({error}); mend the line") from error


def _header(file: Path, names: Sequence[str]) -> list[str]:
    """The names of the columns; others than the three are passed over."""
    header = [name.strip().lower() for name in names]
    missing = [name for name in ("path", "label") if header.count(name) != 1]
    if missing or header.count("split") > 1:
        raise ValueError(
            f"{file}, line 1: the header {','.join(header)!r} needs the columns path and label, may have split, each "
            f"once and with commas between; write it as path,label,split"
        )
    return header


def _row(place: str, fields: dict[str, str]) -> TableRow:
    values = {key: (value or "").strip() for key, value in fields.items() if key in ("path", "label", "split")}
    if None in fields:
        raise ValueError(f"{place}: it has more fields than the header; put names with commas in double quotes")
    if not values["path"] or not values["label"]:
        raise ValueError(f"{place}: path and label must both be given; complete or remove the line")
    split = SPELLINGS.get(values.get("split", "train").lower())
    if split is None:
        raise ValueError(f"{place}: split {values['split']!r} must be train, val or test; mend the line")
    return TableRow(place, values["path"], values["label"], split)


def _photos(rows: list[TableRow], root: Path, classes: list[str], finder: Finder) -> PhotoList:
    number = {name: i for i, name in enumerate(classes)}
    unknown = next((row for row in rows if row.label not in number), None)
    if unknown:
        raise ValueError(
            f"{unknown.place}: no training photo has the label {unknown.label!r}; add some, or remove the line"
        )
    return PhotoList(
        [finder.find(root / row.path, row.place) for row in rows], [number[row.label] for row in rows], classes
    )
