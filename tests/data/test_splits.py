"""Holding out a share or a fold."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from samples import COLOURS, photo
from scapnet.config import DataConfig
from scapnet.data.load import load_data
from scapnet.data.splits import in_block, in_fold


def test_folds_are_stratified_and_cover_every_photo_once() -> None:
    labels = [0] * 10 + [1] * 7 + [2] * 2 + [3]
    parts = [in_fold(labels, 3, fold, 5) for fold in range(3)]
    assert sorted(index for part in parts for index in part) == list(range(19))  # the only photo of a class stays
    for label, count in ((0, 10), (1, 7), (2, 2)):
        sizes = [sum(labels[i] == label for i in part) for part in parts]
        assert max(sizes) - min(sizes) <= 1
        assert sum(sizes) == count
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert parts == [in_fold(labels, 3, fold, 5) for fold in range(3)]
    assert parts != [in_fold(labels, 3, fold, 6) for fold in range(3)]


def test_folds_hold_out_what_they_record(tmp_path: Path) -> None:
    for i, name in enumerate("ab"):
        for number in range(6):
            photo(tmp_path / name / f"{number}.png", COLOURS[i])
    held: list[str] = []
    for fold in range(3):
        train, val, test, *_, drawn = load_data(DataConfig("folder", tmp_path, folds=3, fold=fold, seed=4))[:6]
        assert test is None
        assert val is not None
        assert drawn is not None
        assert (Counter(train.labels), Counter(val.labels)) == ({0: 4, 1: 4}, {0: 2, 1: 2})
        assert [Path(val[i].path).relative_to(tmp_path).as_posix() for i in range(4)] == drawn["val"]
        assert not set(drawn["train"]) & set(drawn["val"])
        held += drawn["val"]
    assert len(set(held)) == len(held) == 12


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (DataConfig("folder", folds=1), "there is no fold 0 of 1"),
        (DataConfig("folder", folds=3, fold=3), "there is no fold 3 of 3"),
        (DataConfig("finches", folds=3, size=64, resize=64), "built-in data has no folds"),
    ],
)
def test_impossible_folds_are_refused(tmp_path: Path, config: DataConfig, words: str) -> None:
    for name in ("a", "b"):
        photo(tmp_path / name / "1.png")
        photo(tmp_path / name / "2.png")
    with pytest.raises(ValueError, match=words):
        load_data(replace(config, root=tmp_path))


def test_folds_are_made_from_training_and_validation_photos_together(tmp_path: Path) -> None:
    for name in "ab":
        for number in range(4):
            photo(tmp_path / ("val" if number == 3 else "train") / name / f"{number}.png")
    held: list[str] = []
    for fold in range(2):
        splits = load_data(DataConfig("folder", tmp_path, folds=2, fold=fold))
        assert splits.val is not None
        assert splits.drawn is not None
        assert Counter(splits.val.labels) == {0: 2, 1: 2}
        held += splits.drawn["val"]
    assert len(set(held)) == len(held) == 8


def test_neighbours_stay_together_in_folds() -> None:
    labels = [0] * 11 + [1] * 5 + [2]
    parts = [in_block(labels, 4, fold, 3) for fold in range(4)]
    assert sorted(index for part in parts for index in part) == list(range(16))
    for part in parts:
        for label, size in ((0, 11), (1, 5)):
            mine = [i for i in part if labels[i] == label]
            assert size // 4 <= len(mine) <= -(-size // 4)
            first = labels.index(label)
            follow = sum((i - first + 1) % size + first in mine for i in mine)  # round the corner from last to first
            assert follow == len(mine) - 1
    assert parts == [in_block(labels, 4, fold, 3) for fold in range(4)]
    assert parts != [in_block(labels, 4, fold, 4) for fold in range(4)]
