"""An evaluation scores the recorded photos, or others that the run has not seen."""

import shutil
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from samples import class_folders, noise, write
from scapnet.config import DataConfig
from scapnet.data.photos import PhotoList
from scapnet.data.record import write_record
from scapnet.data.recorded import data_of_run
from scapnet.data.scored import Chosen, choose, trained_on
from scapnet.terminal.hints import command

CLASSES = ("a", "b", "c")
Choose = Callable[..., Chosen]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return class_folders(tmp_path / "data", dict.fromkeys(CLASSES, 6))


@pytest.fixture
def chosen(tmp_path: Path, root: Path) -> Choose:
    """Choose for a run that has begun with two photos of each class held out."""
    config = DataConfig(root=root, val_fraction=0.34)
    (tmp_path / "run").mkdir()
    write_record(tmp_path / "run", data_of_run(config, None)[1])

    def run(split: str | None = None, root: Path | None = None, table: Path | None = None) -> Chosen:
        return choose(tmp_path / "run", config, CLASSES, split, root, table)

    return run


def names(found: Chosen) -> list[str]:
    assert isinstance(found.data, PhotoList)
    assert found.root is not None
    return [path.relative_to(found.root).as_posix() for path in found.data.paths]


def test_the_recorded_photos_are_scored_wherever_they_are_and_whatever_was_added(
    tmp_path: Path, root: Path, chosen: Choose
) -> None:
    held, trained = names(chosen()), names(chosen("train"))
    assert (chosen().split, len(held), len(trained)) == ("val", 6, 12)
    for i, name in enumerate(CLASSES):
        noise(root / name / f"0{i}.bmp", i)
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    for place in (None, root, copy):
        assert names(chosen("val", place)) == held
        assert names(chosen("train", place)) == trained
        assert chosen("val", place).notes[-1].startswith("3 photos added since the run began and not used: a/00.bmp")
        assert chosen("val", place).label == "val"
    assert chosen("val", copy).root == copy


def test_only_the_photos_of_the_split_must_be_there(root: Path, chosen: Choose) -> None:
    held, trained = names(chosen("val")), names(chosen("train"))
    (root / trained[0]).unlink()
    assert names(chosen("val")) == held
    with command(["eval"]), pytest.raises(ValueError, match=r"1 photo is gone \(a/\d\.bmp\); .* with --root FOLDER"):
        chosen("train")
    noise(root / held[0], 1, 9)
    for place in (None, root):
        with pytest.raises(ValueError, match="1 photo is of another size"):
            chosen("val", place)


def test_a_missing_split_is_reported(tmp_path: Path, root: Path, chosen: Choose) -> None:
    with pytest.raises(ValueError, match=r"^the data has no test split; it has train and val$"):
        chosen("test")
    flat = class_folders(tmp_path / "flat", {"a": 1})
    with pytest.raises(ValueError, match=r"flat has no test split; .* so leave out --split"):
        chosen("test", flat)
    (root / "a").rename(root / "z")
    with pytest.raises(ValueError, match="is gone; class 'z' is new"):
        chosen()


@pytest.mark.parametrize(
    ("counts", "split", "scored", "label"),
    [
        ({"a": 2, "c": 3}, None, "all", "of-field"),
        ({"a": 6, "b": 6, "c": 6}, None, "all", "of-field"),
        ({"test/a": 2, "test/c": 3}, None, "test", "of-field-test"),
        ({"test/a": 2, "val/c": 3}, "val", "val", "of-field-val"),
        ({"train/a": 2, "train/b": 3}, None, "train", "of-field-train"),
    ],
)
def test_another_folder_with_some_of_the_classes_is_scored(
    tmp_path: Path, chosen: Choose, counts: dict[str, int], split: str | None, scored: str, label: str
) -> None:
    field = class_folders(tmp_path / "field", counts)
    for path in field.rglob("*.bmp"):  # photos of the same names as the run's, but not the same photos
        noise(path, zlib.crc32(bytes(path)))
    found = chosen(split, field)
    assert (found.split, found.label, found.other, found.left_out) == (scored, label, field, 0)
    labels = {CLASSES.index(Path(name).parent.name) for name in names(found)}
    assert set(found.data.labels) == labels
    assert found.data.classes == CLASSES
    said = found.notes[0]
    of = "all classes" if len(labels) == 3 else f"{len(labels)} of the model's 3 classes, none of "
    assert f"{len(found.data)} photos of {of}" in said


def test_a_table_of_other_photos_is_scored_by_a_run_on_folders(tmp_path: Path, chosen: Choose) -> None:
    class_folders(tmp_path / "field", {"x": 2})
    table = write(tmp_path / "field" / "list.csv", ["path,label", "x/0.bmp,c", "x/1.bmp,b"])
    found = chosen(table=table)
    short = write(tmp_path / "short.csv", ["path,label", "a/0.bmp,a", "b/1.bmp,b"])  # of photos below the run's root
    shorter = choose(tmp_path, DataConfig("csv", root=tmp_path / "data"), CLASSES, None, None, short)
    assert (names(shorter), shorter.label) == (["a/0.bmp", "b/1.bmp"], "of-short")
    assert (list(found.data.labels), found.label, names(found)) == ([2, 1], "of-list", ["x/0.bmp", "x/1.bmp"])


