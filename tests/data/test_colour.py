"""Colour profiles: one scene has the same colours whichever profile it was stored with."""

import io
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from scapnet.data.colour import srgb_transform
from scapnet.data.images import photo_to_tensor, read_image, to_tensor

ADOBE = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
SRGB_COLUMNS = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))
SRGB = ImageCms.createProfile("sRGB")
COLOURS = [(40, 180, 60), (200, 30, 30), (30, 60, 200), (120, 120, 120), (250, 240, 200), (8, 8, 8)]


def fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def profile(space: bytes, tags: Sequence[tuple[bytes, bytes]], kind: bytes = b"mntr", pcs: bytes = b"XYZ ") -> bytes:
    """An ICC profile, version 2."""
    white = b"XYZ \0\0\0\0" + fixed(0.9642) + fixed(1) + fixed(0.8249)
    name = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"Test\0" + bytes(78)
    every = [(b"desc", name), (b"cprt", b"text\0\0\0\0none\0"), (b"wtpt", white), *tags]
    table, body, at = struct.pack(">I", len(every)), b"", 132 + 12 * len(every)
    for tag, data in every:
        table += tag + struct.pack(">II", at + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    head = bytearray(128)
    head[0:4] = struct.pack(">I", 128 + len(table) + len(body))
    head[8:12], head[12:24], head[36:40] = b"\x02\x40\0\0", kind + space + pcs, b"acsp"
    head[68:80] = white[8:]
    return bytes(head) + table + body


def gamma(value: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(value * 256)) + b"\0\0"


def srgb_curve() -> bytes:
    """sRGB's curve at 1,024 points, as the profiles of cameras have it."""
    x = np.linspace(0, 1, 1024)
    y = np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)
    return b"curv\0\0\0\0" + struct.pack(">I", 1024) + (y * 65535).round().astype(">u2").tobytes()


def matrix(columns: Sequence[Sequence[float]], curve: bytes) -> bytes:
    colourants = [(tag, b"XYZ \0\0\0\0" + b"".join(map(fixed, c))) for tag, c in zip(TAGS, columns, strict=True)]
    return profile(b"RGB ", colourants + [(tag, curve) for tag in (b"rTRC", b"gTRC", b"bTRC")])


TAGS = (b"rXYZ", b"gXYZ", b"bXYZ")


def ink() -> bytes:
    """A CMYK profile: a table from the 16 corners of the ink cube to Lab, in which black ink alone is dark green."""
    corners = []
    for i in range(16):
        c, m, y, k = (i >> 3) & 1, (i >> 2) & 1, (i >> 1) & 1, i & 1
        lightness = 100 * (1 - 0.25 * (c + m + y)) * (0.3 if k else 1)
        a, b = 40 * (m - c) - (40 if k else 0), 40 * (y - 0.5 * (c + m))
        corners += [round(lightness * 2.55), round(a + 128), round(b + 128)]
    head = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + b"".join(map(fixed, (1, 0, 0, 0, 1, 0, 0, 0, 1)))
    table = head + bytes(range(256)) * 4 + bytes(corners) + bytes(range(256)) * 3
    return profile(b"CMYK", [(b"A2B0", table)], b"prtr", b"Lab ")


WIDE = {"Adobe RGB": matrix(ADOBE, gamma(2.19921875)), "Display P3": matrix(P3, srgb_curve())}


def scene() -> Image.Image:
    """Patches of colour, 16 px each, large enough for a JPEG."""
    picture = Image.new("RGB", (16 * len(COLOURS), 16))
    for i, colour in enumerate(COLOURS):
        picture.paste(colour, (16 * i, 0, 16 * i + 16, 16))
    return picture


