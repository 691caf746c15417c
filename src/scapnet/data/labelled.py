"""Labelled photos that a trained model has not seen: class folders or a table, with some or all of its classes."""

from collections.abc import Sequence
from pathlib import Path

from scapnet.data.datasets.folder import read_split
from scapnet.data.datasets.structure import labelled_structure
from scapnet.data.datasets.table import read_table
from scapnet.data.files import Listing, SkippedFile, describe_skipped, one_name
from scapnet.data.lists import check_root
from scapnet.data.photos import PhotoList

ALL = "all"  # the name of photos that are in no split


def load_labelled(
    root: Path | None, table: Path | None, classes: Sequence[str], skipped: list[SkippedFile] | None = None
) -> dict[str, PhotoList]:
    """The photos of a folder or a table by split, or under ``ALL`` if it has no splits.

    Args:
        root: holds class folders, or split folders with class folders in them; with a table, the folder that its paths
            are relative to.
        table: with the header ``path,label`` or ``path,label,split``.
        classes: the model's classes; labels are indices into them.
        skipped: the list that skipped files are added to.

    Raises:
        ValueError: a class that the model does not have, or no photos.
    """
    if table is None:
        return _folders(check_root(root, "folder"), classes, Listing(skipped=[] if skipped is None else skipped))
    splits = read_table(table.parent if root is None else root, table, classes)
    return {ALL: splits["train"]} if set(splits) == {"train"} else splits


def _folders(root: Path, classes: Sequence[str], listing: Listing) -> dict[str, PhotoList]:
    same = {one_name(name): name for name in classes}
    found = labelled_structure(root, listing, same)
    inside = [
        (name, folder) for folders in found.splits.values() for name, paths in folders.items() for folder in paths
    ]
    if not inside:
        raise ValueError(f"{root} has no class folders; put the photos in {root / 'CLASS' / 'PHOTO.jpg'}")
    unknown = [folder for name, folder in inside if name not in same]
    if unknown:
        raise ValueError(
            f"{unknown[0]} is not a class of the model ({len(unknown)} of {len(inside)} class folders are not); "
            f"rename the folder to the model's name for the class, or move it away"
        )
    lists = {split or ALL: read_split(folders, list(same), listing) for split, folders in found.splits.items()}
    if not any(map(len, lists.values())):
        raise ValueError(f"the class folders of {root} hold no photos{_skipped(listing)}; put photos there")
    return {split: photos for split, photos in lists.items() if len(photos)}


def _skipped(listing: Listing) -> str:
    found = "; ".join(describe_skipped(listing.skipped))
    return f" ({found})" if found else ""
