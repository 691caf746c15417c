"""Your own photos by a table with a photo and a label on each line, and optionally its split and its group."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from scapnet.data.datasets.rows import TablePhoto, TableRow, default_table, find_photos, read_rows
from scapnet.data.files import Order, SkippedFile, in_order, is_system, one_name
from scapnet.data.formats import is_photo
from scapnet.data.groups import name_groups
from scapnet.data.info import DatasetInfo
from scapnet.data.lists import Finder, check_classes, check_root
from scapnet.data.photos import PhotoList, parents_of
from scapnet.data.sample import SPLITS, Splits
from scapnet.data.splits import by_fraction

INFO = DatasetInfo(
    "csv",
    "a table of photos",
    licence="yours",
    get="write a table with the header path,label or path,label,split, where split is train, val or test",
)


def load_csv(
    root: Path | None,
    table: Path | None,
    val_fraction: float | None,
    seed: int,
    order: Order = "numbers",
    group: str | None = None,
) -> Splits:
    """Read a table with a header; the classes are the labels of its training photos, in order.

    Args:
        root: the folder that the paths are relative to; by default the table's folder.
        table: the table; by default ``root/labels.csv``, or the only table in root.
        val_fraction: the fraction of the training photos to hold out if the table has no splits; None holds out none.
        seed: determines which photos are held out.
        order: the order of the classes; photos are in the order of their lines.
        group: as in `name_groups`; by default the table's column ``group``, if it has one.

    Raises:
        ValueError: a mistake in the table, with its line.
    """
    root = check_root(table.parent if root is None and table is not None else root, "csv")
    file = table or default_table(root)
    columns, rows = read_rows(file)
    names = {row.label for row in rows if row.split == "train"}
    if len(names) < 2:
        raise ValueError(
            f"at least 2 labels are needed, and the training photos of {file} have {len(names)}; add photos"
        )
    unknown = next((row for row in rows if row.label not in names), None)
    if unknown is not None:
        raise ValueError(
            f"{unknown.place}: no training photo has the label {unknown.label!r}; add some, or remove the line"
        )
    classes = in_order(names, "numbers" if all(map(str.isdecimal, names)) else order)
    finder = Finder()
    photos = list(find_photos(rows, root, finder))
    lists = _lists(photos, classes, group)
    check_classes(lists["train"], file)
    train, val, test = lists["train"], lists.get("val"), lists.get("test")
    drawn = None
    if val is None and test is None and val_fraction is not None:
        train, val, drawn = by_fraction(train, val_fraction, seed, root)
    notes = (f"columns: {columns}", *_shared_groups(lists))
    return Splits(
        train, val, test, INFO, notes, drawn, dict.fromkeys(lists, str(file)), tuple(_unnamed(photos, finder))
    )


def read_table(root: Path, file: Path, classes: Sequence[str]) -> dict[str, PhotoList]:
    """The photos of a table by split, for the splits that it has; under "train" if it names none.

    Args:
        root: the folder that the paths are relative to.
        file: the table.
        classes: the classes of a trained model; labels are indices into them.

    Raises:
        ValueError: a mistake in the table, with its line; a label that is not among the classes.
    """
    known = {one_name(name) for name in classes}
    rows = read_rows(file)[1]
    unknown = next((row for row in rows if row.label not in known), None)
    if unknown is not None:
        raise ValueError(f"{unknown.place}: the model has no class {unknown.label!r}; correct or remove the line")
    return _lists(list(find_photos(rows, root, Finder())), classes, None)


def _lists(photos: Sequence[TablePhoto], classes: Sequence[str], group: str | None) -> dict[str, PhotoList]:
    """The photos of each existing split."""
    number = {one_name(name): i for i, name in enumerate(classes)}
    parents = _parents([photo.row for photo in photos], classes)
    lists = {}
    for split in SPLITS:
        chosen = [photo for photo in photos if photo.row.split == split]
        paths = [photo.path for photo in chosen]
        groups: list[str] | None = [photo.row.group for photo in chosen if photo.row.group is not None]
        if group is not None:
            groups = name_groups(paths, [path.parent for path in paths], group)
        if chosen:
            labels = [number[photo.row.label] for photo in chosen]
            lists[split] = PhotoList(paths, labels, classes, groups=groups or None)
            lists[split].parents = parents
    return lists


def _parents(rows: Sequence[TableRow], classes: Sequence[str]) -> tuple[str, ...]:
    """The parent of each class; a line that has none says nothing.

    Raises:
        ValueError: a class with two parents.
    """
    found: dict[str, TableRow] = {}
    for row in rows:
        first = found.setdefault(row.label, row) if row.parent else row
        if first.parent != row.parent:
            line = first.place.rpartition(", ")[2]
            raise ValueError(
                f"{row.place}: the parent of {row.label} is {row.parent!r} here and {first.parent!r} on {line}; "
                f"correct one of them"
            )
    return parents_of([one_name(name) for name in classes], {name: row.parent for name, row in found.items()})


def _shared_groups(lists: dict[str, PhotoList]) -> Iterator[str]:
    """A note on groups that the table itself has put into several splits."""
    splits: dict[str, set[str]] = defaultdict(set)
    for split, data in lists.items():
        for group in data.groups or ():
            splits[group].add(split)
    shared = sorted(group for group, found in splits.items() if len(found) > 1)
    if shared:
        named = ", ".join(shared[:3]) + (", ..." if len(shared) > 3 else "")
        yield f"groups that are in more than one split: {len(shared)} ({named})"


def _unnamed(photos: Sequence[TablePhoto], finder: Finder) -> Iterator[SkippedFile]:
    """The photos in the same folders that the table does not name."""
    named: dict[Path, set[str]] = defaultdict(set)
    for photo in photos:
        named[photo.path.parent].add(photo.path.name)
    for folder, names in named.items():
        for name in sorted(set(finder.listed(folder)[1].values()) - names):
            if is_photo(name) and not is_system(name):
                yield SkippedFile(folder / name, "photos that the table does not name")
