"""The lists of Oxford-IIIT Pet."""

from pathlib import Path

import pytest

from samples import COLOURS, agrees, photo, write
from scapnet.data.datasets.pets import load_pets

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
