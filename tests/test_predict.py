"""From photos of any kind to answers, pictures and scores, the way a user gets them."""

import csv
import io
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from samples import NAMES as CLASSES
from samples import TINY, make
from scapnet import cli
from scapnet.checkpoint import save_pretrained
from scapnet.predict import predict_files, predict_images, predict_photo
from scapnet.train import train

Answer = dict[str, Any]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_pretrained(make(), tmp_path_factory.mktemp("predict") / "model")


@pytest.fixture
def scapnet(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[str, str]]:
    """The command line in this process: arguments to what it wrote on stdout and stderr."""

    def run(*arguments: object) -> tuple[str, str]:
        monkeypatch.setattr(sys, "argv", ["scapnet", *map(str, arguments)])
        cli.main()
        written = capsys.readouterr()
        return written.out, written.err

    return run


def painted(height: int, width: int, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def test_a_folder_is_answered_file_by_file_and_what_is_no_image_is_named(
    tmp_path: Path, model: Path, scapnet: Callable[..., tuple[str, str]]
) -> None:
    photos = tmp_path / "my photos"
    (photos / "ü").mkdir(parents=True)
    for i, name in enumerate(["a.jpg", "ü/b.PNG", "c, d.png"]):
        painted(50 + i, 80, i).save(photos / name)
    (photos / ".DS_Store").write_bytes(b"x")
    (photos / "notes.txt").write_text("no image")
    (photos / "broken.jpg").write_bytes((photos / "a.jpg").read_bytes()[:300])
    single = tmp_path / "z.png"
    painted(40, 40, 9).save(single)
    for batch in (1, 3):
        out, err = scapnet("predict", model, photos, single, "--format", "json", "--batch-size", batch)
        answers: list[Answer] = json.loads(out)
        expected = [photos / "a.jpg", photos / "c, d.png", photos / "ü/b.PNG", single]
        assert [answer["path"] for answer in answers] == [str(path) for path in expected]
        lines = err.splitlines()
        assert [sum(str(photos / name) in line for line in lines) for name in ("broken.jpg", "notes.txt")] == [1, 1]
        assert "1 of 5 files" in lines[-1]
        assert len(lines) == 3
        if batch == 1:
            alone = answers
    for one, other in zip(alone, answers, strict=True):
        assert one["names"] == other["names"]
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-5)


def test_random_parts_repeat_whatever_the_batches_are(tmp_path: Path) -> None:
    for name in ("a", "c", "d", "e"):
        painted(72, 72).save(tmp_path / f"{name}.png")
    (tmp_path / "b.png").write_text("no image")
    skipped: list[str] = []
    found = [list(predict_files(make(parts__strategy="random"), [tmp_path], skipped, 1, size)) for size in (1, 2, 5)]
    boxes = [[[part.box for part in answer.parts] for answer in answers] for answers in found]
    assert boxes[0] == boxes[1] == boxes[2]
    assert len({str(parts) for parts in boxes[0]}) > 1  # the same photo four times, looked at in other places
    assert len(skipped) == 3


def test_table_json_and_csv_say_the_same(tmp_path: Path, model: Path, scapnet: Callable[..., tuple[str, str]]) -> None:
    photos, written = tmp_path / "photos", tmp_path / "written"
    for folder in (photos, written):
        folder.mkdir()
    for i in range(2):
        painted(60, 90, i).save(photos / f"{i}, x.png")
    found: dict[str, str] = {}
    for form in ("table", "json", "csv"):
        found[form], _ = scapnet("predict", model, photos / "0, x.png", photos / "1, x.png", "--format", form)
        out, _ = scapnet("predict", model, photos, "--format", form, "--out", written / f"a.{form}")
        assert out == ""
        assert (written / f"a.{form}").read_text(encoding="utf-8") == found[form]
    assert len(list(written.iterdir())) == 3
    answers: list[Answer] = json.loads(found["json"])
    rows = list(csv.DictReader(io.StringIO(found["csv"])))
    assert len(rows) == 2 * len(CLASSES)
    for i, answer in enumerate(answers):
        mine = rows[i * len(CLASSES) : (i + 1) * len(CLASSES)]
        assert {row["path"] for row in mine} == {answer["path"]}
        assert [int(row["rank"]) for row in mine] == [1, 2, 3, 4]
        assert [row["name"] for row in mine] == answer["names"]
        assert sorted(answer["names"]) == sorted(CLASSES)
        assert [float(row["probability"]) for row in mine] == pytest.approx(answer["probabilities"], abs=1e-6)
        assert answer["probabilities"] == sorted(answer["probabilities"], reverse=True)
        assert sum(answer["probabilities"]) == pytest.approx(1, abs=1e-5)
        assert json.loads(mine[0]["parts"]) == answer["parts"]
        assert float(mine[0]["kept"]) == pytest.approx(answer["kept"], abs=1e-4)
        assert [part["scale"] for part in answer["parts"]] == [1, 1, 1, 2, 2, 3]
    blocks = found["table"].split(str(photos))[1:]
    for answer, block in zip(answers, blocks, strict=True):
        lines = block.splitlines()[1:]
        assert [line.split("%  ")[1] for line in lines[:4]] == answer["names"]
        assert all(f"scale {part['scale']}" in line for part, line in zip(answer["parts"], lines[4:], strict=True))


