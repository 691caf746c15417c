"""The line on a data set."""

from dataclasses import replace
from pathlib import Path

import pytest

from samples import photo
from scapnet.config import DataConfig, SyntheticConfig
from scapnet.data.layout import layout, layout_of
from scapnet.data.load import load_data


def fill(root: Path, *folders: str, count: int = 4) -> Path:
    for folder in folders:
        for i in range(count):
            photo(root / folder / f"{i}.png")
    return root


def test_the_line_of_splits_names_their_sources_and_what_is_not_used(tmp_path: Path) -> None:
    fill(tmp_path, "Train/robin", "Train/wren", "Testing/robin", "extra")
    (tmp_path / "Train" / "wren" / "notes.txt").touch()
    assert layout(load_data(DataConfig("folder", tmp_path))) == (
        f"2 classes (robin, wren); train: 8 images from {tmp_path / 'Train'}; no val; test: 4 images from "
        f"{tmp_path / 'Testing'}; not used: photos in {tmp_path / 'extra'}, which is not a split: 4 "
        f"({tmp_path / 'extra' / '0.png'}, ...), .txt files: 1 ({tmp_path / 'Train' / 'wren' / 'notes.txt'})"
    )


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (DataConfig("folder", val_fraction=0.25, seed=3), "val: 2 images, held out (25% of each class, seed 3)"),
        (DataConfig("folder", folds=4, fold=1), "val: 2 images, held out (fold 1 of 4 by folds, seed 0)"),
        (DataConfig("folder", folds=4, fold_by="neighbours"), "held out (fold 0 of 4 by neighbours, seed 0)"),
        (DataConfig("folder", val_fraction=0.0), "; no val; no test"),
    ],
)
def test_held_out_photos_are_reported(tmp_path: Path, config: DataConfig, words: str) -> None:
    assert words in layout(load_data(replace(config, root=fill(tmp_path, "robin", "wren"))))


def test_many_classes_are_not_all_named(tmp_path: Path) -> None:
    line = layout(load_data(DataConfig("folder", fill(tmp_path, *map(str, range(12)), count=2))))
    assert line.startswith("12 classes (0, 1, 2, 3, 4, 5, 6, 7, ...); train: ")


def test_guesses_are_in_the_line(tmp_path: Path) -> None:
    line = layout(load_data(DataConfig("folder", fill(tmp_path, "bus", "car", "train"))))
    assert f"{tmp_path / 'train'} is read as a class and not as a split" in line


def test_drawn_pictures_have_a_line_too() -> None:
    config = DataConfig("finches", synthetic=SyntheticConfig(num_classes=2, train_length=6, test_length=4))
    line = layout(load_data(config))
    assert line.startswith("2 classes (")
    assert line.endswith("); train: 6 images; no val; test: 4 images")


def test_the_line_of_one_split_counts_what_it_is_given(tmp_path: Path) -> None:
    splits = load_data(DataConfig("folder", fill(tmp_path, "test/a", "test/b", "train/a", "train/b")))
    assert layout_of(splits, "test", splits.train) == f"test: 8 images from {tmp_path / 'test'}; 2 classes (a, b)"
