"""Photos by a table."""

import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from samples import COLOURS, photo, seen, write
from scapnet.data.datasets.table import load_csv
from scapnet.data.sample import FineGrained


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
    train, val, test, about, _, drawn, *_ = load_csv(tmp_path, None, 0.5, 0)
    assert (train.classes, about.name, drawn) == (("Red", "lime"), "csv", None)
    assert (names(train), names(val), names(test)) == (["Red", "lime"], ["Red"], ["lime"])
    assert [seen(train, 0), seen(train, 1)] == ["red", "lime"]
    assert Path(train[1].path).name == "1.JPG"


def test_a_table_without_split_has_a_share_held_out(tmp_path: Path) -> None:
    rows = [f"{folder}/{number}.JPG,{label}" for folder, label in (("a", 10), ("b c", 9)) for number in (1, 2, 3)]
    file = table(tmp_path / "photos", ["path,label", *rows]).rename(tmp_path / "my.csv")
    train, val, test, *_, drawn = load_csv(tmp_path / "photos", file, 0.34, 0)[:6]
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
