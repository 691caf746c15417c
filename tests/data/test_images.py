"""The fast paths of reading: the pixels of the plain one, or a difference within its bound; memory that has an end."""

import io
import resource
import subprocess
import sys
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter, ImageOps
from torch import Tensor
from torchvision.transforms.v2 import functional as tv

from scapnet.config import DataConfig, ViewConfig
from scapnet.data import images
from scapnet.data.images import UnreadableImage, read_image, to_photo
from scapnet.data.inputs import load_photo
from scapnet.data.loaders import train_loader
from scapnet.data.photos import PhotoList
from scapnet.data.synthetic.finches import Finches


def picture(side: int, index: int = 0) -> Image.Image:
    """A drawn bird with the grain of a photo."""
    drawn = to_photo(Finches("train", 4, 4, side)[index].image)
    grain = np.random.default_rng(index).normal(128, 60, (side, side, 3)).clip(0, 255).astype(np.uint8)
    return Image.blend(drawn, Image.fromarray(grain).filter(ImageFilter.GaussianBlur(1)), 0.3)


def plain(path: Path) -> Tensor:
    with Image.open(path) as photo:
        return torch.from_numpy(np.array(ImageOps.exif_transpose(photo).convert("RGB"))).permute(2, 0, 1)


def jpeg(path: Path, side: int, **options: object) -> Path:
    picture(side).crop((0, 0, side, side * 3 // 4)).save(path, "jpeg", quality=92, **options)
    return path


@pytest.mark.parametrize("subsampling", [0, 2])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_has_the_pixels_of_pillow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, subsampling: int, progressive: bool
) -> None:
    path = jpeg(tmp_path / "X.JPG", 301, subsampling=subsampling, progressive=progressive)
    fast = read_image(path)
    assert (fast.int() - plain(path).int()).abs().max() <= 1  # 0 where both are built on the same libjpeg
    monkeypatch.setattr(images, "decode_image", None)  # a torchvision that has dropped it
    assert torch.equal(read_image(path), plain(path))


@pytest.mark.parametrize("shorter", [64, 96, 150, 300])
def test_fewer_pixels_stay_within_the_stated_bound(tmp_path: Path, shorter: int) -> None:
    path = jpeg(tmp_path / "x.jpg", 1600)
    exact, found = read_image(path), read_image(path, shorter)
    assert min(found.shape[1:]) >= 2 * shorter
    assert found.shape[1] * 2 <= exact.shape[1]
    views = [tv.resize(image, [shorter], antialias=True).int() for image in (exact, found)]
    apart = (views[0] - views[1]).abs()
    assert apart.float().mean() <= 1
    assert apart.max() <= 16


def test_no_jpeg_is_read_in_too_few_pixels(tmp_path: Path) -> None:
    path = jpeg(tmp_path / "x.jpg", 800)  # 800 x 600
    for shorter, expected in ((151, 600), (150, 300), (76, 300), (75, 150), (37, 75), (None, 600)):
        assert read_image(path, shorter).shape[1] == expected
    picture(400).save(tmp_path / "x.png")
    assert torch.equal(read_image(tmp_path / "x.png", 16), read_image(tmp_path / "x.png"))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_reduced_photo_is_upright_too(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = jpeg(tmp_path / "x.jpg", 640, exif=exif)
    exact, found = read_image(path), read_image(path, 60)
    assert (exact.int() - plain(path).int()).abs().max() <= 1
    assert found.shape[1:] == tuple(side // 4 for side in exact.shape[1:])
    assert (
        tv.resize(exact, [60], antialias=True).int() - tv.resize(found, [60], antialias=True).int()
    ).abs().max() <= 16


@pytest.mark.parametrize("shorter", [None, 16])
@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_a_jpeg_of_another_mode_takes_the_plain_path(tmp_path: Path, mode: str, shorter: int | None) -> None:
    picture(256).convert(mode).save(tmp_path / "x.jpg")
    assert torch.equal(read_image(tmp_path / "x.jpg", shorter), plain(tmp_path / "x.jpg"))


def test_a_phone_photo_with_several_pictures_gives_the_first(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    picture(512).save(path, "MPO", save_all=True, append_images=[Image.new("RGB", (512, 512), "red")])
    assert (read_image(path).int() - plain(path).int()).abs().max() <= 1
    assert read_image(path, 60).shape == (3, 128, 128)


@pytest.mark.parametrize("shorter", [None, 60])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.99])
def test_a_truncated_jpeg_is_reported(tmp_path: Path, shorter: int | None, share: float) -> None:
    content = jpeg(tmp_path / "x.jpg", 640).read_bytes()
    (tmp_path / "x.jpg").write_bytes(content[: int(share * len(content))])
    with pytest.raises(UnreadableImage, match=r"x\.jpg is not a readable image \(.*\)$") as error:
        read_image(tmp_path / "x.jpg", shorter)
    assert "\n" not in str(error.value)
    assert ".cpp" not in str(error.value)


def png(width: int, height: int, depth: int = 8, colour: int = 0) -> bytes:
    """A black PNG of any size in a few hundred kilobytes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4) + kind + body + zlib.crc32(kind + body).to_bytes(4)

    packer, out = zlib.compressobj(1), io.BytesIO()
    for _ in range(height):
        out.write(packer.compress(bytes(1 + width * depth // 8 * {0: 1, 2: 3, 6: 4}[colour])))
    head = width.to_bytes(4) + height.to_bytes(4) + bytes((depth, colour, 0, 0, 0))
    data = chunk(b"IDAT", out.getvalue() + packer.flush())
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + data + chunk(b"IEND", b"")


@pytest.mark.parametrize(("width", "height"), [(20_000, 20_000), (10_001, 6_000)])
def test_a_picture_too_large_for_memory_is_one_sentence(tmp_path: Path, width: int, height: int) -> None:
    (tmp_path / "huge.png").write_bytes(png(width, height))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UnreadableImage, match=r"huge\.png is not a .* shrink it below 60,000,000.*\)$") as error:
            read_image(tmp_path / "huge.png")
    assert "\n" not in str(error.value)


def test_a_picture_of_one_pixel_a_row_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    tall = bytearray(png(1, 1))
    tall[20:24] = (50_000_000).to_bytes(4)  # its height
    tall[29:33] = zlib.crc32(tall[12:29]).to_bytes(4)
    for content in (tall, png(65_536, 2)):
        (tmp_path / "x.png").write_bytes(content)
        with pytest.raises(UnreadableImage, match="its sides may have at most 65,535"):
            read_image(tmp_path / "x.png")
    (tmp_path / "x.png").write_bytes(png(65_535, 2))
    assert read_image(tmp_path / "x.png").shape == (3, 2, 65_535)


def test_a_jpeg_of_too_many_scans_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (800, 600), "red").save(tmp_path / "x.jpg", progressive=True)  # its scans are small
    content = (tmp_path / "x.jpg").read_bytes()
    assert read_image(tmp_path / "x.jpg").shape == (3, 600, 800)
    start = content.rindex(b"\xff\xda")
    content = content[:start] + content[start:-2] * 5000 + content[-2:]
    (tmp_path / "x.jpg").write_bytes(content)
    for photo in (tmp_path / "x.jpg", content):
        with pytest.raises(UnreadableImage, match=r"it is a JPEG of 50\d\d scans"):
            load_photo(photo)


def test_a_jpeg_2000_of_too_many_bytes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, side in (("x.bmp", 80), ("x.jp2", 64)):
        Image.effect_noise((side, side), 50).convert("RGB").save(tmp_path / name)
    content = (tmp_path / "x.jp2").read_bytes()
    monkeypatch.setattr("scapnet.data.opening.MOST_CODED", len(content))
    assert read_image(tmp_path / "x.jp2").shape == (3, 64, 64)
    (tmp_path / "x.jp2").write_bytes(content + b"\0")
    for photo in (tmp_path / "x.jp2", content + b"\0"):
        with pytest.raises(UnreadableImage, match=r"it is a JPEG 2000 of .* bytes; save it in another format"):
            load_photo(photo)
    assert (tmp_path / "x.bmp").stat().st_size > len(content)
    assert load_photo(tmp_path / "x.bmp").shape == (3, 80, 80)  # other formats may be as long


def test_deep_grey_is_scaled_alike_in_every_band() -> None:
    depth = np.random.default_rng(0).random((1300, 2000)).astype(np.float32)
    depth[0, 0] = np.nan
    expected = (np.nan_to_num(depth).astype(np.float64) * 255).round().astype(np.uint8)
    assert np.array_equal(np.array(images.to_rgb(Image.fromarray(depth)))[..., 0], expected)


PEAK = """
import resource, sys, warnings
from pathlib import Path
from scapnet.data.images import read_image
warnings.simplefilter("error")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sys.argv[1:]:
    assert read_image(Path(path)).shape == (3, 1000, 9500)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


def test_a_large_picture_takes_sixteen_bytes_a_pixel_at_most(tmp_path: Path) -> None:
    files = [tmp_path / f"{depth}-{colour}.png" for depth, colour in ((16, 0), (8, 2), (16, 6))]
    for file in files:
        depth, colour = map(int, file.stem.split("-"))
        file.write_bytes(png(9500, 1000, depth, colour))
    command = [sys.executable, "-c", PEAK, *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert int(done.stdout) <= 17 * 9500 * 1000


def test_a_picture_that_pillow_warns_of_is_read_without_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5000)
    (tmp_path / "x.png").write_bytes(png(90, 80))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_image(tmp_path / "x.png").shape == (3, 80, 90)


def test_memory_does_not_grow_with_the_number_of_photos(tmp_path: Path) -> None:
    path = jpeg(tmp_path / "x.jpg", 1600)
    view = ViewConfig(64, 72)
    peaks = []
    for count in (50, 100_000):
        data = PhotoList([path] * count, [0] * count, ("a",))
        loader, _ = train_loader(data, view, DataConfig("folder", size=64, resize=72), 5, 0, 0)
        batches = iter(loader)
        for _ in range(8):
            next(batches)
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    assert peaks[1] - peaks[0] < 30  # MB: two lists of 100,000 numbers, and no photo


def test_only_training_reads_fewer_pixels(tmp_path: Path) -> None:
    data = PhotoList([jpeg(tmp_path / "x.jpg", 800)] * 2, [0, 0], ("a",))
    loader, _ = train_loader(data, ViewConfig(64, 72), DataConfig("folder", size=64, resize=72), 2, 0, 0)
    assert loader.dataset.data[0].image.shape == (3, 150, 200)  # type: ignore[attr-defined]
    assert data[0].image.shape == (3, 600, 800)  # the user's own object is as it was


def colour(path: Path, x: int = 0, y: int = 0) -> list[int]:
    values: list[int] = read_image(path)[:, y, x].tolist()
    return values


def test_every_mode_becomes_rgb(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    Image.new("L", (3, 2), 90).save(path)
    assert read_image(path).shape == (3, 2, 3)
    assert colour(path) == [90, 90, 90]
    Image.new("1", (3, 2), 1).save(path)
    assert colour(path) == [255, 255, 255]
    for alpha, expected in ((255, 90), (0, 255), (128, 172)):
        Image.new("LA", (3, 2), (90, alpha)).save(path)
        assert colour(path) == [expected] * 3
        Image.new("RGBA", (3, 2), (90, 0, 255, alpha)).save(path)
        assert colour(path)[0] == expected
        assert colour(path)[2] == 255
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 0, 0, 0])
    palette.putpixel((1, 0), 1)
    palette.save(path, transparency=1)
    assert [colour(path), colour(path, 1)] == [[10, 20, 30], [255, 255, 255]]
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "x.jpg", quality=100)
    red, green, blue = colour(tmp_path / "x.jpg", 8, 8)
    assert red > 200 > 90 > max(green, blue)


