"""FGVC-Aircraft, VegFru, Grocery Store and Oxford-IIIT Pet in small: the published layouts, read by the real path."""

import re
from pathlib import Path

import pytest

from samples import COLOURS, grocery, photo, seen, write
from scapnet.config import DataConfig
from scapnet.data.datasets.aircraft import load_aircraft
from scapnet.data.datasets.grocery import load_grocery
from scapnet.data.datasets.pets import load_pets
from scapnet.data.datasets.vegfru import NAMES, load_vegfru
from scapnet.data.load import INFOS, LOADERS, dataset_info, load_data
from scapnet.data.sample import FineGrained


def agrees(data: FineGrained | None, colours: tuple[str, ...] = COLOURS) -> bool:
    """Whether every label is that of the colour that the picture is painted in."""
    assert data is not None
    return len(data) > 0 and [seen(data, i) for i in range(len(data))] == [colours[label] for label in data.labels]


# --- aircraft ---

# image, variant, family, manufacturer, list; the lists of classes are in another order than the lines.
PLANES = (
    ("0003", "707-320", "Boeing 707", "Boeing", "trainval"),
    ("0001", "A330 neo", "A330", "Airbus", "trainval"),
    ("0002", "A330-200", "A330", "Airbus", "trainval"),
    ("0004", "A330-200", "A330", "Airbus", "test"),
    ("0005", "707-320", "Boeing 707", "Boeing", "test"),
)
NAMED = {
    "variant": ("A330-200", "707-320", "A330 neo"),
    "family": ("Boeing 707", "A330"),
    "manufacturer": ("Airbus", "Boeing"),
}
FILES = {"variant": "variants.txt", "family": "families.txt", "manufacturer": "manufacturers.txt"}


def aircraft(root: Path, level: str, end: str = "\n") -> Path:
    column = 1 + list(NAMED).index(level)
    for plane in PLANES:
        photo(root / "data" / "images" / f"{plane[0]}.jpg", COLOURS[NAMED[level].index(plane[column])])
    for i, (name, classes) in enumerate(NAMED.items(), 1):
        write(root / "data" / FILES[name], classes, end)
        for split in ("trainval", "test"):
            lines = [f"{plane[0]} {plane[i]}" for plane in PLANES if plane[4] == split]
            write(root / "data" / f"images_{name}_{split}.txt", lines, end)
    write(root / "data" / "images_box.txt", ["0003 1 1 8 8", "0001 3 2 6 4"], end)
    return root


@pytest.mark.parametrize("level", list(NAMED))
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_aircraft_labels_are_those_of_the_pictures(tmp_path: Path, level: str, end: str) -> None:
    aircraft(tmp_path / "fgvc-aircraft-2013b", level, end)
    train, val, test, about, *_ = load_aircraft(tmp_path, level)
    assert val is None
    assert test is not None
    assert train.classes == NAMED[level]
    assert (len(train), len(test)) == (3, 2)
    assert agrees(train)
    assert agrees(test)
    assert about.counts[0].classes == {"variant": 100, "family": 70, "manufacturer": 30}[level]


def test_aircraft_boxes_count_from_one_and_hold_their_last_pixel(tmp_path: Path) -> None:
    train = load_aircraft(aircraft(tmp_path, "variant")).train
    assert train[0].box.tolist() == [0, 0, 8, 8]  # the whole picture of 8 x 8
    assert train[1].box.tolist() == [2, 1, 6, 4]
    assert train[2].box.isnan().all()


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        ("images_variant_trainval.txt", "0001 A330 neo", "0001 A350", r"line 2: there is no class 'A350' among the 3"),
        ("images_variant_trainval.txt", "0001 A330 neo", "0009 A330 neo", r"line 2: there is no image .*0009\.jpg"),
        ("images_variant_test.txt", "0004 A330-200", "0004", r"test\.txt, line 1: expected 'IMAGE CLASS'"),
        ("images_variant_trainval.txt", "0001 A330 neo\n", "", r"no training image of class 'A330 neo'"),
        ("variants.txt", "A330 neo", "707-320", r"variants\.txt, line 3: '707-320' was on an earlier line"),
        ("images_box.txt", "0001 3 2 6 4", "0001 3 2 6 x", r"images_box\.txt, line 2: a box must be numbers"),
    ],
)
def test_a_malformed_aircraft_list_is_named(tmp_path: Path, file: str, old: str, new: str, words: str) -> None:
    path = aircraft(tmp_path, "variant") / "data" / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ValueError, match=words):
        load_aircraft(tmp_path)


# --- vegfru ---

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
    train, val, test, about, notes, _ = load_vegfru(tmp_path)
    assert train.classes == ("leek (vegetable)", "pak choi", "fig", "leek (fruit)")
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
def test_which_of_the_two_published_sizes_was_found_is_said(tmp_path: Path, count: int, words: str) -> None:
    vegfru(tmp_path)
    write(tmp_path / "veg200_lists" / "veg_test.txt", [VEG["test"][0]] * count)
    (note,) = load_vegfru(tmp_path, "veg200").notes
    assert re.search(words, note)


