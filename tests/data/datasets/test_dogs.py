"""The lists of Stanford Dogs."""

from pathlib import Path

import numpy as np
import pytest

from samples import COLOURS, cells, photo, save_mat, seen
from scapnet.data.datasets.dogs import load_dogs

DOGS = {"train": (("n02-Pug/n02_1.jpg", 2), ("n01-toy_terrier/n01_2.jpg", 1)), "test": (("n02-Pug/n02_3.jpg", 2),)}


def dogs(root: Path, lists: dict[str, tuple[tuple[str, int], ...]]) -> Path:
    for split, rows in lists.items():
        for path, number in rows:
            photo(root / "Images" / path, COLOURS[number - 1])
        numbers = np.array([[number] for _, number in rows], np.float64)
        save_mat(root / f"{split}_list.mat", file_list=cells([path for path, _ in rows]), labels=numbers)
    return root


def test_dogs_are_numbered_from_one(tmp_path: Path) -> None:
    train, val, test, *_ = load_dogs(dogs(tmp_path, DOGS))
    assert val is None
    assert test is not None
    assert train.classes == ("toy terrier", "Pug")
    assert (list(train.labels), list(test.labels)) == ([1, 0], [1])
    assert [seen(train, 0), seen(train, 1), seen(test, 0)] == ["lime", "red", "lime"]


def test_mistakes_in_dogs_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"test_list\.mat, row 1: label 1.* was 'toy terrier' on an earlier row"):
        load_dogs(dogs(tmp_path, DOGS | {"test": (("n02-Pug/n02_3.jpg", 1),)}))
    with pytest.raises(ValueError, match=r"labels must run from 1 to 1|no training image"):
        load_dogs(dogs(tmp_path, {"train": DOGS["train"][:1], "test": DOGS["test"]}))
    (dogs(tmp_path, DOGS) / "Images" / "n02-Pug" / "n02_3.jpg").unlink()
    with pytest.raises(ValueError, match=r"test_list\.mat, row 1: there is no image"):
        load_dogs(tmp_path)
