"""A run is resumed with the photos that it began with, or says what has changed."""

import json
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from samples import class_folders, cub, noise, write
from scapnet.config import DataConfig, SyntheticConfig
from scapnet.data.datasets.hub import HubPhotos
from scapnet.data.photos import PhotoList
from scapnet.data.record import record_of, write_record
from scapnet.data.recorded import class_changes, data_of_run, recorded_splits
from scapnet.data.sample import SPLITS, Splits
from scapnet.terminal.hints import command

DRAWN = {"a": 6, "b": 6}
OWN = {"train/a": 3, "train/b": 3, "val/a": 2, "val/b": 2, "test/b": 2}


def begin(root: Path, run: Path, config: DataConfig | None = None) -> tuple[DataConfig, Splits]:
    """The settings and the splits of a run that has just begun."""
    config = config or DataConfig(root=root, val_fraction=0.34)
    splits, record, notes = data_of_run(config, None)
    run.mkdir()
    write_record(run, record)
    assert notes == []
    return config, splits


def paths(splits: Splits, root: Path) -> dict[str, list[str]]:
    return {
        name: [path.relative_to(root).as_posix() for path in data.paths]
        for name in SPLITS
        if isinstance(data := getattr(splits, name), PhotoList)
    }


@pytest.mark.parametrize("layout", [DRAWN, OWN])
def test_photos_that_were_added_are_in_no_split(tmp_path: Path, layout: dict[str, int]) -> None:
    root = class_folders(tmp_path / "data", layout)
    config, before = begin(root, tmp_path / "run")
    for i, folder in enumerate(layout):
        noise(root / folder / f"00{i}.bmp", i)  # before the others in order
    now, _, notes = data_of_run(config, tmp_path / "run")
    assert paths(now, root) == paths(before, root)
    assert [list(getattr(now, name).labels) for name in paths(now, root)] == [
        list(getattr(before, name).labels) for name in paths(before, root)
    ]
    assert notes[0].startswith(f"{len(layout)} photos added since the run began and not used: ")


def test_a_split_that_was_added_is_not_used_for_a_drawn_one(tmp_path: Path) -> None:
    root = class_folders(tmp_path / "data", {f"train/{name}": n for name, n in DRAWN.items()})
    config, before = begin(root, tmp_path / "run")
    class_folders(root, {"test/a": 2, "val/b": 1})
    now, _, notes = data_of_run(config, tmp_path / "run")
    assert paths(now, root) == paths(before, root)
    assert now.test is None
    assert "3 photos added" in notes[0]


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "renamed class": (lambda r: (r / "a").rename(r / "z"), "class 'a' is gone; class 'z' is new;"),
    "class removed": (lambda r: (r / "c").rename(r.parent / "c"), "class 'c' is gone;"),
    "class added": (lambda r: noise(r / "aa" / "0.bmp", 1), "class 'aa' is new;"),
    "photo removed": (lambda r: (r / "b" / "3.bmp").unlink(), r"1 photo is gone \(b/3\.bmp\)"),
    "photo renamed": (lambda r: (r / "b" / "3.bmp").rename(r / "b" / "x.bmp"), r"1 photo is gone \(b/3\.bmp\)"),
    "photo of another size": (lambda r: noise(r / "b" / "3.bmp", 1, 9), r"1 photo is of another size \(b/3\.bmp\)"),
    "two kinds": (
        lambda r: [
            (r / "a" / "2.bmp").rename(r / "c" / "x.bmp"),
            *(noise(r / "b" / f"{i}.bmp", 1, 9) for i in range(5)),
        ],
        r"1 photo is gone \(a/2.bmp\); 5 photos are of another size \(b/\d\.bmp, b/\d\.bmp, b/\d\.bmp, \.\.\.\);",
    ),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_data_that_has_changed_is_refused_with_what_has(tmp_path: Path, kind: str) -> None:
    root = class_folders(tmp_path / "data", DRAWN | {"c": 3})
    config, _ = begin(root, tmp_path / "run")
    change, words = CHANGES[kind]
    change(root)
    with command(["resume"]), pytest.raises(ValueError, match=words) as error:
        data_of_run(config, tmp_path / "run")
    assert str(error.value).startswith("the data has changed since the run began: ")
    assert str(error.value).endswith("give an unchanged copy with --root FOLDER")
    assert "\n" not in str(error.value)


def test_a_missing_photo_is_not_mistaken_for_a_moved_root(tmp_path: Path) -> None:
    root = class_folders(tmp_path / "data", {"a": 3, "b": 3, "b/a": 1})
    config, splits = begin(root, tmp_path / "run", DataConfig(root=root, val_fraction=0.0))
    assert paths(splits, root)["train"][0] == "a/0.bmp"
    (root / "a" / "0.bmp").unlink()  # b/a/0.bmp is still there
    with pytest.raises(ValueError, match=r"1 photo is gone \(a/0\.bmp\);"):
        data_of_run(config, tmp_path / "run")


