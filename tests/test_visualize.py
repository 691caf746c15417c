"""Pictures of the gate, the parts and data sets."""

from pathlib import Path

import numpy as np
from PIL import Image

from samples import Command, painted


def test_show_draws_what_can_be_read(tmp_path: Path, model_folder: Path, command: Command) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    painted(50, 80).save(photos / "a.png")
    painted(300, 4).save(photos / "b.png")
    (photos / "c.jpg").write_text("no image")
    out, err = command("show", model_folder, photos, "--out", tmp_path / "shown.png")
    assert out.strip() == str(tmp_path / "shown.png")
    assert str(photos / "c.jpg") in err
    one, two = tmp_path / "shown.png", tmp_path / "one.png"
    command("show", model_folder, photos / "a.png", "--out", two)
    with Image.open(one) as both, Image.open(two) as single:
        assert both.format == "PNG"
        assert both.width == 2 * single.width
        assert len(np.unique(np.array(single).reshape(-1, 3), axis=0)) > 1000


def test_data_show_draws_the_finches(tmp_path: Path, command: Command) -> None:
    options = ("--name", "finches", "--classes", 4, "--train-length", 40, "--test-length", 12, "--count", 5)
    out, _ = command("data", "show", *options, "--out", tmp_path / "data.png", "--split", "test")
    assert "40" in out
    assert "12" in out
    with Image.open(tmp_path / "data.png") as sheet:
        assert sheet.width > 5 * 200