def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None].repeat(4, 0)
    for name in ("ramp.png", "ramp.tif"):
        Image.fromarray(ramp).save(tmp_path / name)
        assert read_image(tmp_path / name)[1, 2].tolist() == list(range(256))
    Image.fromarray((ramp / 65535).astype(np.float32)).save(tmp_path / "float.tif")
    assert read_image(tmp_path / "float.tif")[0, 0].tolist() == list(range(256))


TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,  # stored turned left: to be turned right
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_gives_the_upright_photo(tmp_path: Path, orientation: int) -> None:
    upright = Image.new("RGB", (48, 32), "black")
    upright.paste("red", (0, 0, 24, 16))
    upright.paste("blue", (24, 0, 48, 16))
    stored = upright.transpose(TURNS[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    expected = torch.from_numpy(np.array(upright)).permute(2, 0, 1)
    stored.save(tmp_path / "x.png", exif=exif)
    assert torch.equal(read_image(tmp_path / "x.png"), expected)
    stored.save(tmp_path / "x.jpg", exif=exif, quality=100, subsampling=0)
    assert (read_image(tmp_path / "x.jpg").int() - expected.int()).abs().max() < 8


def test_an_animation_gives_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), name) for name in ("red", "blue", "green")]
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    assert colour(tmp_path / "x.gif") == [255, 0, 0]


def test_an_unreadable_image_is_named_in_one_sentence(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(tmp_path / "whole.jpg")
    whole = (tmp_path / "whole.jpg").read_bytes()
    files = {"cut.jpg": whole[: len(whole) // 2], "text.jpg": b"hello\nworld", "empty.png": b"", "head.gif": b"GIF89a"}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "folder.jpg").mkdir()
    for name in (*files, "folder.jpg", "missing.jpg"):
        with pytest.raises(ValueError, match="not a readable image") as error:
            read_image(tmp_path / name)
        assert str(error.value).count(str(tmp_path / name)) == 1
        assert "\n" not in str(error.value)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    state = torch.get_rng_state()
    yield
    torch.set_rng_state(state)
