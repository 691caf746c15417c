"""Opening photos: how the camera was held, whatever state the EXIF block is in."""

import struct
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from scapnet.data.audit.facts import photo_facts
from scapnet.data.images import read_image
from scapnet.data.opening import orientation

HEAD = b"Exif\0\0II*\0\x08\0\0\0"
DAMAGED = {
    "rubbish": b"Exif\0\0XXXXXXXX",
    "empty": b"Exif\0\0",
    "cut": b"Exif\0\0II*\0\x08",
    "twice": b"Exif\0\0Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0",
    "many entries": HEAD + b"\xff\xff\x12\x01",
    "text": HEAD + b"\x01\0\x12\x01\x02\0\x05\0\0\0\x1a\0\0\0\0\0\0\0abcd\0",
    "nine": HEAD + b"\x01\0\x12\x01\x03\0\x01\0\0\0\x09\0\0\0\0\0\0\0",
    "zero": HEAD + b"\x01\0\x12\x01\x03\0\x01\0\0\0\0\0\0\0\0\0\0\0",
    "no such type": HEAD + b"\x01\0\x12\x01\xff\0\x01\0\0\0\x06\0\0\0\0\0\0\0",
    "a fraction by zero": HEAD + b"\x01\0\x12\x01\x05\0\x01\0\0\0\x1a\0\0\0\0\0\0\0" + bytes(8),
    "far away": HEAD + b"\x01\0\x12\x01\x02\0\xff\xff\xff\xff\xff\xff\xff\x7f\0\0\0\0",
}


def grain(mode: str = "RGB") -> Image.Image:
    blocks = np.random.default_rng(0).integers(0, 255, (4, 6, 3), dtype=np.uint8)
    return Image.fromarray(np.kron(blocks, np.ones((8, 8, 1), np.uint8))).convert(mode)


@pytest.mark.parametrize("kind", ["RGB.jpg", "L.jpg", "CMYK.jpg", "RGB.png", "RGB.webp", "RGB.jxl"])
@pytest.mark.parametrize("name", DAMAGED)
def test_a_photo_with_a_damaged_exif_block_is_not_turned(tmp_path: Path, kind: str, name: str) -> None:
    mode, suffix = kind.split(".")
    if suffix == "jxl":
        pytest.importorskip("pillow_jxl")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            grain(mode).save(tmp_path / f"damaged.{suffix}", exif=DAMAGED[name])
        except Exception:
            pytest.skip("the format takes no such block")
        grain(mode).save(tmp_path / f"plain.{suffix}")
    assert torch.equal(read_image(tmp_path / f"damaged.{suffix}"), read_image(tmp_path / f"plain.{suffix}"))
    assert photo_facts(tmp_path / f"damaged.{suffix}", "x").error == ""


def test_a_large_jpeg_that_is_turned_or_progressive_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    grain().save(tmp_path / "turned.jpg", exif=exif)
    grain().save(tmp_path / "progressive.jpg", progressive=True)
    grain().save(tmp_path / "plain.jpg")
    for most, refused in ((32 * 48, ()), (32 * 48 - 1, ("turned", "progressive"))):
        monkeypatch.setattr("scapnet.data.opening.MOST_TURNED", most)
        assert read_image(tmp_path / "plain.jpg").shape == (3, 32, 48)
        for name in ("turned", "progressive"):
            if name in refused:
                with pytest.raises(ValueError, match=f"shrink it below {most:,}"):
                    read_image(tmp_path / f"{name}.jpg")
            else:
                read_image(tmp_path / f"{name}.jpg")


def test_a_png_with_its_exif_block_as_damaged_text_is_read(tmp_path: Path) -> None:
    from PIL.PngImagePlugin import PngInfo

    text = PngInfo()
    text.add_text("Raw profile type exif", "\nexif\n      8\nzz not hex", zip=True)
    grain().save(tmp_path / "x.png", pnginfo=text)
    assert read_image(tmp_path / "x.png").shape == (3, 32, 48)


def tiff(exif_at: int, turned: int) -> bytes:
    """A TIFF of grain with an orientation, and an EXIF block that begins at a place."""
    pixels = grain().tobytes()
    tags = [(256, 3, 48), (257, 3, 32), (258, 3, 8), (259, 3, 1), (262, 3, 2), (273, 4, 200), (274, 3, turned)]
    tags += [(277, 3, 3), (278, 3, 32), (279, 4, len(pixels)), (0x8769, 4, exif_at)]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    head = b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4)
    return head.ljust(200, b"\xff") + pixels


@pytest.mark.parametrize("exif_at", [0, 1, 7, 199, 10**6, 2**32 - 1])
@pytest.mark.parametrize("turned", [1, 6])
def test_a_tiff_with_a_damaged_block_is_still_turned(tmp_path: Path, exif_at: int, turned: int) -> None:
    (tmp_path / "x.tif").write_bytes(tiff(exif_at, turned))
    upright = grain().transpose(Image.Transpose.ROTATE_270) if turned == 6 else grain()
    expected = torch.from_numpy(np.array(upright)).permute(2, 0, 1)
    assert torch.equal(read_image(tmp_path / "x.tif"), expected)
    assert photo_facts(tmp_path / "x.tif", "x").error == ""


def test_a_damaged_tiff_is_not_taken_for_one_with_damaged_exif(tmp_path: Path) -> None:
    (tmp_path / "x.tif").write_bytes(tiff(10**6, 1)[:-100])
    with pytest.raises(ValueError, match="not a readable image"):
        read_image(tmp_path / "x.tif")


XMP = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'


def placed() -> Iterator[tuple[str, dict[str, Any]]]:
    exif = Image.Exif()
    exif[0x0112] = 6
    yield "EXIF", {"exif": exif.tobytes()}
    yield "XMP", {"xmp": XMP.encode()}
    yield "both", {"exif": DAMAGED["zero"], "xmp": XMP.encode()}


@pytest.mark.parametrize(("name", "options"), list(placed()))
@pytest.mark.parametrize("shorter", [None, 8])
def test_training_and_evaluation_turn_a_photo_alike(
    tmp_path: Path, name: str, options: dict[str, Any], shorter: int | None
) -> None:
    """The fast decoder knows less of orientations than Pillow, which training uses on large photos."""
    picture = grain().resize((96, 64))
    picture.save(tmp_path / "x.jpg", quality=95, **options)
    turned = (2, 3) if name == "both" else (3, 2)
    height, width = read_image(tmp_path / "x.jpg", shorter).shape[1:]
    assert (height * turned[1], height > width) == (width * turned[0], turned == (3, 2))


def test_orientations_are_those_of_exif() -> None:
    for value, expected in ((1, 1), (6, 6), (8, 8), (9, 1), ("6", 1), (None, 1)):
        picture = grain()
        if value is not None:
            picture.getexif()[0x0112] = value
        assert orientation(picture) == expected
