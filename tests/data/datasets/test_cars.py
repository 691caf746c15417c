"""The lists of Stanford Cars."""

from pathlib import Path

import numpy as np
import pytest

from samples import COLOURS, cells, photo, save_mat, seen
from scapnet.data.datasets.cars import load_cars


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
        save_mat(root / name, annotations=np.array(rows, kinds)[None])
    save_mat(root / "devkit" / "cars_meta.mat", class_names=cells(["AM General Hummer", "Acura RL"]).T)
    return root


def test_cars_are_numbered_from_one_and_have_boxes(tmp_path: Path) -> None:
    train, val, test, *_ = load_cars(cars(tmp_path / "stanford_cars"))
    assert val is None
    assert test is not None
    assert train.classes == ("AM General Hummer", "Acura RL")
    assert (list(train.labels), list(test.labels)) == ([1, 0], [0])
    assert [seen(train, 0), seen(train, 1), seen(test, 0)] == ["lime", "red", "red"]
    assert train[0].box.tolist() == [1, 2, 7, 8]


def test_mistakes_in_cars_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"withlabels\.mat, row 1: class '3' must be a whole number from 1 to 2"):
        load_cars(cars(tmp_path, 3))
    cars(tmp_path)
    save_mat(tmp_path / "cars_test_annos_withlabels.mat", annotations=np.array([("1.jpg",)], [("fname", "O")]))
    with pytest.raises(ValueError, match=r"withlabels\.mat lacks class, bbox_x1"):
        load_cars(tmp_path)
