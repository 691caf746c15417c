"""Reading the lists that come with data sets, and finding the photos that they name."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from scapnet.data.files import one_name
from scapnet.data.photos import PhotoList
from scapnet.terminal.hints import option


def check_root(root: Path | None, name: str, get: str = "") -> Path:
    """Check that the root of a data set is a folder; ``get`` says how to obtain the data."""
    hint = get and f"; {get}"
    if root is None:
        raise ValueError(f"the {name} data set needs a folder; give it with {option('data.root')} FOLDER{hint}")
    if not root.is_dir():
        place = f"give the data set's folder with {option('data.root')} FOLDER"
        raise ValueError(f"there is no folder {root}; {place}{hint}")
    return root


def find_home(root: Path | None, name: str, marker: str, get: str = "") -> Path:
    """The folder that holds a data set: ``root``, or the only folder up to two levels below it with the marker.

    Args:
        root: the folder that the user gave.
        name: the name of the data set.
        marker: a file or folder that it contains.
        get: how to obtain it, for the message.

    Raises:
        ValueError: the marker is missing, or in several folders.
    """
    root = check_root(root, name, get)
    if (root / marker).exists():
        return root
    for pattern in (f"*/{marker}", f"*/*/{marker}"):
        homes = {path.parents[len(Path(marker).parts) - 1] for path in root.glob(pattern)}
        homes = {home for home in homes if not any(part.startswith(".") for part in home.relative_to(root).parts)}
        if len(homes) == 1:
            return homes.pop()
        if homes:
            raise ValueError(
                f"{root} holds {marker} in {len(homes)} folders; give one of them with {option('data.root')} FOLDER"
            )
    raise ValueError(
        f"{root} has no {marker}; give the {name} folder with {option('data.root')} FOLDER{get and '; ' + get}"
    )


def read_rows(file: Path, shape: str, fields: int, last: bool = False) -> Iterator[tuple[str, list[str]]]:
    """The non-empty lines of a list, split at white space; any line endings and a byte-order mark are accepted.

    Args:
        file: UTF-8 text.
        shape: what a line should look like, for the message.
        fields: the number of fields on a line.
        last: extra spaces belong to the first field instead of the last.

    Yields:
        "FILE, line N" for messages, and the fields.

    Raises:
        ValueError: a missing file, text that is not UTF-8, or a line with another number of fields.
    """
    try:
        with file.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, 1):
                row = line.strip().rsplit(None, fields - 1) if last else line.strip().split(None, fields - 1)
                place = f"{file}, line {number}"
                if not row:
                    continue
                if len(row) != fields:
                    raise ValueError(f"{place}: expected '{shape}' and found {line.strip()!r}; correct the line")
                yield place, [field.strip() for field in row]
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is not UTF-8 text (byte {error.start}); save it as UTF-8") from error
    except OSError as error:
        raise ValueError(f"{file} cannot be read ({error.strerror}); unpack the data set again") from error


def read_names(file: Path) -> list[str]:
    """A list of names, one per line.

    Raises:
        ValueError: a missing or empty file, or a repeated name.
    """
    names: dict[str, None] = {}
    for place, (name,) in read_rows(file, "NAME", 1):
        if name in names:
            raise ValueError(f"{place}: {name!r} was on an earlier line; keep one of them")
        names[name] = None
    if not names:
        raise ValueError(f"{file} is empty; unpack the data set again")
    return list(names)


def parse_integer(place: str, what: str, text: str, low: int, high: int) -> int:
    """An integer in a list, from low to high."""
    try:
        value = int(text)
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise ValueError(f"{place}: {what} {text!r} must be a whole number from {low} to {high}; correct the line")
    return value


def parse_numbers(place: str, what: str, texts: Sequence[str]) -> list[float]:
    """Finite numbers in a list."""
    try:
        values = [float(text) for text in texts]
    except ValueError:
        values = []
    if not values or not all(abs(value) < 1e7 for value in values):
        raise ValueError(f"{place}: {what} must be numbers and not {' '.join(texts)!r}; correct the line")
    return values


def _key(name: str) -> str:
    """A name in lower case and with accents in one form: file systems differ in both."""
    return one_name(name).casefold()


class Finder:
    """Finds the files named in lists; it lists each folder once and opens no file."""

    def __init__(self) -> None:
        self.folders: dict[Path, tuple[Path, dict[str, str]]] = {}  # by name: the real folder and its contents
        self.stems: dict[Path, dict[str, list[str]]] = {}

    def look(self, path: Path) -> Path | None:
        """The file or folder at a path, even if its name differs in case (``a.JPG``) or in the form of an accent."""
        folder, known = self.listed(path.parent)
        name = known.get(path.name) or known.get(_key(path.name))
        return None if name is None else path if path.name == name and folder == path.parent else folder / name

    def listed(self, folder: Path) -> tuple[Path, dict[str, str]]:
        """A folder as it is named on disk, and the names in it, keyed by name and by `_key`."""
        if folder not in self.folders:
            there = folder if folder.is_dir() or folder == folder.parent else self.look(folder)
            names = os.listdir(there) if there is not None and there.is_dir() else []
            known = {_key(name): name for name in names} | {name: name for name in names}
            self.folders[folder] = there or folder, known
        return self.folders[folder]

    def by_stem(self, path: Path) -> list[Path]:
        """The files whose names without suffix equal the name of a path."""
        folder, known = self.listed(path.parent)
        if folder not in self.stems:
            stems = self.stems[folder] = {}
            for name in sorted(set(known.values())):
                stems.setdefault(_key(Path(name).stem), []).append(name)
        return [folder / name for name in self.stems[folder].get(_key(path.name), [])]

    def find(self, path: Path, place: str) -> Path:
        """The file that a list names.

        Raises:
            ValueError: it does not exist; the message gives the ``place`` in the list.
        """
        found = self.look(path)
        if found is None:
            raise ValueError(f"{place}: there is no image {path}; unpack the data set again or correct the line")
        return found


def check_classes(train: PhotoList, source: Path) -> None:
    """Raise if a class has no training image."""
    missing = sorted(set(range(len(train.classes))) - set(train.labels))
    if missing:
        raise ValueError(
            f"{source} has no training image of class {train.classes[missing[0]]!r} ({len(missing)} of "
            f"{len(train.classes)} classes have none); every class needs one: add images or remove the class"
        )
