"""Class folders: ``root/train/class/photo.jpg``, with optional ``val`` and ``test``, or ``root/class/photo.jpg``."""

from collections.abc import Sequence
from pathlib import Path

from scapnet.data.files import Listing, find_photos
from scapnet.data.info import FOLDER
from scapnet.data.photos import PhotoList, check_root
from scapnet.data.sample import Splits
from scapnet.data.splits import by_fraction


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
        found = list(find_photos(folder / name, Listing("text")))
        if not found:
            raise ValueError(f"{folder / name} holds no image; put photos there or remove the folder")
        paths += found
        labels += [classes.index(name)] * len(found)
    return PhotoList(paths, labels, classes)


def _is_split(folder: Path) -> bool:
    return folder.is_dir() and bool(class_names(folder))


def load_folder(root: Path | None, val_fraction: float | None, seed: int) -> Splits:
    """Read class folders; a share of the training photos becomes the validation split where there is no other.

    Args:
        root: the folder of the splits, or of the classes.
        val_fraction: that share; None holds nothing out.
        seed: of the choice.

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
    drawn = None
    if not any(others.values()) and val_fraction is not None:
        train, others["val"], drawn = by_fraction(train, val_fraction, seed, root)
    return Splits(train, others["val"], others["test"], FOLDER, drawn=drawn)
