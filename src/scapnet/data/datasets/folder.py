"""Class folders: ``root/train/class/photo.jpg``, with optional ``val`` and ``test``, or ``root/class/photo.jpg``."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from scapnet.data.datasets.structure import ClassFolders, Structure, read_structure, table_hint
from scapnet.data.files import Listing, Order, describe_skipped, find_photos, in_order
from scapnet.data.groups import name_groups
from scapnet.data.info import FOLDER
from scapnet.data.lists import check_root
from scapnet.data.photos import PhotoList
from scapnet.data.sample import Splits
from scapnet.data.splits import by_fraction


def load_folder(
    root: Path | None, val_fraction: float | None, seed: int, order: Order = "numbers", group: str | None = None
) -> Splits:
    """Read class folders; a fraction of the training photos is held out for validation if they are the only split.

    Args:
        root: the folder of the splits, or of the classes.
        val_fraction: the fraction to hold out; None holds out nothing.
        seed: determines which photos are held out.
        order: the order of files and classes.
        group: how to name groups of photos that are held out together; see `name_groups`.

    Raises:
        ValueError: a missing folder, ambiguous folders, a class without photos, fewer than two classes, or one photo in
            two classes or splits.
    """
    root = check_root(root, "folder")
    listing = Listing(order)
    found = read_structure(root, listing)
    classes = in_order(found.splits["train"], order)
    if len(classes) < 2:
        home = found.homes["train"]
        raise ValueError(
            f"at least 2 class folders are needed, and {home} has {len(classes)}; "
            f"put the photos in {home / 'CLASS' / 'PHOTO.jpg'}{table_hint(home)}"
        )
    lists = {split: read_split(folders, classes, listing, group) for split, folders in found.splits.items()}
    _check_empty(found, lists["train"], listing)
    _check_once(root, found, lists, listing)
    train, val, test = lists["train"], lists.get("val"), lists.get("test")
    drawn = None
    if val is None and test is None and val_fraction is not None:
        train, val, drawn = by_fraction(train, val_fraction, seed, root)
    sources = {split: str(home) for split, home in found.homes.items()}
    empty = [f"no photos in {folder}" for name in lists for folder in _empty(lists[name], found.splits[name])]
    return Splits(train, val, test, FOLDER, (*found.notes, *empty), drawn, sources, tuple(listing.skipped))


def read_split(folders: ClassFolders, classes: Sequence[str], listing: Listing, group: str | None = None) -> PhotoList:
    """The photos of one split.

    Args:
        folders: its class folders.
        classes: the names of all classes.
        listing: collects the skipped files.
        group: as in `load_folder`.

    Raises:
        ValueError: a class folder that is not one of the classes.
    """
    paths: list[Path] = []
    homes: list[Path] = []
    labels: list[int] = []
    number = {name: i for i, name in enumerate(classes)}
    for name in in_order(folders, listing.order):
        if name not in number:
            raise ValueError(
                f"{folders[name][0]} is a class that the training photos do not have{_alike(name, classes)}; "
                f"add it there, rename it or remove it"
            )
        for folder in folders[name]:
            found = list(find_photos(folder, listing))
            paths += found
            homes += [folder] * len(found)
            labels += [number[name]] * len(found)
    return PhotoList(paths, labels, classes, groups=None if group is None else name_groups(paths, homes, group))


def _alike(name: str, classes: Sequence[str]) -> str:
    """A hint at a class whose name differs only in capital letters."""
    return next((f" (they have {known!r})" for known in classes if known.casefold() == name.casefold()), "")


def _empty(data: PhotoList, folders: ClassFolders) -> list[Path]:
    """The class folders without photos."""
    here = {data.classes[label] for label in set(data.labels)}
    return [folder for name in folders if name not in here for folder in folders[name]]


def _check_empty(found: Structure, train: PhotoList, listing: Listing) -> None:
    """Refuse a class without training photos: it cannot be learned."""
    if empty := _empty(train, found.splits["train"]):
        inside = describe_skipped(file for file in listing.skipped if any(map(file.path.is_relative_to, empty)))
        names = ", ".join(map(str, empty[:5])) + (", ..." if len(empty) > 5 else "")
        why = f" ({'; '.join(inside)})" if inside else ""
        raise ValueError(f"class folders without photos: {names}{why}; put photos there, or remove the folders")


def _check_once(root: Path, found: Structure, lists: Mapping[str, PhotoList], listing: Listing) -> None:
    """Refuse a file that is in two splits or two classes through a link."""
    top = Path(os.path.realpath(root))
    folders = [folder for classes in found.splits.values() for same in classes.values() for folder in same]
    if not listing.links and all(os.path.realpath(path) == str(top / path.relative_to(root)) for path in folders):
        return
    seen: dict[str, tuple[str, int, Path]] = {}
    for split, data in lists.items():
        for path, label in zip(data.paths, data.labels, strict=True):
            place = listing.links.get(path) or os.path.realpath(path)
            first = seen.setdefault(place, (split, label, path))
            if first[:2] != (split, label):
                what = "splits" if first[0] != split else "classes"
                raise ValueError(f"{first[2]} and {path} are the same file in two {what}; keep it in one of them")
