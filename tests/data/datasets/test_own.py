"""Your own photos: by a table, dealt into folds, and from the Hugging Face library."""

import sys
import unicodedata
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from PIL import Image

from samples import COLOURS, photo, seen, write
from scapnet.config import DataConfig
from scapnet.data.datasets.hub import load_hub
from scapnet.data.datasets.table import load_csv
from scapnet.data.load import load_data
from scapnet.data.sample import FineGrained
from scapnet.data.splits import in_block, in_fold

# --- tables ---


def table(root: Path, lines: list[str], end: str = "\n", mark: bool = False) -> Path:
    for i, folder in enumerate(("a", "b c", "ä")):
        for number in (1, 2, 3):
            photo(root / folder / f"{number}.JPG", COLOURS[i])
    photo(root / "a" / "x, y.png", "red")
    return write(root / "labels.csv", lines, end, mark)


def names(data: FineGrained | None) -> list[str]:
    assert data is not None
    return [data.classes[label] for label in data.labels]


@pytest.mark.parametrize(("end", "mark"), [("\n", False), ("\r\n", True), ("\n\n", False), ("\r", False)])
def test_a_table_is_read_with_any_line_ends(tmp_path: Path, end: str, mark: bool) -> None:
    lines = [
        "Split,Path , label,note",
        'train,"a/x, y.png",Red,1',
        "train,b c/1.jpg,lime,",
        "Validation,ä/1.JPG, Red ,",
    ]
    table(tmp_path, [*lines, "test,ä/2.JPG,lime,"], end, mark)
    train, val, test, about, _, drawn = load_csv(tmp_path, None, 0.5, 0)
    assert (train.classes, about.name, drawn) == (("Red", "lime"), "csv", None)
    assert (names(train), names(val), names(test)) == (["Red", "lime"], ["Red"], ["lime"])
    assert [seen(train, 0), seen(train, 1)] == ["red", "lime"]
    assert Path(train[1].path).name == "1.JPG"


def test_a_table_without_split_has_a_share_held_out(tmp_path: Path) -> None:
    rows = [f"{folder}/{number}.JPG,{label}" for folder, label in (("a", 10), ("b c", 9)) for number in (1, 2, 3)]
    file = table(tmp_path / "photos", ["path,label", *rows]).rename(tmp_path / "my.csv")
    train, val, test, *_, drawn = load_csv(tmp_path / "photos", file, 0.34, 0)
    assert train.classes == ("9", "10")  # numbers in the order of numbers
    assert (Counter(names(train)), Counter(names(val)), test) == ({"9": 2, "10": 2}, {"9": 1, "10": 1}, None)
    assert drawn is not None
    assert sorted(drawn["train"] + drawn["val"]) == sorted(row.split(",")[0] for row in rows)
    assert load_csv(tmp_path / "photos", file, 0.34, 0).drawn == drawn


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["path;label", "a/1.JPG;x"], r"labels\.csv, line 1: the header 'path;label' needs the columns path and label"),
        (["a/1.JPG,x"], r"line 1: the header 'a/1\.jpg,x'"),
        ([], r"line 1: the header ''"),
        (["path,label", "a/1.JPG,x", "", "a/2.JPG,"], r"labels\.csv, line 4: path and label must both be given"),
        (["path,label", "a/1.JPG"], r"line 2: path and label must both be given"),
        (["path,label", "a/1.JPG,x,y"], r"line 2: it has more fields than the header"),
        (["path,label,split", "a/1.JPG,x,dev"], r"line 2: split 'dev' must be train, val or test"),
        (["path,label,split", "a/1.JPG,x,"], r"line 2: split '' must be train, val or test"),
        (["path,label", "a/1.JPG,x", "a/9.JPG,y"], r"line 3: there is no image .*9\.JPG"),
        (["path,label", "a/1.JPG,x", "a/1.JPG,y"], r"line 3: a/1\.JPG was on line 2 too"),
        (["path,label", "a/1.JPG,x"], r"has 1 labels among its training photos"),
        (
            ["path,label,split", "a/1.JPG,x,train", "a/2.JPG,y,train", "a/3.JPG,z,test"],
            r"line 4: no training photo has the label 'z'",
        ),
        (["path,label", 'a/1.JPG,"x'], r"line 2: it is no CSV"),
    ],
)
def test_a_malformed_table_is_named_with_its_line(tmp_path: Path, lines: list[str], words: str) -> None:
    table(tmp_path, lines)
    with pytest.raises(ValueError, match=words) as error:
        load_csv(tmp_path, None, 0.5, 0)
    assert "\n" not in str(error.value)


def test_a_table_that_is_no_text_or_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_bytes(b"path,label\na/\xff.jpg,x\n")
    with pytest.raises(ValueError, match=r"labels\.csv is not UTF-8 text"):
        load_csv(tmp_path, None, 0.5, 0)
    with pytest.raises(ValueError, match=r"there is no table .*other\.csv; give it with --data\.table"):
        load_csv(None, tmp_path / "other.csv", 0.5, 0)


def test_an_accent_and_a_suffix_may_be_stored_otherwise_than_listed(tmp_path: Path) -> None:
    stored = photo(tmp_path / unicodedata.normalize("NFD", "é.JPG"), "lime")
    photo(tmp_path / "b.png")
    write(tmp_path / "labels.csv", ["path,label", unicodedata.normalize("NFC", "é.jpg") + ",x", "b.png,y"])
    train = load_csv(tmp_path, None, None, 0).train
    assert train[0].path == str(stored)
    assert seen(train, 0) == "lime"


# --- folds ---


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


