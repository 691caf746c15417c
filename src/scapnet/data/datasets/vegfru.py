"""VegFru (Hou, Feng and Wang, ICCV 2017): 200 vegetables (Veg200) and 92 fruits (Fru92), separate or together."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from scapnet.data.info import DatasetInfo, PublishedSizes
from scapnet.data.lists import Finder, check_classes, find_home, parse_integer, read_rows
from scapnet.data.photos import PhotoList
from scapnet.data.sample import Splits

TABLE = "Table II of the SCAPNet paper"
TOTALS = (
    "the SCAPNet paper's totals (91,117 and 69,614, Sec. IV-A) less 20,000 + 10,000 and 9,200 + 4,600 for train + val"
)
INFO = DatasetInfo(
    "vegfru",
    "VegFru",
    "S. Hou, Y. Feng, Z. Wang: VegFru: A Domain-Specific Dataset for Fine-grained Visual Categorization. ICCV 2017",
    "not stated in its repository; ask its authors",
    "https://github.com/ustc-vim/vegfru",
    "get VegFru from its authors at the University of Science and Technology of China: "
    "https://github.com/ustc-vim/vegfru says where, and programs may not fetch from there; put veg200_images/, "
    "veg200_lists/, fru92_images/ and fru92_lists/ in ROOT",
    (PublishedSizes(TABLE, 292, 29200, None, 116931), PublishedSizes(TOTALS, 292, 29200, 14600, 116931)),
    PublishedSizes("Table II, both parts together", 292, 29200, None, 116931),
)


def _half(name: str, title: str, classes: int, train: int, val: int, tests: tuple[int, int]) -> DatasetInfo:
    """Veg200 or Fru92; the SCAPNet paper and the authors' totals give different numbers of test photos."""
    table, totals = (classes, train, None, tests[0]), (classes, train, val, tests[1])
    counts = (PublishedSizes(TABLE, *table), PublishedSizes(TOTALS, *totals))
    return replace(INFO, name=name, title=title, counts=counts, paper=PublishedSizes("Table II", *table))


VEG200 = _half("veg200", "VegFru, its vegetables (Veg200)", 200, 20000, 10000, (61114, 61117))
FRU92 = _half("fru92", "VegFru, its fruits (Fru92)", 92, 9200, 4600, (55817, 55814))
INFOS = {"veg200": VEG200, "fru92": FRU92, "vegfru": INFO}
NAMES = tuple(name + suffix for name in INFOS for suffix in ("", "-trainval"))
KINDS = ("vegetable", "fruit")  # of the parts of VegFru
PARTS = {"veg200": ("veg200",), "fru92": ("fru92",), "vegfru": ("veg200", "fru92")}


def load_vegfru(root: Path | None, name: str = "vegfru") -> Splits:
    """Read Veg200, Fru92, or both as one data set with the classes of Veg200 first.

    Args:
        root: the folder of ``veg200_lists`` or ``fru92_lists``.
        name: "veg200", "fru92" or "vegfru"; with "-trainval", training also gets the validation images. Without it,
            training gets only the training list, as in the paper.

    Raises:
        ValueError: a list that is missing or malformed, or that names a missing image, with its file and line.
    """
    base, _, both = name.partition("-")
    home = find_home(root, base, f"{PARTS[base][0]}_lists", INFO.get)
    parts = [_read_part(home, part) for part in PARTS[base]]
    classes = _unique([part["train"].classes for part in parts])
    train, val, test = (_join([part[split] for part in parts], classes) for split in ("train", "val", "test"))
    if len(parts) > 1:
        kinds = [kind for kind, part in zip(KINDS, parts, strict=True) for _ in part["train"].classes]
        train.parents = val.parents = test.parents = tuple(kinds)
    info = INFOS[base]
    notes = tuple(_found(part, len(lists["test"])) for part, lists in zip(PARTS[base], parts, strict=True))
    if not both:
        return Splits(train, val, test, info, notes)
    # The published sizes count train alone, so add val to them.
    counts = tuple(replace(c, train=c.train + c.val, val=None) for c in info.counts if c.train and c.val)
    info = replace(info, name=name, title=f"{info.title}, trained on train and val", counts=counts)
    both_lists = _join([train, val], classes, apart=False)
    both_lists.parents = train.parents
    return Splits(both_lists, None, test, info, notes)


def _read_part(home: Path, part: str) -> dict[str, PhotoList]:
    """The lists of Veg200 or of Fru92."""
    lists, images, finder = home / f"{part}_lists", home / f"{part}_images", Finder()
    files = {split: lists / f"{part[:3]}_{split}.txt" for split in ("train", "val", "test")}
    rows = {split: list(read_rows(file, "CLASS/FILE.jpg INDEX", 2, last=True)) for split, file in files.items()}
    classes = _class_names(files["train"], rows["train"])
    number = {name: i for i, name in enumerate(classes)}
    found = {}
    for split, lines in rows.items():
        paths: list[Path] = []
        labels: list[int] = []
        for place, (path, index) in lines:
            label = parse_integer(place, "index", index, 0, len(classes) - 1)
            if number.get(Path(path).parts[0]) != label:
                raise ValueError(
                    f"{place}: index {label} is class {classes[label]!r} in the training list; correct the line"
                )
            paths.append(finder.find(images / path, place))
            labels.append(label)
        found[split] = PhotoList(paths, labels, classes)
    check_classes(found["train"], files["train"])
    return found


def _class_names(file: Path, rows: list[tuple[str, list[str]]]) -> list[str]:
    """The class folders of the training list in the order of their indices, which run from 0 without gaps."""
    names: dict[int, str] = {}
    for place, (path, index) in rows:
        label = parse_integer(place, "index", index, 0, 100_000)
        if names.setdefault(label, Path(path).parts[0]) != Path(path).parts[0]:
            raise ValueError(f"{place}: index {label} was {names[label]!r} on an earlier line; correct the line")
    if not names:
        raise ValueError(f"{file} is empty; unpack the data set again")
    if sorted(names) != list(range(len(names))):
        raise ValueError(f"{file}: the indices must run from 0 without gaps; unpack the data set again")
    return [names[i] for i in range(len(names))]


def _unique(parts: list[Sequence[str]]) -> list[str]:
    """All class names; one that is both a vegetable and a fruit gets the kind appended."""
    twice = set(parts[0]) & set(parts[-1]) if len(parts) > 1 else set()
    return [f"{name} ({KINDS[i]})" if name in twice else name for i, names in enumerate(parts) for name in names]


def _join(lists: list[PhotoList], classes: Sequence[str], apart: bool = True) -> PhotoList:
    """Several lists as one; if their classes are ``apart``, the labels of each follow those of the one before."""
    paths: list[Path] = []
    labels: list[int] = []
    first = 0
    for one in lists:
        paths += one.paths
        labels += [first + label for label in one.labels]
        first += len(one.classes) if apart else 0
    return PhotoList(paths, labels, classes)


def _found(part: str, count: int) -> str:
    """A note on which published size of the test set was found."""
    sources = [counts.source for counts in INFOS[part].counts if counts.test == count]
    known = " or ".join(f"{counts.test:,}" for counts in INFOS[part].counts)
    return (
        f"{part}: {count:,} test images, as in {sources[0]}"
        if sources
        else f"{part}: {count:,} test images, not {known}"
    )
