"""Labelled photos of some of a model's classes."""

from pathlib import Path

import pytest

from samples import class_folders, write
from scapnet.data.files import SkippedFile
from scapnet.data.labelled import load_labelled
from scapnet.terminal.hints import command

CLASSES = ("apple", "berry", "test", "ü")


def labels(root: Path | None, table: Path | None = None) -> dict[str, list[int]]:
    found = load_labelled(root, table, CLASSES)
    assert all(data.classes == CLASSES for data in found.values())
    return {split: list(data.labels) for split, data in found.items()}


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"ü": 1, "apple": 2}, {"all": [0, 0, 3]}),
        ({"val/ü": 1, "train/apple": 2}, {"train": [0, 0], "val": [3]}),
        ({"test": 2, "berry": 1}, {"all": [1, 2, 2]}),  # a class that is called like a split
    ],
)
def test_class_folders_may_be_in_splits_or_in_none(
    tmp_path: Path, counts: dict[str, int], expected: dict[str, list[int]]
) -> None:
    assert labels(class_folders(tmp_path, counts)) == expected


def test_a_table_has_the_labels_of_the_model(tmp_path: Path) -> None:
    class_folders(tmp_path, {"x": 3})
    lines = ["path,label", "x/0.bmp,ü", "x/1.bmp,apple", "x/2.bmp,ü"]
    assert labels(None, write(tmp_path / "labels.csv", lines)) == {"all": [3, 0, 3]}
    split = [line + f",{name}" for line, name in zip(lines, ("split", "test", "val", "test"), strict=True)]
    assert labels(tmp_path, write(tmp_path / "lists" / "a.csv", split)) == {"val": [0], "test": [3, 3]}


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ({"apple": 1, "zebra": 1}, r"zebra is not a class of the model \(1 of 2 class folders are not\)"),
        ({"val/x": 1, "val/y": 1, "val/ü": 1}, r"val.x is not a class of the model \(2 of 3 class"),
        ({}, "has no class folders; put the photos in"),
    ],
)
def test_a_folder_that_is_not_a_class_of_the_model_is_refused(
    tmp_path: Path, counts: dict[str, int], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        load_labelled(class_folders(tmp_path, counts), None, CLASSES)


def test_a_label_that_is_not_a_class_of_the_model_is_refused_with_its_line(tmp_path: Path) -> None:
    class_folders(tmp_path, {"x": 1})
    table = write(tmp_path / "t.csv", ["path,label", "x/0.bmp,zebra"])
    with pytest.raises(ValueError, match=r"t\.csv, line 2: the model has no class 'zebra'"):
        load_labelled(tmp_path, table, CLASSES)
    with command(["eval"]), pytest.raises(ValueError, match="give it with --table FILE"):
        load_labelled(tmp_path, tmp_path / "gone.csv", CLASSES)


def test_folder_names_may_differ_in_accents_from_the_model_s(tmp_path: Path) -> None:
    class_folders(tmp_path, {"Test_images/u\u0308": 1, "valid/apple": 2})
    assert labels(tmp_path) == {"test": [3], "val": [0, 0]}


def test_class_folders_without_photos_say_what_is_in_them(tmp_path: Path) -> None:
    (tmp_path / "apple").mkdir()
    (tmp_path / "apple" / "1.CR2").touch()
    skipped: list[SkippedFile] = []
    with pytest.raises(ValueError, match=r"hold no photos \(\.cr2 files .*: 1 \(.*1\.CR2\)\); put photos there"):
        load_labelled(tmp_path, None, CLASSES, skipped)
    assert [path.name for path, _ in skipped] == ["1.CR2"]
