"""Grocery Store Dataset (Klasson, Zhang and Kjellström, WACV 2019): 81 look-alike groceries in natural photos, MIT."""

import csv
from dataclasses import replace
from pathlib import Path

from scapnet.data.info import Archive, DatasetInfo, PublishedSizes
from scapnet.data.lists import Finder, check_classes, find_home
from scapnet.data.photos import PhotoList, parents_of
from scapnet.data.sample import Splits
from scapnet.errors import reason

COLUMNS = {
    "fine": ("Class Name (str)", "Class ID (int)"),
    "coarse": ("Coarse Class Name (str)", "Coarse Class ID (int)"),
}
CLASSES = {"fine": 81, "coarse": 43}
COMMIT = "fc80ba90f803d79d0383df52c5a4ac5de99ff6fc"
INFO = DatasetInfo(
    "grocery",
    "Grocery Store Dataset",
    "M. Klasson, C. Zhang, H. Kjellström: A Hierarchical Grocery Store Image Dataset with Visual and Semantic Labels. "
    "WACV 2019",
    "MIT",
    "https://github.com/marcusklasson/GroceryStoreDataset",
    "clone https://github.com/marcusklasson/GroceryStoreDataset with git and give that folder as ROOT",
    (PublishedSizes(f"the authors' lists and classes.csv at commit {COMMIT[:7]}", 81, 2640, 296, 2485),),
    None,
    (
        Archive(
            f"https://github.com/marcusklasson/GroceryStoreDataset/archive/{COMMIT}.zip",
            f"GroceryStoreDataset-{COMMIT[:7]}.zip",
        ),
    ),
)


def load_grocery(root: Path | None, level: str = "fine") -> Splits:
    """Read ``classes.csv`` and ``train.txt``, ``val.txt``, ``test.txt`` (lines of ``path, fine, coarse``).

    If the published test list is absent, the validation split is the one to report.

    Args:
        root: the folder that holds them.
        level: "fine" (81 classes) or "coarse" (43).

    Raises:
        ValueError: a list that is missing or malformed, or that names a missing image, with its file and line.
    """
    home = find_home(root, "grocery", "classes.csv", INFO.get)
    if not (home / "train.txt").is_file():
        raise ValueError(f"{home} has no train.txt; give the data set's folder, which holds it")
    classes, finder = _read_classes(home / "classes.csv", *COLUMNS[level]), Finder()
    train, val, test = (
        _read_list(home, home / f"{name}.txt", classes, level, finder) if (home / f"{name}.txt").is_file() else None
        for name in ("train", "val", "test")
    )
    assert train is not None
    if level == "fine":
        for photos in (train, val, test):
            if photos is not None:
                photos.parents = _read_parents(home / "classes.csv", classes)
    check_classes(train, home / "train.txt")
    notes = () if test is not None else (f"{home} has no test.txt: the validation split is the one to report",)
    counts = tuple(replace(counts, classes=CLASSES[level]) for counts in INFO.counts)
    return Splits(train, val, test, replace(INFO, counts=counts), notes)


def _read_classes(file: Path, name: str, key: str) -> list[str]:
    """Class names in the order of their ids, which run from 0 without gaps."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            names = {int(row[key]): row[name] for row in csv.DictReader(lines)}
        return [names[i] for i in range(len(names))]
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is not UTF-8 text (byte {error.start}); save it as UTF-8") from error
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{file} lacks the columns {name!r} and {key!r} with ids from 0 ({reason(error)}); unpack it again"
        ) from error


def _read_parents(file: Path, classes: list[str]) -> tuple[str, ...]:
    """The coarse class of each fine one."""
    (fine, _), (coarse, _) = COLUMNS["fine"], COLUMNS["coarse"]
    with file.open(newline="", encoding="utf-8-sig") as lines:
        return parents_of(classes, {row[fine]: row.get(coarse) or "" for row in csv.DictReader(lines)})


def _read_list(root: Path, file: Path, classes: list[str], level: str, finder: Finder) -> PhotoList:
    paths: list[Path] = []
    labels: list[int] = []
    column = 1 if level == "fine" else 2
    for number, line in enumerate(file.read_text(encoding="utf-8-sig").splitlines(), 1):
        fields = [part.strip() for part in line.rsplit(",", 2)]
        place = f"{file}, line {number}"
        if fields == [""]:
            continue
        if len(fields) != 3 or not fields[column].isdecimal() or int(fields[column]) >= len(classes):
            raise ValueError(
                f"{place}: expected 'path, fine, coarse' with {level} below {len(classes)}; correct the line"
            )
        paths.append(finder.find(root / fields[0], place))
        labels.append(int(fields[column]))
    return PhotoList(paths, labels, classes)
