"""Pictures of the gate, the parts and data sets."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from samples import Command, Refuse, make, painted, sentence
from scapnet.data.sample import Sample
from scapnet.predict import predict_images
from scapnet.visualize import BAD, GOOD, class_text, part_grid, part_row


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


def sample(seed: int = 0, label: int = 0) -> Sample:
    return Sample(torch.from_numpy(np.array(painted(72, 90, seed))).permute(2, 0, 1), label, f"photos/{seed}.png")


def test_a_row_runs_the_network_once() -> None:
    model, runs = make(), []
    model.register_forward_hook(lambda *_: runs.append(1))
    part_row(model, sample())
    assert len(runs) == 1


@pytest.mark.parametrize("changes", [{}, {"parts__classifier": "concat"}, {"parts__strategy": "random"}])
def test_a_row_shows_the_answer_of_predict(changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[tuple[str, str]] = []

    def note(_: object, place: object, text: str, colour: str = "black", width: float = 0) -> None:
        lines.append((text, colour))

    monkeypatch.setattr("scapnet.visualize.draw_text", note)
    model = make(**changes)
    found = predict_images(model, [sample().image], ["x"], top=1)[0]
    said = f"predicted ({found.probabilities[0]:.0%}): {found.answer}"
    for label in range(4):
        part_row(model, sample(label=label))
        right = model.classes[label] == found.answer
        assert lines[-2:] == [(f"true: {model.classes[label]}", "black"), (said, GOOD if right else BAD)]
    part_row(model, sample(), truth=False)
    assert lines[-2:] == [("photos/0.png", "black"), (said, "black")]


def test_a_class_that_cannot_be_written_has_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scapnet.visualize.drawable", str.isascii)
    assert [class_text(("crow", "麻雀"), k) for k in range(2)] == ["crow", "#1 麻雀"]


@pytest.mark.parametrize("name", ["parts.jpg", "parts.webp", "parts.PNG", "parts.pdf", "parts"])
def test_pictures_of_every_kind(name: str, tmp_path: Path, model_folder: Path, command: Command) -> None:
    painted(50, 80).save(tmp_path / "x.png")
    out, _ = command("show", model_folder, tmp_path / "x.png", "--out", tmp_path / "new" / name)
    (written,) = (tmp_path / "new").iterdir()
    assert written.name == (name if "." in name else "parts.png")
    assert out == f"{written}\n"
    if written.suffix != ".pdf":
        with Image.open(written) as picture:
            assert picture.format == {".jpg": "JPEG", ".webp": "WEBP"}.get(written.suffix, "PNG")


SHOW = ("show", "gone", "gone.jpg")
DATA_SHOW = ("data", "show", "--name", "folder", "--root", "gone")


@pytest.mark.parametrize("words", [SHOW, DATA_SHOW])
@pytest.mark.parametrize(
    ("name", "why"),
    [("x.xyz", "must end in"), ("x.csv", "must end in"), ("..", "is a folder"), ("x.jpg/y.png", "is a file")],
)
def test_a_picture_that_cannot_be_written_is_refused_before_the_work(
    words: tuple[str, ...], name: str, why: str, tmp_path: Path, refuse: Refuse
) -> None:
    (tmp_path / "x.jpg").touch()
    assert why in sentence(refuse(*words, "--out", tmp_path / name))
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["x.jpg"]


def test_show_draws_the_first_photos_and_says_so(tmp_path: Path, model_folder: Path, command: Command) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for i in range(27):
        painted(20, 20, i).save(photos / f"{i}.png")
    (photos / "3.png").write_text("no image")
    (photos / "0.txt").touch()
    _, err = command("show", model_folder, photos, "--out", tmp_path / "shown.jpg")  # soon written
    skipped, only, others = err.splitlines()
    assert skipped.startswith(f"skipped: {photos / '3.png'} is not a readable image")
    assert only == "only the first 24 photos are drawn"
    assert others.startswith("skipped: .txt files: 1")
    with Image.open(tmp_path / "shown.jpg") as picture:
        assert 12 * 262 < picture.height < 13 * 300


def test_nothing_to_draw(tmp_path: Path, model_folder: Path, refuse: Refuse) -> None:
    (tmp_path / "x.png").write_text("no image")
    said = refuse("show", model_folder, tmp_path / "x.png").splitlines()[-1]
    assert said.startswith("scapnet: no photo could be read")
    with pytest.raises(ValueError, match="no photo could be read"):
        part_grid(make(), [])
