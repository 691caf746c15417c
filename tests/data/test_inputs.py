"""One photo in every form that a program may have it in is the same photo."""

import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from samples import painted
from scapnet.data.images import UnreadableImage, read_image
from scapnet.data.inputs import load_photo, photo_name

PIXELS = np.array(painted(20, 30))
TENSOR = torch.from_numpy(PIXELS).permute(2, 0, 1)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    return tmp_path / "a.png"


class PathLike:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __fspath__(self) -> str:
        return str(self.path)


class Unseekable(io.RawIOBase):
    """As a response of a web server."""

    def __init__(self, content: bytes) -> None:
        self.content = io.BytesIO(content)

    def read(self, size: int = -1) -> bytes:
        return self.content.read(size)

    def readable(self) -> bool:
        return True


def written(file: Any, path: Path) -> Any:
    file.write(path.read_bytes())
    return file


FORMS: dict[str, Callable[[Path], Any]] = {
    "path": lambda path: path,
    "str": str,
    "path-like": PathLike,
    "bytes": lambda path: path.read_bytes(),
    "bytearray": lambda path: bytearray(path.read_bytes()),
    "memoryview": lambda path: memoryview(path.read_bytes()),
    "buffer": lambda path: io.BytesIO(path.read_bytes()),
    "open file": lambda path: path.open("rb"),
    "temporary file at its end": lambda path: written(tempfile.SpooledTemporaryFile(), path),  # noqa: SIM115
    "response": lambda path: Unseekable(path.read_bytes()),
    "upload": lambda path: SimpleNamespace(file=path.open("rb"), filename="x"),
    "pillow": lambda path: Image.open(path),
}


@pytest.mark.parametrize("form", FORMS)
def test_files_in_every_form(form: str, file: Path) -> None:
    photo = FORMS[form](file)
    assert torch.equal(load_photo(photo), TENSOR)
    if form != "response":
        assert torch.equal(load_photo(photo), TENSOR)  # again: it is read from its start


ARRAYS: dict[str, Any] = {
    "uint8": PIXELS,
    "not contiguous": np.repeat(PIXELS, 2, 1)[:, ::2],
    "flipped twice": PIXELS[::-1].copy()[::-1],
    "read-only": np.frombuffer(PIXELS.tobytes(), np.uint8).reshape(PIXELS.shape),
    "opaque": np.dstack([PIXELS, np.full((20, 30), 255, np.uint8)]),
    "int64": PIXELS.astype(np.int64),
    "big-endian": PIXELS.astype(">i4"),
    "float32": (PIXELS / 255).astype(np.float32),
    "float64": PIXELS / 255,
    "float16": (PIXELS / 255).astype(np.float16),
    "tensor": TENSOR,
    "opaque tensor": torch.cat([TENSOR, torch.full((1, 20, 30), 255, dtype=torch.uint8)]),
    "float tensor": (TENSOR / 255).requires_grad_(),
    "double tensor": TENSOR.double() / 255,
}


@pytest.mark.parametrize("form", ARRAYS)
def test_arrays_and_tensors(form: str) -> None:
    found = load_photo(ARRAYS[form])
    assert found.dtype == torch.uint8
    assert torch.equal(found, TENSOR)


@pytest.mark.parametrize("form", ["(H, W)", "(H, W, 1)", "bool", "tensor (H, W)", "tensor (1, H, W)", "floats"])
def test_grey(form: str) -> None:
    grey = PIXELS[..., 0]
    photos: dict[str, Any] = {
        "(H, W)": grey,
        "(H, W, 1)": grey[..., None],
        "bool": grey > 99,
        "tensor (H, W)": torch.from_numpy(grey.copy()),
        "tensor (1, H, W)": torch.from_numpy(grey.copy())[None],
        "floats": grey / 255.0,
    }
    expected = torch.from_numpy(np.where(grey > 99, 255, 0).astype(np.uint8) if form == "bool" else grey.copy())
    assert torch.equal(load_photo(photos[form]), expected.expand(3, -1, -1))


def test_transparent_pixels_are_white_as_in_a_file(tmp_path: Path) -> None:
    rgba = np.dstack([PIXELS, np.arange(600, dtype=np.uint8).reshape(20, 30)])
    Image.fromarray(rgba).save(tmp_path / "a.png")
    expected = read_image(tmp_path / "a.png")
    assert torch.equal(load_photo(rgba), expected)
    assert torch.equal(load_photo(torch.from_numpy(rgba).permute(2, 0, 1)), expected)
    assert torch.equal(load_photo(rgba / 255), expected)


