"""The lists of the Grocery Store Dataset."""

from pathlib import Path

import pytest

from samples import agrees, grocery, photo, write
from scapnet.data.datasets.grocery import load_grocery
from scapnet.data.photos import PhotoList
from scapnet.data.sample import class_parents


def lists(root: Path, train: str, classes: str | None = None) -> Path:
    for name in ("a.jpg", "b.jpg"):
        photo(root / "train" / name)
    header = "Class Name (str),Class ID (int),Coarse Class Name (str),Coarse Class ID (int)\r\n"
    table = header + "Pear,1,Pear,1\r\nApple,0,Apple,0\r\n" if classes is None else classes
    (root / "classes.csv").write_bytes(b"\xef\xbb\xbf" + table.encode())
    (root / "train.txt").write_bytes(train.encode("utf-8-sig"))
    return root


def test_grocery_lists_are_read_with_any_line_ends(tmp_path: Path) -> None:
    root = lists(tmp_path, "train/a.jpg, 1, 1\r\ntrain/b.jpg, 0, 0\r\n")
    (root / "val.txt").write_text("train/b.jpg, 0, 0")
    train, val, test, *_ = load_grocery(root)
    assert test is None
    assert val is not None
    assert (train.classes, list(train.labels), list(val.labels)) == (("Apple", "Pear"), [1, 0], [0])
    assert train[0].path == str(root / "train" / "a.jpg")
    assert train[0].image.shape == (3, 8, 8)


@pytest.mark.parametrize(
    ("lines", "number"), [("train/a.jpg, 1\n", 1), ("train/a.jpg, 1, 1\ntrain/b.jpg, 2, 0\n", 2), ("a, x, 0\n", 1)]
)
def test_a_malformed_grocery_line_is_named(tmp_path: Path, lines: str, number: int) -> None:
    with pytest.raises(ValueError, match=rf"train\.txt, line {number}: expected 'path, fine, coarse'"):
        load_grocery(lists(tmp_path, lines))


def test_a_folder_without_the_grocery_lists_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no classes\.csv"):
        load_grocery(tmp_path)
    with pytest.raises(ValueError, match=r"classes\.csv"):
        load_grocery(lists(tmp_path, "train/a.jpg, 0, 0\n", "name,number\nApple,0\n"))


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


def test_a_fine_class_has_its_coarse_one_for_a_parent(tmp_path: Path) -> None:
    found = load_grocery(grocery(tmp_path))
    assert [class_parents(data) for data in found[:3]] == [("Apple", "Pear", "Apple")] * 3
    assert class_parents(load_grocery(tmp_path, "coarse").train) == ()
    train = found.train
    assert isinstance(train, PhotoList)
    assert train.subset([0]).relabelled(("Pear", "Granny", "Gala, red")).parents == ("Pear", "Apple", "Apple")