def test_no_photo_that_was_trained_on_is_scored_as_held_out(tmp_path: Path, root: Path, chosen: Choose) -> None:
    trained = names(chosen("train"))
    field = class_folders(tmp_path / "field", {"test/a": 2})
    shutil.copy(root / trained[0], field / "test" / "a" / "copy.bmp")
    found = chosen(None, field)
    assert found.left_out == 1
    assert "copy.bmp" not in "".join(names(found))
    assert found.notes[-1] == "left out: 1 photo that the run was trained on (copy.bmp)"
    mixed = tmp_path / "mixed"  # the run's own photos in new splits
    for i, path in enumerate(sorted(root.rglob("*.bmp"))):
        target = mixed / ("test" if i % 2 else "train") / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    found = chosen("test", mixed)
    assert len(found.data) + found.left_out == 9
    assert not {path.read_bytes() for path in (mixed / name for name in names(found))} & {
        (root / name).read_bytes() for name in trained
    }
    only = tmp_path / "only"
    (only / "a").mkdir(parents=True)
    shutil.copy(root / trained[0], only / "a")
    with pytest.raises(ValueError, match=r"trained on all 1 photos .* give photos that it has not seen"):
        chosen(None, only)


def test_a_test_split_that_came_later_is_scored_without_what_was_trained_on(tmp_path: Path) -> None:
    root = class_folders(tmp_path / "data", {"train/a": 6, "train/b": 6})
    config, run = DataConfig(root=root, val_fraction=0.34), tmp_path / "run"
    run.mkdir()
    _, record, _ = data_of_run(config, None)
    write_record(run, record)
    class_folders(root, {"test/b": 2})
    shutil.copy(root / record.files["train"][0], root / "test" / "b" / "copy.bmp")
    found = choose(run, config, ("a", "b"), None, None, None)
    assert (found.split, names(found), found.left_out) == ("test", ["test/b/0.bmp", "test/b/1.bmp"], 1)


def test_a_run_of_an_earlier_version_without_a_record_is_scored_as_before(tmp_path: Path) -> None:
    root = class_folders(tmp_path / "data", {"train/a": 2, "train/b": 2, "test/a": 1, "test/b": 1})
    config = DataConfig(root=root)
    for place in (None, root):
        found = choose(tmp_path, config, ("a", "b"), None, place, None)
        assert (found.label, names(found)) == ("test", ["test/a/0.bmp", "test/b/0.bmp"])
    with pytest.raises(ValueError, match="class 'c' is gone"):
        choose(tmp_path, config, ("a", "b", "c"), None, None, None)
    flat = class_folders(tmp_path / "flat", {"a": 2, "b": 2})
    assert choose(tmp_path, config, ("a", "b"), None, flat, None).label == "of-flat"


def test_messages_on_missing_data_name_the_options_of_eval(tmp_path: Path, chosen: Choose) -> None:
    with command(["eval"]):
        with pytest.raises(ValueError, match=r"there is no folder .*gone; .*with --root FOLDER"):
            chosen(None, tmp_path / "gone")
        with pytest.raises(ValueError, match=r"there is no table .*gone\.csv; give it with --table FILE"):
            chosen(None, None, tmp_path / "gone.csv")
        with pytest.raises(ValueError, match=r"has no images\.txt; give the cub folder with --root FOLDER"):
            choose(tmp_path, DataConfig("cub"), CLASSES, None, tmp_path / "run", None)


def test_drawn_pictures_do_not_hide_a_folder_of_photos(tmp_path: Path) -> None:
    field = class_folders(tmp_path / "field", {"a": 2})
    found = choose(tmp_path, replace(DataConfig("finches"), root=None), CLASSES, None, field, None)
    assert found.other == field
    assert sorted(path.name for path in field.iterdir()) == ["a"]


def test_photos_that_a_run_was_trained_on_are_found_wherever_they_are(tmp_path: Path) -> None:
    root = class_folders(tmp_path / "data", {"train/a": 3, "train/b": 3, "val/a": 2, "val/b": 2})
    record = data_of_run(DataConfig(root=root), None)[1]
    other = [
        noise(tmp_path / "other" / "0.bmp", 1),  # the name and the size of a training photo
        (tmp_path / "other" / "copy.bmp"),
        (tmp_path / "other" / "1.bmp"),
    ]
    other[1].write_bytes((root / "train/b/2.bmp").read_bytes())
    other[2].write_bytes((root / "val/a/1.bmp").read_bytes())  # held out, and also called as one that was trained on
    photos = PhotoList(other, [0, 0, 0], ("a", "b"))
    assert trained_on(record, root, photos) == [1]
    root.rename(tmp_path / "gone")
    assert trained_on(record, root, photos) == [0, 2]  # without the originals, name and size must do