def test_a_label_that_was_changed_in_a_table_is_refused(tmp_path: Path) -> None:
    class_folders(tmp_path / "data", {"all": 8})
    lines = ["path,label", *(f"all/{i}.bmp,{'ab'[i % 2]}" for i in range(8))]
    table = write(tmp_path / "data" / "labels.csv", lines)
    config, _ = begin(table.parent, tmp_path / "run", DataConfig("csv", root=table.parent))
    write(table, [line.replace("all/3.bmp,b", "all/3.bmp,a") for line in lines])
    with pytest.raises(ValueError, match=r"1 photo is in another class \(all/3\.bmp\)"):
        data_of_run(config, tmp_path / "run")


def test_a_published_data_set_keeps_its_boxes_and_may_be_given_by_a_folder_above(tmp_path: Path) -> None:
    home = cub(tmp_path / "data" / "CUB_200_2011")
    config, before = begin(home, tmp_path / "run", DataConfig("cub", root=tmp_path / "data"))
    for root in (tmp_path / "data", home):
        now, _, _ = data_of_run(replace(config, root=root), tmp_path / "run")
        assert isinstance(now.train, PhotoList)
        assert isinstance(before.train, PhotoList)
        assert now.train.paths == before.train.paths
        assert now.train.boxes is not None
    (home / "images" / "001.Red" / "2.jpg").write_bytes(b"other")
    with pytest.raises(ValueError, match=r"of another size \(CUB_200_2011/images/001\.Red/2\.jpg\)"):
        data_of_run(config, tmp_path / "run")


def test_moved_data_is_the_same_data(tmp_path: Path) -> None:
    root = class_folders(tmp_path / "data", OWN)
    config, before = begin(root, tmp_path / "run")
    expected = paths(before, root)
    new = root.rename(tmp_path / "elsewhere")
    now, record, notes = data_of_run(replace(config, root=new), tmp_path / "run")
    assert paths(now, new) == expected == record.files
    assert notes == []


def test_the_form_of_an_accent_and_the_order_of_classes_do_not_matter(tmp_path: Path) -> None:
    root = class_folders(tmp_path / "data", {"é": 4, "z": 4})
    config, before = begin(root, tmp_path / "run")
    file = tmp_path / "run" / "split.json"
    values = json.loads(unicodedata.normalize("NFD", file.read_text(encoding="utf-8")))
    values["classes"] = values["classes"][::-1]  # another version may order them so
    values["labels"] = {split: [1 - label for label in labels] for split, labels in values["labels"].items()}
    file.write_text(json.dumps(values))
    now, _, _ = data_of_run(config, tmp_path / "run")
    assert paths(now, root) == paths(before, root)
    assert list(now.train.classes) == list(before.train.classes)[::-1]
    assert list(now.train.labels) == [1 - label for label in before.train.labels]
    assert class_changes(["e\u0301"], ["é"]) == []


def test_drawn_pictures_are_checked_by_class_and_count(tmp_path: Path) -> None:
    small = DataConfig("finches", synthetic=SyntheticConfig(num_classes=3, train_length=7, test_length=4))
    begin(tmp_path, tmp_path / "run", small)
    now, _, notes = data_of_run(small, tmp_path / "run")
    assert (len(now.train), notes) == (7, [])
    for changes, words in (
        ({"train_length": 8}, "train split has 8 pictures instead of 7"),
        ({"num_classes": 4}, "is new"),
    ):
        other = replace(small, synthetic=replace(small.synthetic, **changes))  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=words):
            data_of_run(other, tmp_path / "run")


def hub(numbers: list[int], labels: list[int]) -> Splits:
    """Rows of a data set of the hub, which are never read here."""
    photos = HubPhotos(None, "image", labels, ("a", "b"), "owner/birds/train")
    train = photos.subset(numbers)
    return Splits(train, photos.subset([i for i in range(len(labels)) if i not in numbers]), None)


def test_rows_of_the_hub_are_known_by_their_numbers() -> None:
    before = hub([0, 1, 3], [0, 0, 1, 1])
    record = record_of(before, Path("owner/birds"))
    assert record.files == {"train": ["train/0", "train/1", "train/3"], "val": ["train/2"]}
    assert recorded_splits(record, hub([0, 1, 3], [0, 0, 1, 1]), Path("owner/birds"))[0].train.labels == (0, 0, 1)
    for now, words in (
        (hub([0, 1, 3], [1, 0, 1, 1]), r"1 photo is in another class \(train/0\)"),
        (hub([0, 1, 2], [0, 0, 1, 1]), "its rows have changed, or are in another order"),
    ):
        with pytest.raises(ValueError, match=words):
            recorded_splits(record, now, Path("owner/birds"))


def test_a_split_of_an_earlier_version_is_used_and_completed(tmp_path: Path) -> None:
    root = class_folders(tmp_path / "data", DRAWN)
    config, before = begin(root, tmp_path / "run")
    old = {"by": "fraction", "fraction": 0.34, "seed": 0, **paths(before, root)}
    (tmp_path / "run" / "split.json").write_text(json.dumps(old))
    noise(root / "a" / "00.bmp", 1)
    now, record, _ = data_of_run(config, tmp_path / "run")
    assert paths(now, root) == paths(before, root) == record.files
    assert (record.drawn["by"], record.classes, record.complete) == ("fraction", ("a", "b"), True)
    (root / "a" / "0.bmp").unlink()
    with pytest.raises(ValueError, match="1 photo is gone"):
        data_of_run(config, tmp_path / "run")
