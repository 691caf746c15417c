"""The lists of FGVC-Aircraft."""

from pathlib import Path

import pytest

from samples import COLOURS, agrees, photo, write
from scapnet.data.datasets.aircraft import load_aircraft
from scapnet.data.sample import class_parents

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
        ("images_variant_trainval.txt", "0001 A330 neo", "0001 A350", r"line 2: 'A350' is none of the 3 classes"),
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


def test_a_variant_has_its_family_and_a_family_its_manufacturer(tmp_path: Path) -> None:
    root = aircraft(tmp_path, "variant")
    found = load_aircraft(root)
    assert class_parents(found.train) == class_parents(found.test) == ("A330", "Boeing 707", "A330")
    (root / "data" / "images_family_trainval.txt").unlink()
    assert class_parents(load_aircraft(root).train) == ()
    assert class_parents(load_aircraft(aircraft(tmp_path / "b", "family"), "family").train) == ("Boeing", "Airbus")
    assert class_parents(load_aircraft(aircraft(tmp_path / "c", "manufacturer"), "manufacturer").train) == ()
