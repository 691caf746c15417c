"""The lists of Oxford 102 Flower."""

from pathlib import Path

import numpy as np
import pytest

from samples import COLOURS, photo, save_mat, seen
from scapnet.data.datasets.flowers import load_flowers


def flowers(root: Path, train: list[int] | None = None) -> Path:
    """All 102 classes: image i has label 103 - i, and the first three have a colour."""
    numbers = [103 - i for i in range(1, 103)] + [1, 2]
    for i, number in enumerate(numbers, 1):
        photo(root / "jpg" / f"image_{i:05d}.jpg", COLOURS[min(number, 4) - 1])
    save_mat(root / "imagelabels.mat", labels=np.array([numbers], np.uint8))
    ids = {"trnid": train or list(range(1, 103)), "valid": [103], "tstid": [104, 102]}
    save_mat(root / "setid.mat", **{key: np.array([value], np.uint16) for key, value in ids.items()})
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


def test_mistakes_in_flowers_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"setid\.mat has no training image of class"):
        load_flowers(flowers(tmp_path, [1, 2]))
    with pytest.raises(ValueError, match=r"setid\.mat, trnid: image '105' must be a whole number from 1 to 104"):
        load_flowers(flowers(tmp_path, [105]))
    (tmp_path / "setid.mat").write_bytes(b"no list")
    with pytest.raises(ValueError, match=r"setid\.mat cannot be read as the list of trnid, valid, tstid"):
        load_flowers(tmp_path)
