"""Reading any photo as a screen shows it: upright, in sRGB colours, on white where it is transparent."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from scapnet.data.colour import srgb_transform, to_srgb
from scapnet.data.formats import why_unreadable
from scapnet.data.opening import (
    MOST_PIXELS,
    check_length,
    check_scans,
    check_size,
    is_plain_jpeg,
    open_photo,
    orientation,
    upright,
)

try:
    from torchvision.io import decode_image
except ImportError:  # deprecated since torchvision 0.29; Pillow gives the same pixels
    decode_image = None

SPARE = 2  # a reduced photo keeps at least this many times the pixels that are needed


class UnreadableImage(ValueError):
    """A file that is not a readable image; the message names it and says why."""


class Decoded(NamedTuple):
    """A photo as a screen shows it, perhaps with fewer pixels than its file has."""

    image: Tensor  # (3, h, w) uint8
    height: int  # of the whole photo
    width: int


def read_image(path: Path, shorter: int | None = None) -> Tensor:
    """The pixels of `decode_photo`."""
    return decode_photo(path, shorter).image


def decode_photo(path: Path, shorter: int | None = None) -> Decoded:
    """A photo as a screen shows it; of an animation, the first frame.

    Args:
        path: the file.
        shorter: how many pixels are needed along the shorter side. A JPEG with many more is decoded at a half, a
            quarter or an eighth of its size, but never to less than twice this. Once resized to ``shorter``, the photo
            differs by at most 1 level of 255 on average and 16 at any pixel (a test checks this); by up to 2 on average
            where a side is no multiple of the reduction, whose last row is then incomplete.

    Returns:
        Its pixels, and the size of the whole photo. In memory the pixels are (h, w, 3), the fastest layout to resize.

    Raises:
        UnreadableImage: a ValueError with the file's name and the reason. A colour JPEG may have 178 million
            pixels (0.6 GB while it is decoded), 110 million if it is to be turned or progressive (1 GB), any other
            picture 60 million (1 GB; WebP and JPEG 2000 40 million), a side 65,535, and a JPEG 2000 10 million bytes.
    """
    try:
        with open_photo(path) as photo:
            check_size(photo)
            check_length(photo, path.stat().st_size)
            if photo.format in ("JPEG", "MPO") and photo.info.get("progressive"):
                check_scans(photo, path.read_bytes())
            if is_plain_jpeg(photo) and decode_image is not None and not can_shrink(photo, shorter):
                image = _decode(path, photo)
                return Decoded(image, *image.shape[-2:])
            return decode_opened(photo, shorter)
    except Image.DecompressionBombError as error:
        raise UnreadableImage(
            f"{path} is not a readable image (it is too large; shrink it below {MOST_PIXELS:,} pixels)"
        ) from error
    # Pillow's plug-ins raise errors of many kinds on broken files, SyntaxError and struct.error among them.
    except Exception as error:
        why = why_unreadable(error, _head(path)).replace(str(path), "file")
        raise UnreadableImage(f"{path} is not a readable image ({why})") from error


def can_shrink(photo: Image.Image, shorter: int | None) -> bool:
    """Whether a photo is a JPEG with so many pixels that it is decoded at a reduced size; see `decode_photo`."""
    return shorter is not None and is_plain_jpeg(photo) and min(photo.size) >= 2 * SPARE * shorter


def decode_opened(photo: Image.Image, shorter: int | None = None) -> Decoded:
    """`decode_photo` for a photo that Pillow has opened and not decoded yet."""
    size = photo.size
    if shorter is not None and can_shrink(photo, shorter):
        photo.draft("RGB", (SPARE * shorter, SPARE * shorter))
    image = photo_to_tensor(photo)
    if photo.size == size:
        return Decoded(image, *image.shape[-2:])
    turns = orientation(photo) > 4
    return Decoded(image, *(size if turns else size[::-1]))


def _head(path: Path) -> bytes:
    """The first bytes of a file; if it cannot be opened, a byte that no known format starts with."""
    try:
        with path.open("rb") as file:
            return file.read(64)
    except OSError:
        return b"\0"


def _decode(path: Path, photo: Image.Image) -> Tensor:
    """Decode a colour JPEG with torchvision: the same pixels as Pillow, in less than half the time on large photos."""
    content = torch.from_numpy(np.fromfile(path, dtype=np.uint8))
    try:
        image: Tensor = decode_image(content, "RGB")
    except RuntimeError as error:  # its message only points into torchvision's source
        raise OSError("the JPEG is cut off or damaged") from error
    image = turned(image, orientation(photo))
    if srgb_transform(photo.info.get("icc_profile"), "RGB") is None:
        return image
    pixels = to_photo(image)
    pixels.info["icc_profile"] = photo.info["icc_profile"]
    return to_tensor(to_srgb(pixels))


def turned(image: Tensor, orientation: int) -> Tensor:
    """Turn (3, H, W) upright by EXIF's orientation, 1 to 8; 5 to 8 swap height and width."""
    if orientation > 4:
        image = image.transpose(1, 2)
    flips = {2: (2,), 3: (1, 2), 4: (1,), 6: (2,), 7: (1, 2), 8: (1,)}.get(orientation, ())
    image = image.flip(flips) if flips else image
    return image.permute(1, 2, 0).contiguous().permute(2, 0, 1)


