"""One object for photos of any kind and number."""

import io
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from samples import make, painted, predict_photos
from scapnet import Predictor
from scapnet.checkpoint import from_pretrained, save_pretrained
from scapnet.config import ViewConfig
from scapnet.data.images import to_tensor
from scapnet.engine import ENGINES, Answers, TorchEngine
from scapnet.masking import answer_from_open_pixels
from scapnet.predict import predict, predict_photo, run_network, view_of
from scapnet.prediction import Prediction, Skipped


@pytest.fixture(scope="module")
def predictor(model_folder: Path) -> Predictor:
    return Predictor.from_pretrained(model_folder, device="cpu", batch_size=2)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    for i in range(5):
        painted(50 + i, 70, i).save(tmp_path / "photos" / f"{i}.png")
    return tmp_path / "photos"


@pytest.fixture
def server(photos: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(photos))) as found:
        threading.Thread(target=found.serve_forever).start()
        yield f"http://127.0.0.1:{found.server_port}"
        found.shutdown()


def test_one_photo_of_any_kind_is_one_answer(predictor: Predictor, photos: Path, server: str) -> None:
    path = photos / "0.png"
    with Image.open(path) as pillow:
        pixels = np.array(pillow)
    kinds: list[Any] = [path, str(path), path.as_uri(), f"{server}/0.png", path.read_bytes(), painted(50, 70)]
    kinds += [pixels, torch.from_numpy(pixels).permute(2, 0, 1), io.BytesIO(path.read_bytes())]
    expected = predict_photo(from_pretrained_model(predictor), path)
    assert expected.gate is not None
    for kind in kinds:
        found = predictor(kind)
        assert isinstance(found, Prediction)
        assert found.to_dict() | {"path": ""} == expected.to_dict() | {"path": ""}
    assert predictor(f"{server}/0.png").path == f"{server}/0.png"


def from_pretrained_model(predictor: Predictor) -> Any:
    assert isinstance(predictor.engine, TorchEngine)
    return predictor.engine.model


def test_many_photos_of_any_kind_are_a_stream(predictor: Predictor, photos: Path, server: str) -> None:
    files = sorted(photos.iterdir())
    expected = [one.to_dict() | {"path": ""} for one in predict(from_pretrained_model(predictor), files, batch_size=2)]
    kinds: list[Any] = [photos, str(photos), f"{photos}/*.png", files, map(str, files), [f.read_bytes() for f in files]]
    kinds += [[f"{server}/{i}.png" for i in range(5)], [photos / "0.png", np.array(painted(51, 70, 1)), *files[2:]]]
    for kind in kinds:
        found = predictor(kind)
        assert not isinstance(found, list | Prediction)
        assert [one.to_dict() | {"path": ""} for one in found] == expected
    batch = torch.stack([torch.from_numpy(np.array(painted(40, 40, i))).permute(2, 0, 1) for i in range(3)])
    (one, two, three), arrays = predictor(batch), list(predictor(batch.permute(0, 2, 3, 1).numpy()))
    assert [one, two, three] == arrays
    assert [one.path for one in arrays] == ["image"] * 3


def test_what_cannot_be_read_is_skipped_with_its_reason(predictor: Predictor, photos: Path, server: str) -> None:
    (photos / "2.png").write_text("no image")
    skipped = predictor(photos / "2.png")
    assert isinstance(skipped, Skipped)
    assert skipped.to_dict() == {"path": str(photos / "2.png"), "reason": skipped.reason}
    assert [type(one) for one in predictor(photos)].count(Skipped) == 1
    gone = predictor(f"{server}/gone.png")
    assert gone == Skipped(f"{server}/gone.png", f"{server}/gone.png is not a readable image (the server answered 404)")
    closed = predictor("http://127.0.0.1:9/a.png")
    assert isinstance(closed, Skipped)
    assert [type(one) for one in predictor(iter([photos / "gone.png", photos / "1.png"]))] == [Skipped, Prediction]
    assert list(predictor([])) == []


