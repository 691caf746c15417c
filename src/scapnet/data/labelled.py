"""Labelled photos that a trained model has not seen: class folders or a table, with some of the model's classes."""

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
    """The photos of a folder or a table by split, or as ``ALL`` where it has no splits.

    Args:
        root: class folders, split folders with class folders in them, or what the paths of the table are relative to.
        table: with the header ``path,label`` or ``path,label,split``.
        classes: the model's; the labels are their indices.
        skipped: gets what is skipped in folders.

    Raises:
        ValueError: a class that is not among them, or no photos.
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
            f"rename the folder to the model's name of the class, or move it away"
        )
    lists = {split or ALL: read_split(folders, list(same), listing) for split, folders in found.splits.items()}
    if not any(map(len, lists.values())):
        raise ValueError(f"the class folders of {root} hold no photo{_inside(listing)}; put photos there")
    return {split: photos for split, photos in lists.items() if len(photos)}


def _inside(listing: Listing) -> str:
    found = "; ".join(describe_skipped(listing.skipped))
    return f" ({found})" if found else ""
