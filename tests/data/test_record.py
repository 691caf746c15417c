"""The record of a run's data, and where moved data is looked for."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from samples import class_folders
from scapnet.config import DataConfig, SyntheticConfig
from scapnet.data.load import load_data
from scapnet.data.record import DataRecord, moved, read_record, record_of, write_record


def test_a_record_has_every_split_and_comes_back(tmp_path: Path) -> None:
    root = class_folders(tmp_path / "data", {"train/a": 3, "train/b": 2, "val/b": 1, "test/a": 1})
    record = record_of(load_data(DataConfig(root=root)), root)
    assert record.classes == ("a", "b")
    assert record.files["train"] == [
        "train/a/0.bmp",
        "train/a/1.bmp",
        "train/a/2.bmp",
        "train/b/0.bmp",
        "train/b/1.bmp",
    ]
    assert (record.files["val"], record.labels["val"]) == (["val/b/0.bmp"], [1])
    assert record.sizes["test"] == [(root / "test/a/0.bmp").stat().st_size]
    assert record.complete
    write_record(tmp_path, record)
    assert read_record(tmp_path) == record
    assert json.loads((tmp_path / "split.json").read_text())["train"] == record.files["train"]  # as versions before


def test_a_held_out_split_records_how_it_was_chosen(tmp_path: Path) -> None:
    root = class_folders(tmp_path / "data", {"a": 4, "b": 4})
    config = DataConfig(root=root, val_fraction=0.25, seed=3)
    record = record_of(load_data(config), root)
    assert record.drawn == {"by": "fraction", "fraction": 0.25, "seed": 3}
    assert (len(record.files["train"]), len(record.files["val"])) == (6, 2)
    write_record(tmp_path, record)
    assert read_record(tmp_path) == record
    everything = record_of(load_data(replace(config, val_fraction=0)), root)
    assert list(everything.files) == ["train"]
    assert len(everything.files["train"]) == 8


def test_pictures_that_are_in_no_file_are_counted(tmp_path: Path) -> None:
    config = DataConfig("finches", synthetic=SyntheticConfig(num_classes=3, train_length=7, test_length=4))
    record = record_of(load_data(config), None)
    assert (record.images, record.files, len(record.classes)) == ({"train": 7, "test": 4}, {}, 3)
    write_record(tmp_path, record)
    assert read_record(tmp_path) == record


def test_a_file_name_that_is_not_utf8_comes_back(tmp_path: Path) -> None:
    name = b"caf\xe9.jpg".decode(errors="surrogateescape")
    record = DataRecord(("a",), {"train": [name]}, {"train": [0]}, {"train": [1]})
    write_record(tmp_path, record)
    assert read_record(tmp_path) == record


def test_records_of_earlier_versions_are_read(tmp_path: Path) -> None:
    assert read_record(tmp_path) == DataRecord()
    (tmp_path / "best").mkdir()
    (tmp_path / "best" / "config.json").write_text('{"classes": ["x", "y"]}')
    assert read_record(tmp_path) == DataRecord(("x", "y"))
    (tmp_path / "split.json").write_text('{"by": "folds", "folds": 3, "train": ["x/1.jpg"], "val": ["y/2.jpg"]}')
    record = read_record(tmp_path)
    assert record.files == {"train": ["x/1.jpg"], "val": ["y/2.jpg"]}
    assert record.drawn == {"by": "folds", "folds": 3}
    assert not record.complete


@pytest.mark.parametrize(
    "content",
    [
        '{"val": ["a"]}',
        '{"train": 3}',
        '{"train": ["a"], "labels": {"train": []}, "classes": ["a"]}',
        '{"train": ["a"], "sizes": {"val": [1]}}',
        '{"train": ["a"], "labels": [0]}',
    ],
)
def test_a_damaged_record_is_one_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / "split.json").write_text(content)
    with pytest.raises(ValueError, match=r"split\.json is damaged"):
        read_record(tmp_path)


def test_moved_data_is_looked_for_at_its_new_place(tmp_path: Path) -> None:
    new = tmp_path / "new"
    new.mkdir()
    folder = DataConfig(root=Path("old"), download=True)
    assert moved(folder, None, None) == folder
    assert moved(folder, new, None) == replace(folder, root=new, download=False)
    assert moved(DataConfig("hub", hub="o/n"), new, None).hub == str(new)
    table = DataConfig("csv", root=Path("old"), table=Path("old/lists/all.csv"))
    assert moved(table, new, None).table == table.table  # it does not lie in the new root, so it has stayed
    (new / "lists").mkdir()
    (new / "lists" / "all.csv").touch()
    assert moved(table, new, None).table == new / "lists" / "all.csv"
    assert moved(table, new, Path("x.csv")).table == Path("x.csv")
    assert moved(table, None, Path("x.csv")) == replace(table, table=Path("x.csv"))


@pytest.mark.parametrize(
    "harm",
    [{"labels": {"train": [[0]]}}, {"labels": {"train": [5]}}, {"classes": 3}, {"classes": [1]}, {"train": [3]}],
)
def test_a_damaged_record_is_said(tmp_path: Path, harm: dict[str, object]) -> None:
    values = {"classes": ["a", "b"], "train": ["a/0.bmp"], "labels": {"train": [0]}} | harm
    (tmp_path / "split.json").write_text(json.dumps(values))
    with pytest.raises(ValueError, match=r"split.json is damaged"):
        read_record(tmp_path)
