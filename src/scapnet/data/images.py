"""Reading a photo of any kind, and finding photos in folders."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from scapnet.errors import reason

try:
    from torchvision.io import decode_image
except ImportError:  # deprecated since torchvision 0.29; Pillow gives the same pixels
    decode_image = None

SUFFIXES = frozenset([".bmp", ".gif", ".jpeg", ".jpg", ".jfif", ".png", ".ppm", ".tif", ".tiff", ".webp"])
MOST_PIXELS = 100_000_000  # at 16 bytes or less for each while a picture of any mode is read
SPARE = 2  # times the pixels that a view needs are decoded at least


class UnreadableImage(ValueError):
    """A file that is no readable image; the message names it and says why."""


def read_image(path: Path, shorter: int | None = None) -> Tensor:
    """A photo as the user sees it: EXIF rotation applied, transparency on white, grey and CMYK turned into RGB.

    Args:
        path: the file.
        shorter: pixels that are needed of the shorter side. A JPEG that has much more is decoded at a half, a quarter
            or an eighth of its size, and never to less than twice this. Resized to ``shorter``, a photo then differs
            by at most 1 level of 255 on average and 16 at any pixel (a test holds it).

    Returns:
        (3, H, W) uint8; its bytes lie as in the file, (H, W, 3), which resizing is fastest on.

    Raises:
        UnreadableImage: a ValueError with the file's name and the reason. A JPEG may have 178 million pixels (0.6 GB
            while it is decoded), any other picture 100 million (1.7 GB).
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # it starts at half of what is an error
            photo = Image.open(path)
        with photo:
            if photo.format in ("JPEG", "MPO") and photo.mode == "RGB":
                if shorter is not None and min(photo.size) >= 2 * SPARE * shorter:
                    photo.draft("RGB", (SPARE * shorter, SPARE * shorter))
                elif decode_image is not None:
                    return _decode(path)
            if photo.width * photo.height > MOST_PIXELS:
                raise ValueError(f"it has {photo.width} x {photo.height} pixels; shrink it below {MOST_PIXELS:,}")
            return to_tensor(to_rgb(ImageOps.exif_transpose(photo)))
    except Image.DecompressionBombError as error:
        raise UnreadableImage(
            f"{path} is no readable image (it is too large; shrink it below {MOST_PIXELS:,} pixels)"
        ) from error
    # Pillow's plug-ins raise errors of many kinds on broken files, SyntaxError and struct.error among them.
    except Exception as error:
        raise UnreadableImage(f"{path} is no readable image ({reason(error).replace(str(path), 'file')})") from error


def _decode(path: Path) -> Tensor:
    """A JPEG in colour by torchvision: the pixels of Pillow, in less than half of its time on large photos."""
    content = torch.from_numpy(np.fromfile(path, dtype=np.uint8))
    try:
        image: Tensor = decode_image(content, "RGB", apply_exif_orientation=True)
    except RuntimeError as error:  # its message is a place in torchvision's source
        raise OSError("the JPEG is cut off or damaged") from error
    return image


def to_rgb(photo: Image.Image) -> Image.Image:
    """Any Pillow mode to RGB."""
    if photo.mode.startswith("I") or photo.mode == "F":
        # Pillow clips deep grey to 255 instead of scaling it.
        depth = np.nan_to_num(np.array(photo, dtype=np.float64), copy=False)
        top = 65535.0 if photo.mode.startswith("I;16") else _white(float(depth.max()))
        depth = np.multiply(depth.clip(0, top, out=depth), 255 / top, out=depth)
        photo = Image.fromarray(depth.round(out=depth).astype(np.uint8))
    if photo.has_transparency_data:
        photo = photo.convert("RGBA")
        white = Image.new("RGBA", photo.size, "white")
        photo = Image.alpha_composite(white, photo)
    return photo.convert("RGB")


def _white(brightest: float) -> float:
    """The white of a picture whose mode does not tell its depth: the least usual one that its values fit."""
    return next((white for white in (1.0, 255.0, 65535.0) if brightest <= white), brightest)


def to_tensor(photo: Image.Image) -> Tensor:
    """An RGB Pillow image to (3, H, W) uint8."""
    return torch.from_numpy(np.array(photo)).permute(2, 0, 1)


def to_photo(image: Tensor) -> Image.Image:
    """(3, H, W) uint8 to an RGB Pillow image."""
    return Image.fromarray(image.permute(1, 2, 0).contiguous().cpu().numpy())


def find_files(folder: Path, above: frozenset[Path] = frozenset()) -> Iterator[Path]:
    """Every file below a folder in order of name; hidden files and folders (.DS_Store) are left out.

    A link that leads back to one of the folders ``above`` is not followed.
    """
    above = above | {folder.resolve()}
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            if path.resolve() not in above:
                yield from find_files(path, above)
        elif path.is_file():
            yield path


def find_images(folder: Path) -> list[Path]:
    """The files below a folder whose suffix, in any case, is an image's."""
    return [path for path in find_files(folder) if path.suffix.lower() in SUFFIXES]
