"""Reading a table of photos: its text, its columns, and the photos that its lines name."""

import csv
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from scapnet.data.datasets.columns import Columns, find_columns
from scapnet.data.files import is_system, one_name
from scapnet.data.formats import is_photo
from scapnet.data.lists import Finder
from scapnet.data.spelling import split_name
from scapnet.terminal.hints import option

SUFFIXES = (".csv", ".tsv")
UTF16 = (b"\xff\xfe", b"\xfe\xff")


class TableRow(NamedTuple):
    """A row of a table of photos."""

    place: str  # "FILE, line N"
    name: str  # the photo's name, as written in the table
    label: str
    split: str
    group: str | None
    parent: str = ""  # the coarser class that the label belongs to


class TablePhoto(NamedTuple):
    """A row of a table of photos, and the file that it names."""

    row: TableRow
    path: Path


def default_table(root: Path) -> Path:
    """``labels.csv``, or the only table in a folder.

    Raises:
        ValueError: there is none, or more than one.
    """
    names = sorted(name for name in os.listdir(root) if name.lower().endswith(SUFFIXES) and not is_system(name))
    if "labels.csv" in names or len(names) == 1:
        return root / ("labels.csv" if "labels.csv" in names else names[0])
    there = f"; {root} has {', '.join(names[:5])}" if names else ""
    raise ValueError(f"there is no table {root / 'labels.csv'}; give it with {option('data.table')} FILE{there}")


def read_rows(file: Path) -> tuple[Columns, list[TableRow]]:
    """The columns and the lines of a table; empty lines are skipped.

    Raises:
        ValueError: a file that is missing or not a table in UTF-8, or a malformed line.
    """
    if not file.is_file():
        raise ValueError(f"there is no table {file}; give it with {option('data.table')} FILE")
    lines = list(io.StringIO(_text(file), newline=""))
    # Empty lines, and the "sep=;" that tells Excel the separator, may come before the header.
    first = next((i for i, line in enumerate(lines) if line.strip() and not line.startswith("sep=")), len(lines))
    columns, separator = find_columns(f"{file}, line {first + 1}", "".join(lines[first : first + 1]).strip("\r\n"))
    reader = csv.reader(lines[first + 1 :], delimiter=separator, strict=True)
    before = first + 1
    try:
        return columns, [
            _row(f"{file}, line {before + reader.line_num}", columns, fields) for fields in reader if any(fields)
        ]
    except csv.Error as error:
        line = before + reader.line_num
        raise ValueError(f"{file}, line {line}: it is not CSV ({error}); correct the line") from error


def _text(file: Path) -> str:
    content = file.read_bytes()
    if content.startswith(UTF16) or b"\0" in content[:100]:
        raise ValueError(f"{file} is UTF-16 text; save it as UTF-8 (in Excel: CSV UTF-8)")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ValueError(f"{file} is not UTF-8 text (line {line}, byte {error.start}); save it as UTF-8") from error


def _row(place: str, columns: Columns, fields: Sequence[str]) -> TableRow:
    if len(fields) > len(columns.names):
        raise ValueError(f"{place}: it has more fields than the header; put names with commas in double quotes")
    values = [field.strip() for field in fields] + [""] * (len(columns.names) - len(fields))
    name, label = values[columns.path], one_name(values[columns.label])
    if not name or not label:
        raise ValueError(f"{place}: photo and label must both be given; complete or remove the line")
    split: str | None = "train"
    if columns.split is not None:
        split = split_name(values[columns.split])
        if split is None:
            raise ValueError(f"{place}: split {values[columns.split]!r} must be train, val or test; correct the line")
    group = None if columns.group is None else values[columns.group]
    if group == "":
        raise ValueError(f"{place}: the photo has no group; give a single photo a group of its own")
    parent = "" if columns.parent is None else one_name(values[columns.parent])
    return TableRow(place, name, label, split or "train", group, parent)


def find_photos(rows: Sequence[TableRow], root: Path, finder: Finder) -> Iterator[TablePhoto]:
    """The files that the lines name; each may be named only once.

    Raises:
        ValueError: a photo that is missing, or that was on an earlier line.
    """
    seen: dict[str, TableRow] = {}
    real: dict[Path, str] = {}
    for row in rows:
        path = _find(row, root, finder)
        folder = real.setdefault(path.parent, os.path.realpath(path.parent))
        place = os.path.join(folder, path.name)
        first = seen.setdefault(os.path.realpath(place) if os.path.islink(place) else place, row)
        if first is not row:
            _refuse_again(row, first)
        yield TablePhoto(row, path)


def _refuse_again(row: TableRow, first: TableRow) -> None:
    line = first.place.rpartition(", ")[2]
    same = f"{row.name} is already on {line}" + (f" as {first.name}" if first.name != row.name else "")
    if row.split != first.split:
        same += f", in the {first.split} split"
    raise ValueError(f"{row.place}: {same}; keep one of them")


def _find(row: TableRow, root: Path, finder: Finder) -> Path:
    """The photo with a path, with slashes or backslashes, or with a name without suffix."""
    slashes = row.name.replace("\\", "/")
    for name in dict.fromkeys([row.name, slashes, os.path.normpath(slashes), slashes.lstrip("/")]):
        if found := finder.look(root / name):
            return found
    path = root / slashes
    stems = [found for found in finder.by_stem(path) if is_photo(found.name)]
    if len(stems) == 1:
        return stems[0]
    if stems:
        raise ValueError(f"{row.place}: {row.name!r} may mean {' or '.join(map(str, stems))}; add the suffix")
    elsewhere = _elsewhere(path, root, finder)
    hint = "correct the path or remove the line"
    if elsewhere is not None:
        table = row.place.rpartition(", line ")[0]
        hint = f"it is in {elsewhere}: use {option('data.root')} {elsewhere} {option('data.table')} {table}"
    raise ValueError(f"{row.place}: there is no image {path}; {hint}")


def _elsewhere(path: Path, root: Path, finder: Finder) -> Path | None:
    """The subfolder that holds a photo which is missing from the root itself."""
    for folder in sorted(root.iterdir()) if path.parent == root else ():
        inside = folder / path.name
        if not is_system(folder.name) and folder.is_dir() and (finder.look(inside) or finder.by_stem(inside)):
            return folder
    return None
