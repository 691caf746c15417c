"""Finding the photos below a folder, each once and in natural order, and the files that are skipped.

Training, prediction and ``data check`` all list folders here.
"""

import os
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from scapnet.data.formats import is_photo, why_no_photo

Order = Literal["numbers", "text"]

# Folders that cameras, servers and operating systems make, with copies or thumbnails of photos in them.
SYSTEM_FOLDERS = frozenset(
    ["__macosx", "__pycache__", "thumbnails", "lost+found", "system volume information", "recycler", "$recycle.bin"]
) | frozenset(["@eadir", "@recycle", "#recycle", "#snapshot"])  # of network disks
# A class may have one of these names, so they are skipped only inside class folders.
THUMBNAIL_FOLDERS = frozenset(["thumbs", "thumb", "thumbnail", "_thumbs", "_thumbnails"])
SYSTEM_FILES = frozenset(["thumbs.db", "ehthumbs.db", "desktop.ini", "picasa.ini", "icon\r"])
SYSTEM = "photos in hidden, system, thumbnail or run folders"
TWICE = "photos that are already listed"
DEAD = "links to missing files"


class SkippedFile(NamedTuple):
    """A file that is not used."""

    path: Path
    why: str  # the kind of file, in the plural


@dataclass
class Listing:
    """How folders are listed, and what was found on the way."""

    order: Order = "numbers"
    skipped: list[SkippedFile] = field(default_factory=list)
    links: dict[Path, str] = field(default_factory=dict)  # photos reached through a link, and their real paths

    def key(self, name: str) -> Any:
        """The sort key of a name: by its numbers, or letter by letter as in earlier versions."""
        return natural(name) if self.order == "numbers" else name


def one_name(name: str) -> str:
    """A name with its accents in one form: file systems store "é" as one letter (NFC) or as two (NFD)."""
    return unicodedata.normalize("NFC", name)


def natural(name: str) -> tuple[list[Any], str]:
    """A key that sorts names by the numbers in them.

    >>> sorted(["10.jpg", "2.jpg", "1b.jpg"], key=natural)
    ['1b.jpg', '2.jpg', '10.jpg']
    """
    pieces: list[Any] = re.split(r"(\d+)", one_name(name))
    pieces[1::2] = map(int, pieces[1::2])
    return pieces, name  # "01" and "1" are the same number


def in_order(names: Iterable[str], order: Order) -> list[str]:
    """Class names in order; if all of them are numbers, by value."""
    names = list(names)
    if order == "text":
        return sorted(names)
    if all(re.fullmatch(r"[+-]?\d+(\.\d+)?", name) for name in names):
        return sorted(names, key=lambda name: (float(name), name))
    return sorted(names, key=natural)


def is_system(name: str) -> bool:
    """Whether a file or folder is hidden, or made by a system and not by a person."""
    return name.startswith(".") or name.lower() in SYSTEM_FOLDERS | SYSTEM_FILES


def is_run(folder: Path) -> bool:
    """Whether it is the folder of a training run, whose pictures are not photos."""
    return (folder / "log.jsonl").is_file() and (folder / "config.json").is_file()


def each_once(paths: Iterable[Path], listing: Listing) -> Iterator[Path]:
    """The files and folders that a user names, without those that repeat another or lie inside one."""
    places = {path: os.path.realpath(path) for path in paths}
    folders = {place for place in places.values() if os.path.isdir(place)}
    seen: set[str] = set()
    for path, place in places.items():
        found = place in folders or is_photo(path.name)  # a file of another kind is read only if it is named
        if place in seen or (found and any(_is_listed(place, folder) for folder in folders)):
            listing.skipped.append(SkippedFile(path, TWICE))
        else:
            seen.add(place)
            yield path


def find_photos(folder: Path, listing: Listing) -> Iterator[Path]:
    """The photos below a folder in the order of their names, subfolders included.

    Links are followed, except to a folder that contains the link and to a photo below ``folder`` that is listed anyway.
    Hidden and system files that are not photos are skipped without being counted.
    """
    top = os.path.realpath(folder)
    seen: set[str] = set()
    for path, place, linked in _walk(folder, top, frozenset(), listing):
        if linked:
            if place in seen or _is_listed(place, top):
                listing.skipped.append(SkippedFile(path, TWICE))
                continue
            seen.add(place)
            listing.links[path] = place
        yield path


def _is_listed(place: str, top: str) -> bool:
    """Whether the walk also reaches a file by its own path."""
    below = place.removeprefix(top + os.sep)
    return below != place and not any(map(_is_skipped, below.split(os.sep)))


def _is_skipped(name: str) -> bool:
    return is_system(name) or name.lower() in THUMBNAIL_FOLDERS


def _walk(
    folder: Path, place: str, above: frozenset[str], listing: Listing, linked: bool = False
) -> Iterator[tuple[Path, str, bool]]:
    """Photos, their real paths, and whether they were reached through a link."""
    above = above | {place}
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: listing.key(entry.name))
    for entry in entries:
        path, name, link = folder / entry.name, entry.name, entry.is_symlink()
        there = os.path.realpath(path) if link else os.path.join(place, name)
        if _is_skipped(name):
            listing.skipped.extend(SkippedFile(photo, SYSTEM) for photo in photos_in(path))
        elif link and not os.path.exists(there):
            listing.skipped.append(SkippedFile(path, DEAD))
        elif entry.is_dir():
            if is_run(path):
                listing.skipped.extend(SkippedFile(photo, SYSTEM) for photo in photos_in(path))
            elif there not in above:
                yield from _walk(path, there, above, listing, linked or link)
        elif not is_photo(name):
            listing.skipped.append(SkippedFile(path, why_no_photo(name)))
        elif not entry.is_file():
            listing.skipped.append(SkippedFile(path, "pipes and devices"))
        else:
            yield path, there, linked or link


def photos_in(path: Path) -> Iterator[Path]:
    """The photos in a skipped folder, or a skipped file if it is a photo."""
    if path.is_dir():
        for folder, _, names in os.walk(path):
            yield from (Path(folder) / name for name in names if is_photo(name))
    elif is_photo(path.name):
        yield path


def describe_skipped(skipped: Iterable[SkippedFile]) -> list[str]:
    """One phrase for each kind of skipped file: 'links to missing files: 2 (a/1.jpg, ...)'."""
    kinds: dict[str, list[Path]] = {}
    for path, why in skipped:
        kinds.setdefault(why, []).append(path)
    return [f"{why}: {len(paths):,} ({paths[0]}{', ...' if len(paths) > 1 else ''})" for why, paths in kinds.items()]