def patches(image: object) -> list[list[int]]:
    values = np.asarray(image)
    side = values.shape[1]
    return [values[:, side // 2, side * i + side // 2].tolist() for i in range(len(COLOURS))]


def apart(one: list[list[int]], other: Sequence[Sequence[int]]) -> int:
    return int(np.abs(np.array(one) - np.array(other)).max())


def stored_with(icc: bytes) -> Image.Image:
    """The scene in the numbers of a profile."""
    found = ImageCms.profileToProfile(scene(), SRGB, ImageCms.ImageCmsProfile(io.BytesIO(icc)), outputMode="RGB")
    assert found is not None
    return found


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp"])
@pytest.mark.parametrize("name", WIDE)
def test_a_scene_keeps_its_colours_in_any_profile(tmp_path: Path, suffix: str, name: str) -> None:
    stored = stored_with(WIDE[name])
    assert apart(patches(to_tensor(stored)), COLOURS) > 20  # its numbers are others
    stored.save(tmp_path / f"x.{suffix}", icc_profile=WIDE[name], quality=98)
    assert apart(patches(read_image(tmp_path / f"x.{suffix}")), COLOURS) <= (8 if suffix in ("jpg", "webp") else 3)


def test_a_jpeg_read_in_fewer_pixels_is_converted_too(tmp_path: Path) -> None:
    stored_with(WIDE["Display P3"]).save(tmp_path / "x.jpg", icc_profile=WIDE["Display P3"], quality=98)
    image = read_image(tmp_path / "x.jpg", 4)
    assert image.shape == (3, 8, 8 * len(COLOURS))
    assert apart(patches(image), COLOURS) <= 8


@pytest.mark.parametrize("mode", ["RGBA", "P"])
def test_transparent_and_palette_pictures_are_converted_too(tmp_path: Path, mode: str) -> None:
    stored = stored_with(WIDE["Adobe RGB"])
    picture = stored.convert("RGBA") if mode == "RGBA" else stored.convert("P", palette=Image.Palette.ADAPTIVE)
    if mode == "RGBA":
        picture.putpixel((0, 0), (0, 0, 0, 0))
    picture.save(tmp_path / "x.png", icc_profile=WIDE["Adobe RGB"])
    image = read_image(tmp_path / "x.png")
    assert apart(patches(image), COLOURS) <= 3
    assert mode == "P" or image[:, 0, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize("icc", [ImageCms.ImageCmsProfile(SRGB).tobytes(), matrix(SRGB_COLUMNS, srgb_curve())])
def test_srgb_under_any_name_changes_no_pixel(tmp_path: Path, icc: bytes) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    assert srgb_transform(icc, "RGB") is None
    for suffix in ("png", "jpg"):
        for name, embedded in (("plain", None), ("profile", icc)):
            Image.fromarray(noise).save(tmp_path / f"{name}.{suffix}", icc_profile=embedded)
        assert read_image(tmp_path / f"plain.{suffix}").equal(read_image(tmp_path / f"profile.{suffix}"))


def test_grey_and_cmyk_pictures_have_their_own_profiles(tmp_path: Path) -> None:
    grey = profile(b"GRAY", [(b"kTRC", gamma(1.0))])
    for suffix in ("png", "jpg"):
        Image.new("L", (16, 16), 128).save(tmp_path / f"grey.{suffix}", icc_profile=grey)
        assert read_image(tmp_path / f"grey.{suffix}")[:, 8, 8].tolist() == pytest.approx([188] * 3, abs=1)
    Image.new("LA", (16, 16), (128, 255)).save(tmp_path / "la.png", icc_profile=grey)
    assert read_image(tmp_path / "la.png")[:, 8, 8].tolist() == pytest.approx([188] * 3, abs=1)
    for suffix in ("tif", "jpg"):
        Image.new("CMYK", (16, 16), (0, 0, 0, 255)).save(tmp_path / f"ink.{suffix}", icc_profile=ink())
        red, green, blue = read_image(tmp_path / f"ink.{suffix}")[:, 8, 8].tolist()
        assert green > max(red, blue)
        assert green > red + 20


def test_deep_grey_keeps_its_values(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None].repeat(4, 0)
    Image.fromarray(ramp).save(tmp_path / "x.png", icc_profile=profile(b"GRAY", [(b"kTRC", gamma(1.0))]))
    assert read_image(tmp_path / "x.png")[0, 0].tolist() == list(range(256))


BROKEN = [b"", b"x", b"\0" * 128, WIDE["Display P3"][:140], WIDE["Display P3"][:-200], ink(), bytes(range(256)) * 4]


@pytest.mark.parametrize("icc", BROKEN, ids=range(len(BROKEN)))
def test_a_profile_that_is_damaged_or_of_another_kind_is_ignored(tmp_path: Path, icc: bytes) -> None:
    for suffix in ("png", "jpg", "tif", "webp"):
        scene().save(tmp_path / f"x.{suffix}", icc_profile=icc, quality=98)
        assert apart(patches(read_image(tmp_path / f"x.{suffix}")), COLOURS) <= 12


def test_a_pillow_image_is_converted_as_its_file_is(tmp_path: Path) -> None:
    stored_with(WIDE["Display P3"]).save(tmp_path / "x.png", icc_profile=WIDE["Display P3"])
    with Image.open(tmp_path / "x.png") as photo:
        assert photo_to_tensor(photo).equal(read_image(tmp_path / "x.png"))


def test_lab_pictures_are_read(tmp_path: Path) -> None:
    lab = ImageCms.profileToProfile(scene(), SRGB, ImageCms.createProfile("LAB"), outputMode="LAB")
    assert lab is not None
    lab.save(tmp_path / "x.tif")
    assert apart(patches(read_image(tmp_path / "x.tif")), COLOURS) <= 8