def test_a_wrong_name_or_kind_is_an_error(predictor: Predictor, photos: Path) -> None:
    for wrong, words in (("gone.jpg", "no file or folder"), ("*.gone", "no file matches"), (None, "not None")):
        with pytest.raises(ValueError, match=words):
            list(predictor(wrong) if wrong is not None else predictor([None]))  # type: ignore[list-item]
    with pytest.raises(ValueError, match=r"https://example.org/a.jpg is not on this machine"):
        predictor("https://example.org/a.jpg")
    with pytest.raises(ValueError, match="no file or folder"):
        predictor([photos / "0.png", "gone.jpg"])  # before the first is answered


def test_a_bar_counts_the_photos(predictor: Predictor, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photos / "notes.txt").touch()
    assert len(list(predictor(photos, progress=True))) == 5
    written = capsys.readouterr()
    assert "skipped: .txt files: 1" in written.err
    assert written.out == ""


def test_options_reach_the_answers(model_folder: Path, photos: Path) -> None:
    model = from_pretrained(model_folder)
    changes: list[dict[str, Any]] = [{"top": 2}, {"at_least": 1.0}, {"tta": True}, {"features": True}]
    for options in [*changes, {"batch_size": 1, "workers": 0}]:
        found = list(Predictor.from_pretrained(model_folder, device="cpu", **options)(photos))
        expected: list[Any] = list(predict_photos(model, sorted(photos.iterdir()), **options))
        assert found == expected
        assert "features" not in options or torch.equal(found[0].features, expected[0].features)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"engine": "abacus"}, "there is no engine 'abacus'; use torch or folded or onnx or openvino or int8 or auto"),
        ({"device": "cuda:77"}, "there is no device 'cuda:77' here"),
        ({"device": "toaster"}, "there is no device 'toaster' here"),
        ({"top": 0}, "must both be at least 1"),
        ({"workers": -1}, "workers -1 must be at least 0"),
        ({"at_least": 3.0}, "is no probability"),
        ({"at_least": "auto"}, "no threshold of its own"),
    ],
)
def test_settings_that_do_not_fit(options: dict[str, Any], words: str, model_folder: Path) -> None:
    with pytest.raises(ValueError, match=words) as error:
        Predictor.from_pretrained(model_folder, **options)
    assert "\n" not in str(error.value)


class Brightness:
    """An engine that has no network: a photo is bright or dark."""

    view, classes, threshold = ViewConfig(32, 32), ("dark", "bright"), None

    def __call__(self, image: Tensor, source: Tensor | None, index: Tensor) -> Answers:
        assert source is None
        bright = image.mean((1, 2, 3)).sigmoid()
        return Answers(torch.stack([1 - bright, bright], 1))


def test_any_engine_answers_through_the_same_object(
    photos: Path, monkeypatch: pytest.MonkeyPatch, model_folder: Path
) -> None:
    predictor = Predictor(Brightness(), tta=True, features=True)
    found = list(predictor(photos))
    assert [one.parts for one in found] == [()] * 5
    assert all(one.gate is one.kept is one.features is None for one in found)
    assert predictor(Image.new("RGB", (9, 9), "white")).answer == "bright"
    assert predictor(Image.new("RGB", (9, 9), "black")).answer == "dark"
    assert predictor.classes == ("dark", "bright")
    monkeypatch.setitem(ENGINES, "light", lambda folder, device: Brightness())
    assert Predictor.from_pretrained(model_folder, engine="light").classes == ("dark", "bright")


@pytest.mark.parametrize("changes", [{}, {"parts__classifier": "concat"}])
def test_the_torch_engine_gives_the_output_of_its_network(changes: dict[str, Any]) -> None:
    model = make(**changes)
    image, source, index = torch.randn(2, 3, 64, 64), torch.randn(2, 3, 96, 96), torch.tensor([3, 4])
    said = TorchEngine(model)(image, source, index)
    with torch.no_grad():
        output = model(image, source, index)
    assert output.parts is not None
    assert output.gate is not None
    assert said.mask is not None
    assert torch.equal(said.probs, output.probs)
    assert torch.equal(said.mask, output.gate.mask)
    for name in ("boxes", "scores", "scales"):
        assert torch.equal(getattr(said, name), getattr(output.parts, name))
    assert said.part_logits is not None
    assert torch.equal(said.part_logits, output.part_logits)