def photo_to_tensor(photo: Image.Image) -> Tensor:
    """A Pillow image of any mode, with its EXIF block and its colour profile, to (3, H, W) uint8."""
    return to_tensor(to_rgb(upright(photo)))


def to_rgb(photo: Image.Image) -> Image.Image:
    """Any Pillow mode to RGB in sRGB colours."""
    if photo.mode.startswith("I") or photo.mode == "F":
        return _from_deep(photo)
    icc = photo.info.get("icc_profile")
    if not photo.has_transparency_data:
        known = photo.mode in ("RGB", "L", "CMYK", "LAB")
        return to_srgb(photo if known else photo.convert("RGB")).convert("RGB")
    clear = photo if photo.mode == "RGBA" else photo.convert("RGBA")  # which would copy it
    if icc:
        solid = to_srgb(photo.convert("L") if photo.mode == "LA" else clear.convert("RGB")).convert("RGBA")
        solid.putalpha(clear.getchannel("A"))
        clear = solid
    return Image.alpha_composite(Image.new("RGBA", photo.size, "white"), clear).convert("RGB")


def _from_deep(photo: Image.Image) -> Image.Image:
    """Grey of more than 8 bits: Pillow would clip it to 255 instead of scaling it."""
    depth = np.asarray(photo)
    top = (
        65535.0 if photo.mode.startswith("I;16") else _white(max(float(np.nan_to_num(r).max()) for r in _bands(depth)))
    )
    grey = np.empty(depth.shape, np.uint8)
    for band, out in zip(_bands(depth), _bands(grey), strict=True):
        exact = np.nan_to_num(band.astype(np.float64), copy=False)
        exact = np.multiply(exact.clip(0, top, out=exact), 255 / top, out=exact)
        out[...] = exact.round(out=exact)
    return Image.fromarray(grey).convert("RGB")


def _bands(image: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """An image's rows in bands of some megabytes, so that arithmetic in float64 needs little memory."""
    rows = max(1, 1_000_000 // image.shape[1])
    return (image[i : i + rows] for i in range(0, image.shape[0], rows))


def _white(brightest: float) -> float:
    """The white level of an image whose mode does not give its depth: the smallest usual one that fits its values."""
    return next((white for white in (1.0, 255.0, 65535.0) if brightest <= white), brightest)


def to_tensor(photo: Image.Image) -> Tensor:
    """An RGB Pillow image to (3, H, W) uint8."""
    return torch.from_numpy(np.array(photo)).permute(2, 0, 1)


def to_photo(image: Tensor) -> Image.Image:
    """(3, H, W) uint8 to an RGB Pillow image."""
    return Image.fromarray(image.permute(1, 2, 0).contiguous().cpu().numpy())
