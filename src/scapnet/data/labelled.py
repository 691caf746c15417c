"""Labelled photos that a trained model has not seen: class folders or a table, with some of the model's classes."""

from collections.abc import Sequence
from pathlib import Path

from scapnet.data.datasets.folder import class_names, read_split
from scapnet.data.datasets.table import read_table
from scapnet.data.photos import PhotoList, check_root
from scapnet.data.sample import SPLITS

ALL = "all"  # the name of photos that are in no split


def load_labelled(root: Path | None, table: Path | None, classes: Sequence[str]) -> dict[str, PhotoList]:
    """The photos of a folder or a table by split, or as ``ALL`` where it has no splits.

    Args:
        root: class folders, split folders with class folders in them, or what the paths of the table are relative to.
        table: with the header ``path,label`` or ``path,label,split``.
        classes: the model's; the labels are their indices.

    Raises:
        ValueError: a class that is not among them, or no photos.
    """
    if table is None:
        return _folders(check_root(root, "folder"), classes)
    splits = read_table(table.parent if root is None else root, table, classes)
    return {ALL: splits["train"]} if set(splits) == {"train"} else splits


def _folders(root: Path, classes: Sequence[str]) -> dict[str, PhotoList]:
    names = class_names(root)
    folders = {name: root / name for name in SPLITS if name in names and name not in classes} or {ALL: root}
    inside = {name: class_names(folder) for name, folder in folders.items()}
    if not any(inside.values()):
        raise ValueError(f"{root} has no class folders; put the photos in {root / 'CLASS'}/PHOTO.jpg")
    unknown = [folders[split] / name for split, names in inside.items() for name in names if name not in classes]
    if unknown:
        raise ValueError(
            f"{unknown[0]} is not a class of the model ({len(unknown)} of {sum(map(len, inside.values()))} class "
            f"folders are not); rename the folder to the model's name of the class, or move it away"
        )
    return {name: read_split(folder, classes) for name, folder in folders.items() if inside[name]}