def test_folds_hold_out_what_they_write_down(tmp_path: Path) -> None:
    for i, name in enumerate("ab"):
        for number in range(6):
            photo(tmp_path / name / f"{number}.png", COLOURS[i])
    held: list[str] = []
    for fold in range(3):
        train, val, test, *_, drawn = load_data(DataConfig("folder", tmp_path, folds=3, fold=fold, seed=4))
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
        (DataConfig("folder", folds=1), "fold 0 of 1 folds does not exist"),
        (DataConfig("folder", folds=3, fold=3), "fold 3 of 3 folds does not exist"),
        (DataConfig("finches", folds=3, size=64, resize=64), "built-in data has no folds"),
    ],
)
def test_folds_that_cannot_be_are_refused(tmp_path: Path, config: DataConfig, words: str) -> None:
    for name in ("a", "b"):
        photo(tmp_path / name / "1.png")
        photo(tmp_path / name / "2.png")
    with pytest.raises(ValueError, match=words):
        load_data(replace(config, root=tmp_path))


def test_folds_are_dealt_over_training_and_validation_photos_together(tmp_path: Path) -> None:
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


# --- the Hugging Face library ---


class Rows:
    """What scapnet uses of a `datasets.Dataset`."""

    def __init__(self, columns: dict[str, list[Any]], features: dict[str, Any]) -> None:
        self.columns, self.features, self.decoded = columns, features, [0]
        self.info = type("Info", (), {"citation": "C", "license": "mit", "homepage": ""})()

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            return self.columns[key]
        self.decoded[0] += 1
        return {name: column[key] for name, column in self.columns.items()}

    def select_columns(self, names: list[str]) -> "Rows":
        chosen = Rows({name: self.columns[name] for name in names}, self.features)
        chosen.decoded = self.decoded
        return chosen


def kind(name: str, **values: Any) -> Any:
    return type(name, (), values)()


def rows(labels: list[Any], classes: tuple[str, ...] | None = ("lime", "red")) -> Rows:
    painted = [label if isinstance(label, str) else (classes or COLOURS)[label] for label in labels]
    images = [Image.new("L" if i == 9 else "RGB", (8, 8), colour) for i, colour in enumerate(painted)]
    feature = kind("ClassLabel", names=list(classes)) if classes else kind("Value")
    return Rows(
        {"id": labels, "img": images, "label": labels}, {"id": kind("Value"), "img": kind("Image"), "label": feature}
    )


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A stand-in for the library: what it has by name."""
    shelf: dict[str, Any] = {}
    module = ModuleType("datasets")
    module.load_dataset = module.load_from_disk = lambda name: shelf[name]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "datasets", module)
    return shelf


def test_a_hub_data_set_is_read_row_by_row(library: dict[str, Any]) -> None:
    library["some/birds"] = {
        "train": rows([1, 0, 1, 0]),
        "validation": rows([0, 1]),
        "test": rows([-1, -1], ("lime", "red")),
    }
    train, val, test, about, notes, drawn = load_hub("some/birds", 0.5, 0)
    assert (train.classes, list(train.labels), drawn) == (("lime", "red"), [1, 0, 1, 0], None)
    assert val is not None
    assert test is None
    assert "some/birds/test is left out" in notes[0]
    assert library["some/birds"]["train"].decoded == [0]  # nothing was decoded to read the labels
    assert [seen(train, i) for i in range(4)] == ["red", "lime", "red", "lime"]
    assert train[1].path == "some/birds/train/1"
    assert (about.licence, about.citation) == ("mit", "C")


def test_a_hub_data_set_of_one_split_has_a_share_held_out(library: dict[str, Any]) -> None:
    library["x"] = rows(["red", "lime"] * 4, None)
    train, val, *_, drawn = load_hub("x", 0.25, 0)
    assert train.classes == ("lime", "red")
    assert val is not None
    assert drawn is not None
    assert (len(train), len(val), len(drawn["val"])) == (6, 2, 2)
    assert [seen(val, i) for i in range(2)] == [val.classes[label] for label in val.labels]
    assert [val[i].path for i in range(2)] == drawn["val"]
    folded = load_data(DataConfig("hub", hub="x", folds=2))
    assert folded.val is not None
    assert [seen(folded.val, i) for i in range(4)] == names(folded.val)


def test_hub_data_that_cannot_be_used_is_told(library: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    library |= {"t": {"test": rows([0, 1])}, "n": {"train": Rows({"text": ["x"]}, {"text": kind("Value")})}}
    library |= {"one": {"train": rows([0, 0])}, "minus": {"train": rows([0, 1, -1])}}
    for name, words in (
        ("t", "has the splits test and none is train"),
        ("n", r"has the columns text \(Value\)"),
        ("one", "classes without a training image"),
        ("minus", "images without a label"),
        ("gone", "gone cannot be loaded by the datasets library"),
        (None, r"needs its name; give it with --data\.hub"),
    ):
        with pytest.raises(ValueError, match=words):
            load_hub(name, 0.5, 0)
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ValueError, match="install it by: pip install datasets"):
        load_hub("t", 0.5, 0)


def test_the_library_itself_is_read_alike(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["lime", "red"])})
    images = [Image.new("RGB", (8, 8), ("lime", "red")[i % 2]) for i in range(6)]
    found = datasets.Dataset.from_dict({"image": images, "label": [0, 1] * 3}, features=features)
    datasets.DatasetDict({"train": found, "test": found.select([1, 2])}).save_to_disk(str(tmp_path / "saved"))
    train, val, test, *_ = load_hub(str(tmp_path / "saved"), 0.5, 0)
    assert val is None
    assert test is not None
    assert (list(train.labels), list(test.labels)) == ([0, 1] * 3, [1, 0])
    assert [seen(test, 0), seen(test, 1)] == ["red", "lime"]
