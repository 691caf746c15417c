"""Grocery Store Dataset (Klasson, Zhang and Kjellström, WACV 2019): 81 look-alike groceries in natural photos, MIT."""

import csv
from pathlib import Path

from scapnet.config import reason
from scapnet.data.folder import PhotoList, check_root
from scapnet.data.sample import Splits


def load_grocery(root: Path | None) -> Splits:
    """Read ``classes.csv`` and ``train.txt``, ``val.txt``, ``test.txt`` (lines of ``path, fine, coarse``).

    The published test list may be absent; the validation split then is the one to report.

    Raises:
        ValueError: a list that is missing or malformed, with its file and line.
    """
    root = check_root(root, "grocery")
    for name in ("classes.csv", "train.txt"):
        if not (root / name).is_file():
            raise ValueError(f"{root} has no {name}; give the data set's folder, the one that holds it")
    with (root / "classes.csv").open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    try:
        classes = [row["Class Name (str)"] for row in sorted(rows, key=lambda row: int(row["Class ID (int)"]))]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{root / 'classes.csv'} lacks the columns 'Class Name (str)' and 'Class ID (int)' ({reason(error)})"
        ) from error
    train, val, test = (
        _read_list(root, root / f"{name}.txt", classes) if (root / f"{name}.txt").is_file() else None
        for name in ("train", "val", "test")
    )
    assert train is not None
    return Splits(train, val, test)


def _read_list(root: Path, file: Path, classes: list[str]) -> PhotoList:
    paths: list[Path] = []
    labels: list[int] = []
    for number, line in enumerate(file.read_text(encoding="utf-8-sig").splitlines(), 1):
        fields = [part.strip() for part in line.rsplit(",", 2)]
        if len(fields) != 3 or not fields[1].isdigit() or int(fields[1]) >= len(classes):
            raise ValueError(f"{file}, line {number}: expected 'path, fine, coarse' with fine below {len(classes)}")
        paths.append(root / fields[0])
        labels.append(int(fields[1]))
    return PhotoList(paths, labels, classes)