def test_the_view_says_where_the_grid_lies(predictor: Predictor) -> None:
    found = predictor(painted(72, 144))
    assert found.view == pytest.approx((40, 4, 104, 68))  # 64 of 72 px, in the middle
    assert len(found.gate) == len(found.gate[0]) == 4
    assert found.kept == pytest.approx(np.mean(found.gate))


def test_sure_photos_have_no_parts(model_folder: Path, photos: Path) -> None:
    def answered(**options: Any) -> list[Prediction]:
        found = Predictor.from_pretrained(model_folder, **options).stream(photos)
        return [one for one in found if isinstance(one, Prediction)]

    whole, main = answered(), answered(parts_for="none")
    assert all(one.parts for one in whole)
    assert not any(one.parts for one in main)
    tops = sorted(one.probabilities[0] for one in main)
    middle = (tops[2] + tops[3]) / 2
    some = answered(parts_for=middle, batch_size=2)
    assert [bool(one.parts) for one in some] == [one.probabilities[0] < middle for one in main]
    for one, all_parts, none in zip(some, whole, main, strict=True):
        assert one.names[0] == (all_parts if one.parts else none).names[0]
        assert [part.box for part in one.parts] == [part.box for part in all_parts.parts if one.parts]


def test_only_pytorch_skips_parts(predictor: Predictor) -> None:
    assert isinstance(predictor.engine, TorchEngine)
    with pytest.raises(ValueError, match="has no threshold for skipping"):
        Predictor(predictor.engine, parts_for="unsure")
    with pytest.raises(ValueError, match="only the engines torch and folded"):
        Predictor(Brightness(), parts_for="none")


def test_answers_from_open_pixels(photos: Path, tmp_path: Path) -> None:
    model = make()
    assert model.gate is not None
    plain = list(Predictor(model)(photos))
    with torch.no_grad():  # where every unit is open, nothing is masked
        assert all(one.kept == 1 for one in plain)
        assert list(Predictor(model, mask_pixels=True)(photos)) == plain
        views = [view_of(to_tensor(Image.open(photo)), "", model.view) for photo in sorted(photos.iterdir())]
        logits = run_network(model, views, range(5)).gate.logits  # type: ignore[union-attr]
        model.gate.fc2.bias[1] -= (logits[..., 1] - logits[..., 0]).quantile(0.5)
    folder = save_pretrained(model, tmp_path / "model")
    plain, masked = (
        list(Predictor.from_pretrained(folder, mask_pixels=on, features=True)(photos)) for on in (False, True)
    )
    for one, other in zip(plain, masked, strict=True):
        assert 0 < one.kept < 1
        assert (one.gate, one.view) == (other.gate, other.view)
        assert [part.box for part in one.parts] == [part.box for part in other.parts]
        assert not torch.equal(one.features, other.features)
        assert one.probabilities != other.probabilities
    image, source, index = torch.randn(2, 3, 64, 64), torch.randn(2, 3, 96, 96), torch.arange(2)
    engine = Predictor(model, mask_pixels=True).engine
    with torch.no_grad():
        expected = answer_from_open_pixels(model, image, source, index, model(image, source, index))
    assert torch.equal(engine(image, source, index).probs, expected.probs)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"engine": "onnx"}, "only the engines torch and folded can mask"),
        ({"tta": True}, "tta does not go with masked pixels"),
        ({"parts_for": 0.5}, "with all parts only"),
        ({"error_rate": 0.1}, "leave them out"),
        ({"false_alarms": 0.1}, "leave them out"),
        ({"at_least": "auto"}, "leave them out"),
    ],
)
def test_what_does_not_go_with_masked_pixels(
    options: dict[str, Any], words: str, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ENGINES, "onnx", lambda *_: pytest.fail("it is refused before a graph is made"))
    with pytest.raises(ValueError, match=words) as error:
        Predictor.from_pretrained(model_folder, mask_pixels=True, **options)
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="only the engines torch and folded can mask"):
        Predictor(Brightness(), mask_pixels=True)
