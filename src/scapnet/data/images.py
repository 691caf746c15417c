"""Reading a photo of any kind, and finding photos in folders."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from scapnet.config import reason

SUFFIXES = frozenset([".bmp", ".gif", ".jpeg", ".jpg", ".jfif", ".png", ".ppm", ".tif", ".tiff", ".webp"])


class UnreadableImage(ValueError):
    """A file that is no readable image; the message names it and says why."""


def read_image(path: Path) -> Tensor:
    """A photo as the user sees it: EXIF rotation applied, transparency on white, grey and CMYK turned into RGB.

    Returns:
        (3, H, W) uint8.

    Raises:
        UnreadableImage: a ValueError with the file's name and the reason.
    """
    try:
        with Image.open(path) as photo:
            return to_tensor(to_rgb(ImageOps.exif_transpose(photo)))
    # Pillow's plug-ins raise errors of many kinds on broken files, SyntaxError and struct.error among them.
    except Exception as error:
        raise UnreadableImage(f"{path} is no readable image ({reason(error).replace(str(path), 'file')})") from error


def to_rgb(photo: Image.Image) -> Image.Image:
    """Any Pillow mode to RGB."""
    if photo.mode.startswith("I") or photo.mode == "F":
        # Pillow clips deep grey to 255 instead of scaling it.
        depth = np.nan_to_num(np.asarray(photo, dtype=np.float64))
        top = 65535.0 if photo.mode.startswith("I;16") else _white(float(depth.max()))
        photo = Image.fromarray((depth.clip(0, top) * (255 / top)).round().astype(np.uint8))
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
    return torch.from_numpy(np.array(photo)).permute(2, 0, 1).contiguous()


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
