"""Stanford Cars, Stanford Dogs and Oxford 102 Flower: lists in MATLAB files, whose labels count from 1."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from samples import COLOURS, photo, seen
from scapnet.data.datasets.cars import load_cars
from scapnet.data.datasets.dogs import load_dogs
from scapnet.data.datasets.flowers import load_flowers
from scapnet.data.datasets.matfile import read_mat

try:
    from scipy.io import savemat
except ImportError:
    savemat = None


@pytest.fixture(autouse=True)
def _scipy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where scipy is missing, a stand-in reads what `save` wrote instead."""
    if savemat is None:
        module = ModuleType("scipy.io")
        module.loadmat = lambda file, squeeze_me: {  # type: ignore[attr-defined]
            key: np.squeeze(value) for key, value in np.load(file, allow_pickle=True).items()
        }
        monkeypatch.setitem(sys.modules, "scipy", ModuleType("scipy"))
        monkeypatch.setitem(sys.modules, "scipy.io", module)


def save(path: Path, **values: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        (savemat(file, values) if savemat else np.savez(file, **values))
    return path


def cells(values: list[str]) -> Any:
    """A MATLAB column of strings."""
    column = np.empty((len(values), 1), object)
    column[:, 0] = values
    return column


def flowers(root: Path, train: list[int] | None = None) -> Path:
    """All 102 classes: image i has label 103 - i, and the first three have a colour."""
    numbers = [103 - i for i in range(1, 103)] + [1, 2]
    for i, number in enumerate(numbers, 1):
        photo(root / "jpg" / f"image_{i:05d}.jpg", COLOURS[min(number, 4) - 1])
    save(root / "imagelabels.mat", labels=np.array([numbers], np.uint8))
    ids = {"trnid": train or list(range(1, 103)), "valid": [103], "tstid": [104, 102]}
    save(root / "setid.mat", **{key: np.array([value], np.uint16) for key, value in ids.items()})
    return root


def test_flowers_are_numbered_from_one(tmp_path: Path) -> None:
    train, val, test, *_ = load_flowers(flowers(tmp_path / "flowers-102"))
    assert val is not None
    assert test is not None
    assert len(train.classes) == 102
    assert train.classes[0] == "pink primrose"
    assert (train.labels[0], train.labels[-1]) == (101, 0)
    assert (list(val.labels), list(test.labels)) == ([0], [1, 0])
    for data in (train, val, test):
        assert all(seen(data, i) == COLOURS[min(label, 3)] for i, label in enumerate(data.labels))


def test_flowers_that_are_wrong_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"setid\.mat has no training image of class"):
        load_flowers(flowers(tmp_path, [1, 2]))
    with pytest.raises(ValueError, match=r"setid\.mat, trnid: image '105' must be a whole number from 1 to 104"):
        load_flowers(flowers(tmp_path, [105]))
    (tmp_path / "setid.mat").write_bytes(b"no list")
    with pytest.raises(ValueError, match=r"setid\.mat cannot be read as the list of trnid, valid, tstid"):
        load_flowers(tmp_path)


DOGS = {"train": (("n02-Pug/n02_1.jpg", 2), ("n01-toy_terrier/n01_2.jpg", 1)), "test": (("n02-Pug/n02_3.jpg", 2),)}


def dogs(root: Path, lists: dict[str, tuple[tuple[str, int], ...]]) -> Path:
    for split, rows in lists.items():
        for path, number in rows:
            photo(root / "Images" / path, COLOURS[number - 1])
        numbers = np.array([[number] for _, number in rows], np.float64)
        save(root / f"{split}_list.mat", file_list=cells([path for path, _ in rows]), labels=numbers)
    return root


def test_dogs_are_numbered_from_one(tmp_path: Path) -> None:
    train, val, test, *_ = load_dogs(dogs(tmp_path, DOGS))
    assert val is None
    assert test is not None
    assert train.classes == ("toy terrier", "Pug")
    assert (list(train.labels), list(test.labels)) == ([1, 0], [1])
    assert [seen(train, 0), seen(train, 1), seen(test, 0)] == ["lime", "red", "lime"]


def test_dogs_that_are_wrong_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"test_list\.mat, row 1: label 1.* was 'toy terrier' on an earlier row"):
        load_dogs(dogs(tmp_path, DOGS | {"test": (("n02-Pug/n02_3.jpg", 1),)}))
    with pytest.raises(ValueError, match=r"labels must run from 1 to 1|no training image"):
        load_dogs(dogs(tmp_path, {"train": DOGS["train"][:1], "test": DOGS["test"]}))
    (dogs(tmp_path, DOGS) / "Images" / "n02-Pug" / "n02_3.jpg").unlink()
    with pytest.raises(ValueError, match=r"test_list\.mat, row 1: there is no image"):
        load_dogs(tmp_path)


def cars(root: Path, last: int = 1) -> Path:
    kinds = [
        ("bbox_x1", "f4"),
        ("bbox_y1", "f4"),
        ("bbox_x2", "f4"),
        ("bbox_y2", "f4"),
        ("class", "u1"),
        ("fname", "O"),
    ]
    lists = {
        "devkit/cars_train_annos.mat": [(1, 2, 7, 8, 2, "00001.jpg"), (0, 0, 4, 4, 1, "00002.jpg")],
        "cars_test_annos_withlabels.mat": [(1, 1, 5, 5, last, "00001.jpg")],
    }
    for name, rows in lists.items():
        folder = "cars_train" if "train" in name else "cars_test"
        for *_, number, file in rows:
            photo(root / folder / file, COLOURS[min(number, 4) - 1])
        save(root / name, annotations=np.array(rows, kinds)[None])
    save(root / "devkit" / "cars_meta.mat", class_names=cells(["AM General Hummer", "Acura RL"]).T)
    return root


def test_cars_are_numbered_from_one_and_have_boxes(tmp_path: Path) -> None:
    train, val, test, *_ = load_cars(cars(tmp_path / "stanford_cars"))
    assert val is None
    assert test is not None
    assert train.classes == ("AM General Hummer", "Acura RL")
    assert (list(train.labels), list(test.labels)) == ([1, 0], [0])
    assert [seen(train, 0), seen(train, 1), seen(test, 0)] == ["lime", "red", "red"]
    assert train[0].box.tolist() == [1, 2, 7, 8]


def test_cars_that_are_wrong_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"withlabels\.mat, row 1: class '3' must be a whole number from 1 to 2"):
        load_cars(cars(tmp_path, 3))
    cars(tmp_path)
    save(tmp_path / "cars_test_annos_withlabels.mat", annotations=np.array([("1.jpg",)], [("fname", "O")]))
    with pytest.raises(ValueError, match=r"withlabels\.mat lacks class, bbox_x1"):
        load_cars(tmp_path)


def test_scipy_is_asked_for_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(ValueError, match=r"the cars data set .* install it by: pip install scipy"):
        read_mat(tmp_path / "x.mat", "cars", "labels")
