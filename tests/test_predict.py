"""From photos of any kind to predictions."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image
from torch import Tensor

from samples import NAMES as CLASSES
from samples import Command, make, painted, predict_photos
from scapnet.checkpoint import save_pretrained
from scapnet.data.files import Listing
from scapnet.data.inputs import Photo, decode_input, load_photo
from scapnet.data.sources import expand
from scapnet.engine import TorchEngine
from scapnet.model import SCAPNet
from scapnet.predict import (
    AtLeast,
    PhotoView,
    PredictOptions,
    predict,
    predict_images,
    predict_photo,
    predict_views,
    read_view,
    run_model,
    threshold_of,
    view_of,
)
from scapnet.prediction import UNKNOWN, Prediction, Skipped


def test_random_parts_repeat_whatever_the_batches_are(tmp_path: Path) -> None:
    for name in ("a", "c", "d", "e"):
        painted(72, 72).save(tmp_path / f"{name}.png")
    (tmp_path / "b.png").write_text("no image")
    model = make(parts__strategy="random")
    found = [list(predict_photos(model, expand([tmp_path], Listing()), top=1, batch_size=size)) for size in (1, 2, 5)]
    answers = [[one for one in some if isinstance(one, Prediction)] for some in found]
    boxes = [[[part.box for part in answer.parts] for answer in some] for some in answers]
    assert boxes[0] == boxes[1] == boxes[2]
    assert len({str(parts) for parts in boxes[0]}) > 1  # the same photo four times, looked at in other places
    for some in found:
        (skipped,) = (one for one in some if isinstance(one, Skipped))
        assert skipped.path == str(tmp_path / "b.png")
        assert skipped.reason.startswith(f"{skipped.path} is not a readable image")


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
    tmp_path: Path, changes: dict[str, Any], command: Command
) -> None:
    folder = save_pretrained(make(**changes), tmp_path / "model")
    painted(50, 80).save(tmp_path / "x.png")
    answer = json.loads(command("predict", folder, tmp_path / "x.png", "--format", "json")[0])[0]
    assert answer["parts"] == []
    assert (answer["kept"] is None) == ("gate__enabled" in changes)
    command("show", folder, tmp_path / "x.png", "--out", tmp_path / "shown.png")
    assert Image.open(tmp_path / "shown.png").width > 200


def pixels(seed: int = 0) -> Tensor:
    return torch.from_numpy(np.array(painted(72, 90, seed))).permute(2, 0, 1)


def test_photos_are_read_one_by_one_and_no_sooner_than_their_batch_needs(tmp_path: Path) -> None:
    asked = []

    def photos() -> Iterator[Image.Image | Path]:
        for i in range(7):
            asked.append(i)
            yield painted(50, 60, i) if i != 1 else tmp_path / "gone.jpg"

    found = predict_photos(make(), photos(), batch_size=2, workers=0)
    assert isinstance(next(found), Skipped)
    assert asked == [0, 1]
    assert isinstance(next(found), Prediction)
    assert asked == [0, 1, 2]
    rest = list(found)
    assert [type(one) for one in rest] == [Prediction] * 5
    alone = [predict_photo(make(), painted(50, 60, i)).probabilities[0] for i in range(2, 7)]
    assert [one.probabilities[0] for one in rest if isinstance(one, Prediction)] == pytest.approx(alone, abs=1e-5)


def test_a_photo_is_named_by_its_file(tmp_path: Path) -> None:
    painted(50, 60).save(tmp_path / "a.png")
    with (tmp_path / "a.png").open("rb") as file:
        photos: list[Photo] = [tmp_path / "a.png", str(tmp_path / "a.png"), file, (tmp_path / "a.png").read_bytes()]
        found = [one for one in predict_photos(make(), photos) if isinstance(one, Prediction)]
    assert [one.path for one in found] == [str(tmp_path / "a.png")] * 3 + ["image"]
    assert len({one.probabilities for one in found}) == 1


@pytest.mark.parametrize("at_least", [None, 0.0, 0.3, 0.9, 1.0])
def test_an_answer_below_the_threshold_is_unknown(at_least: float | None) -> None:
    model = make()
    for i in range(4):
        plain, found = (predict_photo(model, pixels(i), at_least=value) for value in (None, at_least))
        assert plain.answer == plain.names[0]
        assert found.answer == (plain.names[0] if plain.probabilities[0] >= (at_least or 0) else UNKNOWN)
        assert replace(found, answer=plain.answer) == plain
        assert (UNKNOWN in found.table()) == (found.answer == UNKNOWN)
        assert found.to_dict()["answer"] == found.answer


def test_auto_is_the_threshold_of_the_model() -> None:
    model = make()
    with pytest.raises(ValueError, match=r"no threshold of its own.* give a probability"):
        threshold_of(model, "auto")
    probability = predict_photo(model, pixels()).probabilities[0]
    for threshold, answers in ((probability - 1e-3, CLASSES), (probability + 1e-3, (UNKNOWN,))):
        model.threshold = threshold
        assert threshold_of(model, "auto") == threshold
        assert predict_photo(model, pixels(), at_least="auto").answer in answers


@pytest.mark.parametrize("at_least", [-0.1, 1.01, 60, float("nan")])
def test_a_threshold_must_be_a_probability(at_least: AtLeast) -> None:
    with pytest.raises(ValueError, match="is no probability; give a number from 0 to 1"):
        threshold_of(make(), at_least)


def test_tta_is_the_mean_with_the_mirrored_photo_and_keeps_the_parts() -> None:
    model, photo = make(), torch.from_numpy(np.array(painted(72, 72))).permute(2, 0, 1)
    plain, mirrored, both = (
        predict_photo(model, photo, 4),
        predict_photo(model, photo.flip(-1), 4),
        predict_photo(model, photo, 4, tta=True),
    )
    one, other = (dict(zip(p.names, p.probabilities, strict=True)) for p in (plain, mirrored))
    expected = {name: (one[name] + other[name]) / 2 for name in one}
    assert dict(zip(both.names, both.probabilities, strict=True)) == pytest.approx(expected, abs=1e-6)
    assert one != pytest.approx(other, abs=1e-3)
    assert both.parts == plain.parts
    assert both.kept == plain.kept
    assert predict_photo(model, photo.flip(-1), 4, tta=True).probabilities == pytest.approx(both.probabilities)


@pytest.mark.parametrize("changes", [{}, {"parts__enabled": False, "relation__enabled": False}])
def test_features_are_what_the_classifier_gets(changes: dict[str, Any]) -> None:
    model = make(**changes)
    found = predict_photo(model, pixels(), features=True)
    assert found.features is not None
    logits = model.classifier(found.features)
    output, _ = run_model(model, [pixels()], [0])
    torch.testing.assert_close(logits, output.logits[0])
    assert "features" not in found.to_dict()
    assert predict_photo(model, pixels()).features is None
    assert not model.classifier._forward_pre_hooks


def test_a_failing_network_keeps_no_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make()
    monkeypatch.setattr(SCAPNet, "_parts", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        predict_photo(model, pixels())
    assert not model.classifier._forward_pre_hooks


def test_names_that_would_steer_a_terminal_are_escaped_in_the_table() -> None:
    model = make()
    model.classes = ("a[red]", "b\x1b[2J", "c\nd", "e")
    text = predict_images(model, [pixels()], ["x\ny.jpg"], top=4)[0].table()
    assert text.splitlines()[0] == r"x\ny.jpg"
    assert len(text.splitlines()) == 1 + 4 + 6
    assert all(word in text for word in ("a[red]", r"b\x1b[2J", r"c\nd"))


def test_the_network_runs_once_for_a_batch_and_twice_with_tta(monkeypatch: pytest.MonkeyPatch) -> None:
    model, runs = make(), []
    model.register_forward_hook(lambda *_: runs.append(1))
    list(predict_photos(model, [pixels(i) for i in range(3)], batch_size=2))
    assert len(runs) == 2
    list(predict_photos(model, [pixels(i) for i in range(3)], batch_size=3, tta=True, features=True))
    assert len(runs) == 4


def test_a_missing_file_is_said_before_the_first_is_read(tmp_path: Path) -> None:
    painted(8, 8).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"there is no file or folder .*gone"):
        expand([tmp_path / "a.png", tmp_path / "gone"], Listing())


def test_predict_takes_a_photo_a_folder_or_both(tmp_path: Path) -> None:
    model = make()
    for name in ("a/1.png", "a/2.png", "b.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        painted(60, 50, len(name)).save(tmp_path / name)
    image = painted(50, 60)
    one = list(predict(model, str(tmp_path / "b.png")))
    folder = list(predict(model, tmp_path / "a"))
    both = list(predict(model, [tmp_path / "a", image, tmp_path / "b.png"], batch_size=3))
    assert [len(found) for found in (one, folder, both)] == [1, 2, 4]
    assert [Path(found.path).name for found in both] == ["1.png", "2.png", "image", "b.png"]
    assert next(predict(model, image)).path == "image"
    with pytest.raises(ValueError, match="no file or folder"):
        list(predict(model, [tmp_path / "b.png", tmp_path / "gone"]))


@pytest.mark.parametrize(("orientation", "wide", "tall", "level"), [(1, 1024, 1280, 1), (6, 1000, 1250, 2)])
def test_a_large_jpeg_is_decoded_at_a_reduced_size(
    orientation: int, wide: int, tall: int, level: int, tmp_path: Path
) -> None:
    model = make()  # which needs 108 px along the shorter side
    photo, exif = painted(25, 20).resize((wide, tall), Image.Resampling.BICUBIC), Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    photo.save(tmp_path / "large.jpg", quality=95, exif=exif)
    for given in (tmp_path / "large.jpg", (tmp_path / "large.jpg").read_bytes()):
        view = read_view(given, model.view)
        assert isinstance(view, PhotoView)
        assert (view.height, view.width) == ((tall, wide) if orientation == 1 else (wide, tall))
        whole = view_of(load_photo(given), "", model.view)
        assert decode_input(given, None, 108).image.shape[1] < 700
        assert view.frame.side == whole.frame.side
        for reduced, full in ((view.frame.scale, whole.frame.scale), (view.frame.offset, whole.frame.offset)):
            assert reduced == pytest.approx(full, rel=0.01, abs=1)
        apart = (view.source.int() - whole.source.int()).abs()
        assert 0 < apart.float().mean() <= level
        assert apart.max() <= 16
        said, same = (predict_views(TorchEngine(model), [one], PredictOptions(4))[0] for one in (view, whole))
        assert said.probabilities == pytest.approx(same.probabilities, abs=0.02)
        for part, other in zip(said.parts, same.parts, strict=True):
            assert part.box == pytest.approx(other.box, abs=6)
