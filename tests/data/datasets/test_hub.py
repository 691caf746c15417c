"""Data sets of the Hugging Face library."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from PIL import Image

from samples import COLOURS, seen
from scapnet.config import DataConfig
from scapnet.data.datasets.hub import load_hub
from scapnet.data.load import load_data
from scapnet.data.sample import FineGrained


def names(data: FineGrained | None) -> list[str]:
    assert data is not None
    return [data.classes[label] for label in data.labels]


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
    train, val, test, about, notes, drawn, *_ = load_hub("some/birds", 0.5, 0)
    assert (train.classes, list(train.labels), drawn) == (("lime", "red"), [1, 0, 1, 0], None)
    assert val is not None
    assert test is None
    assert "some/birds/test is left out" in notes[0]
    assert library["some/birds"]["train"].decoded == [0]  # nothing was decoded to read the labels
    assert [seen(train, i) for i in range(4)] == ["red", "lime", "red", "lime"]
    assert train[1].path == "some/birds/train/1"
    assert (about.licence, about.citation) == ("mit", "C")


def test_splits_of_other_names_are_recognised_or_reported(library: dict[str, Any]) -> None:
    library["x"] = {name: rows([0, 1]) for name in ("training", "dev", "eval", "unsupervised")}
    found = load_hub("x", 0.5, 0)
    assert found.sources == {"train": "x/training", "val": "x/dev", "test": "x/eval"}
    assert found.notes == ("the split unsupervised is not used",)


def test_a_hub_data_set_of_one_split_has_a_share_held_out(library: dict[str, Any]) -> None:
    library["x"] = rows(["red", "lime"] * 4, None)
    train, val, *_, drawn = load_hub("x", 0.25, 0)[:6]
    assert train.classes == ("lime", "red")
    assert val is not None
    assert drawn is not None
    assert (len(train), len(val), len(drawn["val"])) == (6, 2, 2)
    assert [seen(val, i) for i in range(2)] == [val.classes[label] for label in val.labels]
    assert [val[i].path for i in range(2)] == drawn["val"]
    folded = load_data(DataConfig("hub", hub="x", folds=2))
    assert folded.val is not None
    assert [seen(folded.val, i) for i in range(4)] == names(folded.val)


def test_hub_data_that_cannot_be_used_is_refused(library: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    library |= {"t": {"test": rows([0, 1])}, "n": {"train": Rows({"text": ["x"]}, {"text": kind("Value")})}}
    library |= {"one": {"train": rows([0, 0])}, "minus": {"train": rows([0, 1, -1])}}
    for name, words in (
        ("t", "has the splits test, and none is train"),
        ("n", r"has the columns text \(Value\)"),
        ("one", "classes without a training image"),
        ("minus", "images without a label"),
        ("gone", "the datasets library cannot load gone"),
        (None, r"needs its name; give it with --data\.hub"),
    ):
        with pytest.raises(ValueError, match=words):
            load_hub(name, 0.5, 0)
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ValueError, match="install it with: pip install datasets"):
        load_hub("t", 0.5, 0)


def test_a_data_set_of_the_library_itself_is_read(tmp_path: Path) -> None:
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
