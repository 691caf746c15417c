"""What is said of a data set, what a run writes down of it, and the picture of its annotations."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from samples import COLOURS, photo
from scapnet import cli
from scapnet.config import DataConfig, SyntheticConfig
from scapnet.data.audit.describe import describe, differences
from scapnet.data.info import DatasetInfo, PublishedSizes
from scapnet.data.load import load_data
from scapnet.data.photos import PhotoList
from scapnet.data.sample import NO_BOX, Sample, Splits
from scapnet.data.synthetic.finches import Finches
from scapnet.plot import draw_marks
from scapnet.summary import data_lines
from scapnet.visualize import contact_sheet


def folders(root: Path, count: int = 6) -> Path:
    for i, name in enumerate("ab"):
        for number in range(count):
            photo(root / name / f"{number}.png", COLOURS[i], 40)
    return root


def listed(count: int, info: DatasetInfo) -> Splits:
    data = PhotoList([Path(f"{i}.jpg") for i in range(count)], [i % 2 for i in range(count)], ("a", "b"))
    return Splits(data, None, data.subset([0, 1, 2]), info, ("a note",))


def test_a_data_set_is_described_without_reading_a_photo() -> None:
    info = DatasetInfo(
        "x",
        "X",
        "cite",
        "MIT",
        "https://x",
        "get it",
        (PublishedSizes("theirs", 2, 5, None, 3),),
        PublishedSizes("II", 2),
    )
    found = describe(listed(5, info), DataConfig("cub"))
    assert json.loads(json.dumps(found)) == found
    train = {"images": 5, "classes": 2, "smallest": 2, "median": 2.5, "largest": 3, "per_class": {"a": 3, "b": 2}}
    assert found["splits"]["train"] == train
    assert set(found["splits"]) == {"train", "test"}
    assert (found["agrees"], found["boxes"], found["marks"], found["drawn"]) == (["theirs"], False, [], None)
    text = "\n".join(data_lines(found))
    for words in ("X; get it", "licence: MIT", "cite", "published, theirs: classes 2, train 5, test 3", "a note"):
        assert words in text
    assert "the sizes match the published ones" in text
    assert "do NOT match the published ones" in "\n".join(data_lines(describe(listed(6, info), DataConfig("cub"))))


def test_only_figures_that_both_sides_have_are_compared() -> None:
    here = {"classes": 2, "train": 1234, "test": 7}
    assert differences(here, PublishedSizes("x", None, 1234, 99, None)) == []
    assert differences(here, PublishedSizes("x", 3, 20000)) == [
        "classes: 2 instead of 3",
        "train: 1,234 instead of 20,000",
    ]


def test_held_out_photos_still_count_as_published_ones(tmp_path: Path) -> None:
    found = load_data(DataConfig("folder", folders(tmp_path), folds=2, seed=3))
    found = found._replace(info=replace(found.info, counts=(PublishedSizes("theirs", 2, 12),)))
    said = describe(found, DataConfig("folder", tmp_path))
    assert said["agrees"] == ["theirs"]
    assert said["drawn"] == {"by": "folds", "folds": 2, "fold": 0, "seed": 3}
    assert "held out (fold 0 of 2 by folds, seed 3)" in data_lines(said)[0]


def test_the_built_in_data_is_described_too() -> None:
    config = DataConfig(
        "finches", size=64, resize=64, synthetic=SyntheticConfig(num_classes=4, train_length=8, test_length=4)
    )
    found = describe(load_data(config), config)
    assert found["splits"]["train"]["per_class"] == dict.fromkeys(Finches("train", 4).classes, 2)
    assert (found["licence"], found["agrees"]) == ("Apache-2.0, as the package", None)
    assert found["marks"]


class Annotated:
    """One picture with a box and a point."""

    classes = ("a",)
    labels = (0,)

    def __init__(self, box: torch.Tensor) -> None:
        self.box = box

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Sample:
        image = torch.zeros(3, 224, 224, dtype=torch.uint8)
        return Sample(image, 0, "x", torch.tensor([[180.0, 180, 180, 180]]), self.box)


def test_the_sheet_shows_boxes_and_points() -> None:
    white = (255, 255, 255)
    sheet = contact_sheet(Annotated(torch.tensor([30.0, 40, 100, 120])), 1)
    assert sheet.getpixel((8 + 29, 8 + 80)) == sheet.getpixel((8 + 60, 8 + 121)) == white
    assert sheet.getpixel((8 + 176, 8 + 180)) == white
    assert sheet.getpixel((8 + 180, 8 + 180)) == (0, 0, 0)
    bare = contact_sheet(Annotated(NO_BOX), 1)
    assert bare.getpixel((8 + 29, 8 + 80)) == (0, 0, 0)
    tile = Image.new("RGB", (8, 8))
    assert draw_marks(tile, torch.full((2, 4), torch.nan), 8).tobytes() == tile.tobytes()


def test_data_show_prints_where_it_comes_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = ["path,label", *(f"{name}/{i}.png,{name}" for name in "ab" for i in range(6))]
    (folders(tmp_path) / "labels.csv").write_text("\n".join(lines))
    words = ("data", "show", "--name", "csv", "--root", tmp_path, "--out", tmp_path / "sheet.png")
    monkeypatch.setattr("sys.argv", ["scapnet", *map(str, words)])
    cli.main()
    out = capsys.readouterr().out
    assert "a table of photos; write a table with the header path,label" in out
    assert "held out (10% of each class, seed 0)" in out
    assert (tmp_path / "sheet.png").stat().st_size > 0