def test_bytes_are_turned_as_their_exif_block_says(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    painted(20, 30).save(tmp_path / "a.jpg", exif=exif, quality=95)
    expected = read_image(tmp_path / "a.jpg")
    assert expected.shape == (3, 30, 20)
    with Image.open(tmp_path / "a.jpg") as opened:
        for photo in ((tmp_path / "a.jpg").read_bytes(), opened):
            assert torch.equal(load_photo(photo), expected)


WRONG: dict[str, tuple[Any, str]] = {
    "None": (None, "not None"),
    "list of paths": (["a.jpg", "b.jpg"], "not a list; give its photos one by one"),
    "tuple": ((1, 2), "not a tuple"),
    "number": (3, "not a int"),
    "dict": ({"path": "a.jpg"}, "not a dict"),
    "channels first": (np.zeros((3, 20, 30), np.uint8), r"not an array \(3, 20, 30\); transpose it"),
    "batch": (np.zeros((2, 20, 30, 3), np.uint8), "one by one"),
    "batch of tensors": (torch.zeros(1, 3, 20, 30), r"not a tensor \(1, 3, 20, 30\)"),
    "channels last tensor": (torch.zeros(20, 30, 3), r"not a tensor \(20, 30, 3\)"),
    "vector": (np.zeros(5), "not an array"),
    "two channels": (np.zeros((4, 4, 2), np.uint8), "not an array"),
    "empty": (np.zeros((0, 4, 3), np.uint8), "has no pixels"),
    "above 1": (np.full((4, 4, 3), 200.0), "go from 200.0 to 200.0; floats must lie from 0 to 1"),
    "below 0": (torch.full((3, 4, 4), -0.5), "floats must lie from 0 to 1"),
    "not a number": (np.full((4, 4), np.nan), "floats must lie from 0 to 1"),
    "16 bits": (np.full((4, 4), 65535, np.uint16), "whole numbers must lie from 0 to 255"),
    "negative": (np.full((4, 4), -1), "whole numbers must lie from 0 to 255"),
    "complex": (np.zeros((4, 4), complex), "not an array of complex128"),
    "text": (np.array([["a"]]), "not an array of"),
    "object": (np.array([[None]]), "not an array of object"),
    "text file": (io.StringIO("x"), "gives str and not bytes; open it with mode 'rb'"),
}


@pytest.mark.parametrize("form", WRONG)
def test_any_other_object_is_refused_with_what_is_accepted(form: str) -> None:
    photo, words = WRONG[form]
    with pytest.raises(ValueError, match=words) as error:
        load_photo(photo)
    assert "\n" not in str(error.value)
    assert not isinstance(error.value, UnreadableImage)  # a folder's broken file is passed over, a wrong type is not


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n"])
def test_bytes_that_are_not_an_image(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(UnreadableImage, match="image is not a readable image"):
        load_photo(content)
    with (tmp_path / "x.png").open("rb") as opened, pytest.raises(UnreadableImage, match=r"x\.png is not a readable"):
        load_photo(opened)


def test_a_file_that_pillow_opens_and_cannot_decode(tmp_path: Path) -> None:
    painted(60, 60).save(tmp_path / "x.jpg")
    half = (tmp_path / "x.jpg").read_bytes()[:900]
    (tmp_path / "x.jpg").write_bytes(half)
    with (
        Image.open(tmp_path / "x.jpg") as opened,
        pytest.raises(UnreadableImage, match=r"x\.jpg is not a readable"),
    ):
        load_photo(opened)
    with pytest.raises(UnreadableImage, match="image is not a readable image"):
        load_photo(half)


@pytest.mark.parametrize("address", ["https://example.org/a.jpg", "S3://bucket/a.jpg", "file://nas/a.jpg"])
def test_addresses_of_other_machines(address: str) -> None:
    with pytest.raises(ValueError, match="is not on this machine; download the photo"):
        load_photo(address)


@pytest.mark.parametrize(
    ("photo", "name"),
    [("a/b.jpg", "a/b.jpg"), (Path("a.jpg"), "a.jpg"), (b"x", "image"), (TENSOR, "image"), (None, "image")],
)
def test_names(photo: Any, name: str) -> None:
    assert photo_name(photo) == name


def test_a_file_without_a_name_of_its_own_is_an_image() -> None:
    with tempfile.TemporaryFile() as opened:  # its name is a number
        assert photo_name(opened) == "image"


def test_floats_are_rounded_to_the_nearest() -> None:
    assert load_photo(np.array([[0.0, 0.499 / 255, 0.501 / 255, 1.0]]))[0].tolist() == [[0, 0, 1, 255]]


def test_the_photo_itself_is_not_changed() -> None:
    floats: Tensor = TENSOR / 255
    before = floats.clone()
    load_photo(floats).zero_()
    array = PIXELS.copy()
    load_photo(array).zero_()
    assert torch.equal(floats, before)
    assert (array == PIXELS).all()
