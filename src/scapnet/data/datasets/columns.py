"""Finding the columns of a table of photos under the usual names."""

import csv
from collections.abc import Sequence
from typing import NamedTuple

SEPARATORS = ",;\t|"
# In each list, the most specific names come first.
PATH = (
    *("path", "file_path", "filepath", "image_path", "img_path", "photo_path", "file_name", "filename", "image_name"),
    *("file", "image", "img", "photo", "picture", "image_file", "image_id", "img_id", "photo_id", "id_code", "id"),
    "name",
)
LABEL = (
    *("label", "class", "class_name", "label_name", "category", "category_name", "species", "breed", "target"),
    *("diagnosis", "labels", "classes", "variety", "cultivar", "y", "class_id", "label_id", "category_id"),
)
SPLIT = ("split", "set", "subset", "partition")
GROUP = ("group", "group_id")
PARENT = ("parent", "parent_class", "superclass")


class Columns(NamedTuple):
    """Which columns hold the fields of a photo; the names are those of the header."""

    names: tuple[str, ...]
    path: int
    label: int
    split: int | None
    group: int | None
    parent: int | None = None

    def __str__(self) -> str:
        """The columns that are read: "id (photo), breed (label)"."""
        kinds = zip(("photo", "label", "split", "group", "parent"), self[1:], strict=True)
        return ", ".join(f"{self.names[at]} ({kind})" for kind, at in kinds if at is not None)


def find_columns(place: str, line: str) -> tuple[Columns, str]:
    """The columns of a header line, and the separator between them.

    Args:
        place: "FILE, line 1", for messages.
        line: the first line of the table.

    Raises:
        ValueError: it has no column for the photos or none for the labels, or the same name twice.
    """
    headers = {sep: tuple(name.strip() for name in next(csv.reader([line], delimiter=sep), [])) for sep in SEPARATORS}
    for separator, names in headers.items():
        found = _choose(place, names)
        if found is not None:
            return found, separator
    longest: tuple[str, ...] = max(headers.values(), key=len)
    most = ", ".join(longest)
    raise ValueError(
        f"{place}: it is not clear which of the columns {most!r} hold the photo and the label; call them path and "
        f"label, and any others split and group"
    )


def _choose(place: str, names: Sequence[str]) -> Columns | None:
    """The columns among some names; None if there is none for the photos or for the labels."""
    plain = [name.lower().replace(" ", "_").replace("-", "_") for name in names]
    kinds = (PATH, LABEL, SPLIT, GROUP, PARENT)
    path, label, split, group, parent = (next((n for n in known if n in plain), None) for known in kinds)
    if path is None:
        return None
    if label is None:
        rest = [name for name in plain if name and name not in (path, split, group, parent)]
        if len(rest) != 1:
            return None
        label = rest[0]
    for name in (path, label, split, group, parent):
        if name is not None and plain.count(name) > 1:
            raise ValueError(f"{place}: the column {names[plain.index(name)]} appears twice; remove one of them")
    at = [None if name is None else plain.index(name) for name in (path, label, split, group, parent)]
    assert at[0] is not None
    assert at[1] is not None
    return Columns(tuple(names), at[0], at[1], *at[2:])
