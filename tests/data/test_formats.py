"""The formats that are read, and what is said of the others."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image, features

from scapnet.data import formats
from scapnet.data.formats import is_photo, photo_suffixes, why_no_photo
from scapnet.data.images import read_image

FTYP = b"\0\0\0\x18ftyp"


@pytest.fixture
def no_plug_ins(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As where the extra is not installed."""
    known = {suffix: kind for suffix, kind in Image.registered_extensions().items() if kind not in ("HEIF", "JXL")}
    monkeypatch.setattr(Image, "EXTENSION", known)
    for kind in ("HEIF", "JXL"):
        monkeypatch.delitem(Image.OPEN, kind, raising=False)
    monkeypatch.setattr(Image, "ID", [kind for kind in Image.ID if kind in Image.OPEN])
    photo_suffixes.cache_clear()
    yield
    photo_suffixes.cache_clear()


@pytest.mark.parametrize(
    "suffix",
    [".bmp", ".gif", ".jpeg", ".jpg", ".jfif", ".png", ".ppm", ".tif", ".tiff", ".webp", ".jp2", ".tga", ".qoi"],
)
def test_what_pillow_writes_is_found_and_read(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"x{suffix.upper()}"
    Image.new("RGB", (16, 12), (200, 30, 30)).save(file)
    assert is_photo(file.name)
    assert read_image(file).shape == (3, 12, 16)


@pytest.mark.parametrize(("suffix", "package"), [(".avif", None), (".heic", "pillow_heif"), (".jxl", "pillow_jxl")])
def test_newer_formats_are_read(tmp_path: Path, suffix: str, package: str | None) -> None:
    if package:
        pytest.importorskip(package)
    elif not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    assert is_photo(f"x{suffix}")
    Image.new("RGB", (32, 24), (200, 30, 30)).save(tmp_path / f"x{suffix}")
    image = read_image(tmp_path / f"x{suffix}")
    assert image.shape == (3, 24, 32)
    assert (image[:, 12, 16].int() - image.new_tensor([200, 30, 30]).int()).abs().max() < 12


@pytest.mark.parametrize("name", ["x.mpg", "x.h5", "x.grib", "x.eps", "x.pdf", "x.mp4", "x.svg", "x", ".jpg", "jpg"])
def test_formats_that_are_not_photos_are_not_read_though_pillow_registers_them(name: str) -> None:
    assert not is_photo(name)


@pytest.mark.usefixtures("no_plug_ins")
def test_phone_photos_ask_for_their_plug_in() -> None:
    assert not is_photo("IMG_1.HEIC")
    for suffix in (".heic", ".jxl"):
        assert (
            why_no_photo(f"IMG_1{suffix.upper()}") == f'{suffix} files (to read them, pip install "scapnet[formats]")'
        )


@pytest.mark.usefixtures("no_plug_ins")
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (FTYP + b"heic\0\0\0\0mif1", "it is a HEIC photo; to read it, pip install"),
        (FTYP + b"mif1\0\0\0\0heic", "it is a HEIC photo; to read it, pip install"),
        (b"\xff\x0a\xfa", "it is a JPEG XL photo; to read it, pip install"),
        (FTYP + b"isom\0\0\0\0mp42", "it is a video"),
        (b"%PDF-1.7\n", "it is a PDF document"),
        (b"\n<!DOCTYPE html><html>", "it is a web page"),
        (b"<HTML><head>", "it is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "it is a pointer of Git LFS"),
        (b"hello", "its content is not in an image format that Pillow knows"),
        (b"", "the file is empty"),
    ],
)
def test_a_file_of_another_kind_says_what_it_is(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "x.jpg").write_bytes(content)
    with pytest.raises(ValueError, match=words) as error:
        read_image(tmp_path / "x.jpg")
    assert "\n" not in str(error.value)


def test_a_broken_photo_in_a_known_format_asks_for_no_package(tmp_path: Path) -> None:
    pytest.importorskip("pillow_heif")
    (tmp_path / "x.heic").write_bytes(FTYP + b"heic\0\0\0\0mif1heic")
    with pytest.raises(ValueError, match="is not a readable image") as error:
        read_image(tmp_path / "x.heic")
    assert "pip install" not in str(error.value)


def test_the_format_is_decided_by_content_and_not_by_name(tmp_path: Path) -> None:
    Image.new("RGB", (16, 12), "red").save(tmp_path / "x.webp")
    (tmp_path / "x.webp").rename(tmp_path / "x.jpg")
    assert read_image(tmp_path / "x.jpg").shape == (3, 12, 16)


def test_missing_plug_ins_are_not_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setitem(sys.modules, "pillow_jxl", None)
    formats.register_plug_ins.__wrapped__()
