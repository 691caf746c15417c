"""Class folders: ``root/train/class/photo.jpg``, with optional ``val`` and ``test``, or ``root/class/photo.jpg``."""

import random
from collections.abc import Sequence
from pathlib import Path

import torch

from scapnet.data.images import find_images, read_image
from scapnet.data.sample import Sample, Splits


class PhotoList:
    """Photos by path and label; a photo is read when it is asked for.

    Args:
        paths: the files.
        labels: their labels.
        classes: names of all classes.
    """

    shorter: int | None = None  # pixels needed of the shorter side, where fewer than a photo has are enough

    def __init__(self, paths: Sequence[Path], labels: Sequence[int], classes: Sequence[str]) -> None:
        self.paths, self.labels, self.classes = tuple(paths), tuple(labels), tuple(classes)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Sample:
        path = self.paths[index]
        return Sample(read_image(path, self.shorter), self.labels[index], str(path), torch.zeros(0, 4), ())

    def subset(self, indices: Sequence[int]) -> "PhotoList":
        """The photos at some indices."""
        return PhotoList([self.paths[i] for i in indices], [self.labels[i] for i in indices], self.classes)


def check_root(root: Path | None, name: str) -> Path:
    """The folder of a data set, if it is one."""
    if root is None:
        raise ValueError(f"the {name} data set needs a place; give it with --data.root FOLDER")
    if not root.is_dir():
        raise ValueError(f"there is no folder {root}; give the data set's place with --data.root FOLDER")
    return root


def class_names(folder: Path) -> tuple[str, ...]:
    """Names of the class folders in a folder, in order."""
    return tuple(sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")))


def read_split(folder: Path, classes: Sequence[str]) -> PhotoList:
    """The photos of one split, whose class folders must be among ``classes``.

    Raises:
        ValueError: an unknown class folder or one without images, with its name.
    """
    paths: list[Path] = []
    labels: list[int] = []
    for name in class_names(folder):
        if name not in classes:
            raise ValueError(
                f"{folder / name} is a class that the training photos do not have; add it there or remove it"
            )
        found = find_images(folder / name)
        if not found:
            raise ValueError(f"{folder / name} holds no image; put photos there or remove the folder")
        paths += found
        labels += [classes.index(name)] * len(found)
    return PhotoList(paths, labels, classes)


def _is_split(folder: Path) -> bool:
    return folder.is_dir() and bool(class_names(folder))


def held_out(labels: Sequence[int], fraction: float, seed: int) -> list[int]:
    """Indices of a random share of each class: at least one and never all of it."""
    chosen: list[int] = []
    for label in sorted(set(labels)):
        members = [i for i, other in enumerate(labels) if other == label]
        random.Random(f"{seed}/{label}").shuffle(members)
        chosen += members[: min(max(1, round(fraction * len(members))), len(members) - 1)]
    return sorted(chosen)


def load_folder(root: Path | None, val_fraction: float, seed: int) -> Splits:
    """Read class folders; a share of the training photos becomes the validation split where there is no other.

    Raises:
        ValueError: a missing folder, a class without images, fewer than two classes.
    """
    root = check_root(root, "folder")
    train_folder = root / "train" if (root / "train").is_dir() else root
    classes = class_names(train_folder)
    if len(classes) < 2:
        raise ValueError(
            f"{train_folder} has {len(classes)} class folders and at least 2 are needed; "
            f"put the photos in {train_folder / 'CLASS'}/PHOTO.jpg"
        )
    train = read_split(train_folder, classes)
    others = {
        name: read_split(root / name, classes) if train_folder != root and _is_split(root / name) else None
        for name in ("val", "test")
    }
    if not any(others.values()):
        if not 0 < val_fraction < 1:
            raise ValueError(f"val_fraction {val_fraction} must lie between 0 and 1")
        chosen = held_out(train.labels, val_fraction, seed)
        if not chosen:
            raise ValueError(f"{train_folder} has one photo of each class, so none can be held out; add photos")
        others["val"] = train.subset(chosen)
        train = train.subset(sorted(set(range(len(train))) - set(chosen)))
    return Splits(train, others["val"], others["test"])