@pytest.mark.parametrize("size", [(1, 1), (40, 2000), (2000, 40), (64, 64), (31, 200), (700, 500)])
def test_part_boxes_lie_in_the_photo(size: tuple[int, int]) -> None:
    height, width = size
    for photo in (painted(height, width), painted(height, width).convert("L")):
        answer = predict_photo(make(), photo, top=2)
        assert len(answer.names) == len(answer.probabilities) == 2
        assert len(answer.parts) == 6
        for part in answer.parts:
            x0, y0, x1, y1 = part.box
            assert 0 <= x0 <= x1 <= width
            assert 0 <= y0 <= y1 <= height
        # A unit of the grid is a quarter of the view, which is 64 of 72 pixels of the shorter side.
        sides = [(part.box[2] - part.box[0]) / (min(size) * 64 / 72 * part.scale / 4) for part in answer.parts]
        assert sides == pytest.approx([1.0] * 6, rel=0.02)


def test_a_rotated_photo_is_answered_as_the_user_sees_it(tmp_path: Path) -> None:
    upright, exif = painted(50, 120), Image.Exif()
    upright.save(tmp_path / "upright.png")
    exif[0x0112] = 6
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    model = make()
    expected = predict_photo(model, tmp_path / "upright.png")
    assert any(part.box[2] > 50 for part in expected.parts)
    assert replace(predict_photo(model, tmp_path / "turned.png"), path=expected.path) == expected
    with Image.open(tmp_path / "turned.png") as photo:  # a photo in memory is the same photo
        assert replace(predict_photo(model, photo), path=expected.path) == expected


def test_a_part_says_what_it_alone_speaks_for() -> None:
    model, images = make(), [torch.from_numpy(np.array(painted(72, 72, i))).permute(2, 0, 1) for i in range(2)]
    answers = predict_images(model, images, ["a", "b"])
    from scapnet.predict import run_model

    output, _ = run_model(model, images, [0, 1])
    for i, answer in enumerate(answers):
        own = output.part_logits[i].softmax(-1)  # type: ignore[index]
        assert [part.name for part in answer.parts] == [CLASSES[k] for k in own.argmax(1).tolist()]
        assert [part.probability for part in answer.parts] == pytest.approx(own.amax(1).tolist())
        assert output.gate is not None
        assert answer.kept == pytest.approx(float(output.gate.mask[i].mean()))


@pytest.mark.parametrize(
    "changes",
    [
        {"parts__enabled": False, "relation__enabled": False},
        {"gate__enabled": False, "parts__enabled": False, "relation__enabled": False},
    ],
)
def test_networks_without_parts_answer_and_are_drawn_too(
    tmp_path: Path, changes: dict[str, Any], scapnet: Callable[..., tuple[str, str]]
) -> None:
    folder = save_pretrained(make(**changes), tmp_path / "model")
    painted(50, 80).save(tmp_path / "x.png")
    answer = json.loads(scapnet("predict", folder, tmp_path / "x.png", "--format", "json")[0])[0]
    assert answer["parts"] == []
    assert (answer["kept"] is None) == ("gate__enabled" in changes)
    scapnet("show", folder, tmp_path / "x.png", "--out", tmp_path / "shown.png")
    assert Image.open(tmp_path / "shown.png").width > 200


def test_show_draws_what_can_be_read(tmp_path: Path, model: Path, scapnet: Callable[..., tuple[str, str]]) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    painted(50, 80).save(photos / "a.png")
    painted(300, 4).save(photos / "b.png")
    (photos / "c.jpg").write_text("no image")
    out, err = scapnet("show", model, photos, "--out", tmp_path / "shown.png")
    assert out.strip() == str(tmp_path / "shown.png")
    assert str(photos / "c.jpg") in err
    one, two = tmp_path / "shown.png", tmp_path / "one.png"
    scapnet("show", model, photos / "a.png", "--out", two)
    with Image.open(one) as both, Image.open(two) as single:
        assert both.format == "PNG"
        assert both.width == 2 * single.width
        assert len(np.unique(np.array(single).reshape(-1, 3), axis=0)) > 1000


def test_data_show_draws_the_finches(tmp_path: Path, scapnet: Callable[..., tuple[str, str]]) -> None:
    options = ("--name", "finches", "--classes", 4, "--train-length", 40, "--test-length", 12, "--count", 5)
    out, _ = scapnet("data", "show", *options, "--out", tmp_path / "data.png", "--split", "test")
    assert "40" in out
    assert "12" in out
    with Image.open(tmp_path / "data.png") as sheet:
        assert sheet.width > 5 * 200


def test_eval_gives_the_score_that_training_gave(tmp_path: Path, scapnet: Callable[..., tuple[str, str]]) -> None:
    config = replace(
        TINY,
        train=replace(TINY.train, epochs=1, stage1_epochs=0),
        model=replace(TINY.model, gate=replace(TINY.model.gate, open=0.0)),
    )
    run = train(config, tmp_path / "run")
    trained = json.loads((run / "results.json").read_text())
    out, _ = scapnet("eval", run)
    again = json.loads((run / "eval-test.json").read_text())
    scores = {key for key in trained if key.startswith(("accuracy", "kept", "hit", "random", "images"))}
    assert {"accuracy", "accuracy_parts", "hit_scale1", "random_scale3"} <= scores
    assert {key: again[key] for key in scores} == pytest.approx({key: trained[key] for key in scores})
    assert f"{trained['accuracy']:.1%}" in out
    scapnet("eval", run, "--split", "train")
    assert json.loads((run / "eval-train.json").read_text())["images"] == 40
    answer = asdict(predict_photo(make(), painted(50, 50)))
    assert answer["path"] == "image"
