"""The lists of VegFru."""

import re
from pathlib import Path

import pytest

from samples import COLOURS, agrees, photo, write
from scapnet.data.datasets.vegfru import load_vegfru
from scapnet.data.load import INFOS
from scapnet.data.sample import class_parents

VEG = {"train": ("pak choi/a b.jpg 1", "leek/1.JPG 0"), "val": ("leek/3.jpg 0",), "test": ("pak choi/é.jpg 1",)}


FRU = {"train": ("fig/1.jpg 0", "leek/1.jpg 1"), "val": ("leek/2.jpg 1",), "test": ("fig/2.jpg 0", "fig/3.jpg 0")}


def vegfru(root: Path, end: str = "\n", mark: bool = False) -> Path:
    for part, lists, first in (("veg200", VEG, 0), ("fru92", FRU, 2)):
        for split, lines in lists.items():
            write(root / f"{part}_lists" / f"{part[:3]}_{split}.txt", lines, end, mark)
            for path, index in (line.rsplit(" ", 1) for line in lines):
                photo(root / f"{part}_images" / path, COLOURS[first + int(index)])
    return root


@pytest.mark.parametrize(("end", "mark"), [("\n", False), ("\r\n", True)])
def test_vegfru_is_its_two_parts_one_after_the_other(tmp_path: Path, end: str, mark: bool) -> None:
    vegfru(tmp_path / "vegfru", end, mark)
    train, val, test, about, notes, *_ = load_vegfru(tmp_path)
    assert train.classes == ("leek (vegetable)", "pak choi", "fig", "leek (fruit)")
    for data in (train, val, test):
        assert class_parents(data) == ("vegetable", "vegetable", "fruit", "fruit")
    assert (list(train.labels), about.name) == ([1, 0, 2, 3], "vegfru")
    assert all(agrees(data) for data in (train, val, test))
    assert len(notes) == 2


def test_a_part_of_vegfru_counts_from_its_own_first_class(tmp_path: Path) -> None:
    train, val, test, about, *_ = load_vegfru(vegfru(tmp_path), "fru92")
    assert train.classes == ("fig", "leek")
    assert all(agrees(data, COLOURS[2:]) for data in (train, val, test))
    assert about.paper is not None
    assert about.paper.test == 55817


@pytest.mark.parametrize("name", ["veg200", "fru92", "vegfru"])
def test_validation_images_are_trained_on_by_name_only(tmp_path: Path, name: str) -> None:
    train, val, test, *_ = load_vegfru(vegfru(tmp_path), name)
    both, none, same, about, *_ = load_vegfru(tmp_path, f"{name}-trainval")
    assert none is None
    assert val is not None
    assert len(both) == len(train) + len(val)
    assert both.classes == train.classes
    assert sorted(both.labels) == sorted([*train.labels, *val.labels])
    assert len(same or ()) == len(test or ())
    published = {"veg200": 30000, "fru92": 13800, "vegfru": 43800}[name]
    assert [counts.train for counts in about.counts] == [published]


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (61114, "61,114 test images, as in Table II"),
        (61117, "61,117 test images, as in .* totals"),
        (5, "not 61,114 or"),
    ],
)
def test_which_published_size_was_found_is_reported(tmp_path: Path, count: int, words: str) -> None:
    vegfru(tmp_path)
    write(tmp_path / "veg200_lists" / "veg_test.txt", [VEG["test"][0]] * count)
    (note,) = load_vegfru(tmp_path, "veg200").notes
    assert re.search(words, note)


@pytest.mark.parametrize(
    ("lists", "file", "lines", "words"),
    [
        ("veg200", "veg_train", ["pak choi/a b.jpg 2", "leek/1.JPG 1"], r"veg_train\.txt: the indices must run from 0"),
        ("veg200", "veg_train", ["pak choi/a b.jpg 1", "leek/1.JPG 1"], r"line 2: index 1 was 'pak choi'"),
        ("veg200", "veg_train", ["pak choi/a b.jpg"], r"veg_train\.txt, line 1: index 'b\.jpg' must be a whole number"),
        ("veg200", "veg_train", [], r"veg_train\.txt is empty"),
        ("veg200", "veg_test", ["pak choi/é.jpg 2"], r"veg_test\.txt, line 1: index '2' must be .* from 0 to 1"),
        ("veg200", "veg_test", ["", "pak choi/é.jpg 0"], r"veg_test\.txt, line 2: index 0 is class 'leek'"),
        ("veg200", "veg_test", ["pak choi/7.jpg 1"], r"veg_test\.txt, line 1: there is no image .*7\.jpg"),
        ("fru92", "fru_val", ["kiwi/1.jpg 1"], r"fru_val\.txt, line 1: index 1 is class 'leek'"),
    ],
)
def test_a_malformed_vegfru_list_is_named(tmp_path: Path, lists: str, file: str, lines: list[str], words: str) -> None:
    write(vegfru(tmp_path) / f"{lists}_lists" / f"{file}.txt", lines)
    with pytest.raises(ValueError, match=words):
        load_vegfru(tmp_path)


def test_vegfru_says_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no veg200_lists; .*University of Science and Technology of China"):
        load_vegfru(tmp_path)
    assert all(not INFOS[name].downloads for name in ("veg200", "fru92", "vegfru", "nabirds", "cars"))