@pytest.mark.parametrize(
    ("lists", "file", "lines", "words"),
    [
        ("veg200", "veg_train", ["pak choi/a b.jpg 2", "leek/1.JPG 1"], r"veg_train\.txt: its indices run from 1 to 2"),
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


def test_vegfru_says_whom_to_ask(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no veg200_lists; .*University of Science and Technology of China"):
        load_vegfru(tmp_path)
    assert all(not INFOS[name].downloads for name in ("veg200", "fru92", "vegfru", "nabirds", "cars"))


# --- grocery ---


def test_grocery_has_two_levels(tmp_path: Path) -> None:
    grocery(tmp_path / "GroceryStoreDataset" / "dataset")
    fine, coarse = load_grocery(tmp_path), load_grocery(tmp_path, "coarse")
    assert fine.train.classes == ("Gala, red", "Pear", "Granny")
    assert coarse.train.classes == ("Apple", "Pear")
    assert all(agrees(data) for data in fine[:3])
    assert [list(data.labels) for data in coarse[:3] if data is not None] == [[1, 0, 0], [1], [0]]
    assert (fine.info.counts[0].classes, coarse.info.counts[0].classes) == (81, 43)
    assert fine.notes == ()


def test_grocery_may_lack_its_test_list(tmp_path: Path) -> None:
    found = load_grocery(grocery(tmp_path, test=False))
    assert found.test is None
    assert "no test.txt" in found.notes[0]


def test_a_grocery_class_without_training_image_is_named(tmp_path: Path) -> None:
    write(grocery(tmp_path) / "train.txt", ["a/1.jpg, 1, 1", "b/1.jpg, 0, 0"])
    with pytest.raises(ValueError, match=r"train\.txt has no training image of class 'Granny'"):
        load_grocery(tmp_path)
    assert load_grocery(tmp_path, "coarse").train.classes == ("Apple", "Pear")
    write(tmp_path / "train.txt", ["", "a/9.jpg, 1, 1"])
    with pytest.raises(ValueError, match=r"train\.txt, line 2: there is no image"):
        load_grocery(tmp_path)


# --- pets ---

PETS = {"trainval": ("yorkshire_terrier_1 2 2 1", "Sphynx_10 1 1 1"), "test": ("yorkshire_terrier_3 2 2 1",)}


def pets(root: Path) -> Path:
    for split, lines in PETS.items():
        write(root / "annotations" / f"{split}.txt", lines)
        for name, number, *_ in (line.split() for line in lines):
            photo(root / "images" / f"{name}.jpg", COLOURS[int(number) - 1])
    photo(root / "images" / "._Sphynx_10.jpg")
    return root


def test_pets_count_from_one(tmp_path: Path) -> None:
    train, val, test, *_ = load_pets(pets(tmp_path / "oxford-iiit-pet"))
    assert val is None
    assert train.classes == ("Sphynx", "Yorkshire Terrier")
    assert (list(train.labels), agrees(train), agrees(test)) == ([1, 0], True, True)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["yorkshire_terrier_1 2 2 1", "Sphynx_10 0 1 1"], r"trainval\.txt, line 2: class '0' must be a whole number"),
        (["yorkshire_terrier_1 2 2 1", "Sphynx_10 2 1 1"], r"trainval\.txt, line 2: class 2 was 'Yorkshire Terrier'"),
        (["Sphynx_10 1 1 1"], r"no training image of class 'Yorkshire Terrier'"),
        (["yorkshire_terrier_1 2 2 1"], r"class ids must run from 1 to 1|no training image"),
    ],
)
def test_a_malformed_list_of_pets_is_named(tmp_path: Path, lines: list[str], words: str) -> None:
    write(pets(tmp_path) / "annotations" / "trainval.txt", lines)
    with pytest.raises(ValueError, match=words):
        load_pets(tmp_path)


# --- all of them ---


def test_every_name_has_a_loader_and_its_facts() -> None:
    for name in LOADERS:
        about = dataset_info(name)
        assert about.get
        assert about.licence
        assert all(counts.source for counts in about.counts)
        assert all(file.url.startswith("http") and bool(file.checksum) == bool(file.source) for file in about.downloads)
    assert set(NAMES) <= set(LOADERS)
    with pytest.raises(ValueError, match="there is no data set 'cars196'; choose one of"):
        dataset_info("cars196")


def test_every_data_set_has_its_page() -> None:
    pages = Path(__file__).parents[3] / "docs" / "data"
    index = (pages / "README.md").read_text(encoding="utf-8")
    for name in set(LOADERS) - {name for name in NAMES if name.endswith("-trainval")}:
        about, file = dataset_info(name), pages / f"{'vegfru' if name in NAMES else name}.md"
        text = file.read_text(encoding="utf-8")
        assert f"[`{name}`]({file.name})" in index
        assert f"`{name}`" in text
        assert about.homepage in text
        figures = [f"{v:,}" for c in about.counts for v in (c.classes, c.train, c.val, c.test) if v is not None]
        assert all(figure in text for figure in figures)
        assert all(file.url in text and (file.checksum or "") in text for file in about.downloads)


def test_a_level_that_a_data_set_lacks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"aircraft data set has no level 'coarse'; --data\.level must be one of variant"
    ):
        load_data(DataConfig("aircraft", tmp_path, level="coarse"))
    with pytest.raises(ValueError, match=r"the cub data set has no level 'fine'; --data\.level must be left out"):
        load_data(DataConfig("cub", tmp_path, level="fine"))
    aircraft(tmp_path, "family")
    assert load_data(DataConfig("aircraft", tmp_path, level="family")).train.classes == NAMED["family"]


@pytest.mark.parametrize("name", sorted(set(LOADERS) - {"finches", "hub"}))
def test_an_empty_folder_is_no_data_set(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"--data\.root|labels\.csv|class folders"):
        load_data(DataConfig(name, tmp_path))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"--data\.root"):
        load_data(DataConfig(name))  # type: ignore[arg-type]
