"""Opening a photo with Pillow: its format, its size, and the way the camera was held.

Only Pillow is imported, so that a process that reads for others starts at once.
"""

import warnings
from pathlib import Path
from typing import BinaryIO

from PIL import ExifTags, Image, TiffTags
from PIL.Image import Transpose

from scapnet.data.formats import register_plug_ins

MOST_PIXELS = 100_000_000  # at 16 bytes or less for each while a picture of any mode is read
TURNS = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}


def open_photo(file: Path | BinaryIO) -> Image.Image:
    """Open a photo; no pixel is decoded yet."""
    register_plug_ins()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of damaged EXIF blocks, and of sizes at half of what is an error
        return Image.open(file)


def is_plain_jpeg(photo: Image.Image) -> bool:
    """Whether a photo is a JPEG in colour, which can be decoded in fewer pixels and needs least memory."""
    return photo.format in ("JPEG", "MPO") and photo.mode == "RGB"


def check_size(photo: Image.Image) -> None:
    """Refuse a picture that would take more than 1.7 GB of memory.

    Raises:
        ValueError: it has more than 100 million pixels, and is no JPEG in colour, for which Pillow's own limit of 178
            million holds.
    """
    if photo.width * photo.height > MOST_PIXELS and not is_plain_jpeg(photo):
        raise ValueError(f"it has {photo.width} x {photo.height} pixels; shrink it below {MOST_PIXELS:,}")


def orientation(photo: Image.Image) -> int:
    """How the camera was held: 1 to 8 as EXIF has it, and 1 where the EXIF block is damaged or says something else."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Damaged blocks raise errors of many kinds, SyntaxError and struct.error among them.
        try:
            exif = photo.getexif()
            if photo.format == "TIFF":
                _drop_damaged(exif)
            found = exif.get(ExifTags.Base.Orientation)
        except Exception:
            return 1
    return int(found) if found in TURNS else 1


def _drop_damaged(exif: Image.Exif) -> None:
    """Pillow reads all blocks of a TIFF together with its pixels, and neither where one is damaged."""
    for key in TiffTags.TAGS_V2_GROUPS:
        try:
            exif.get_ifd(key)
        except Exception:
            del exif[key]


def upright(photo: Image.Image) -> Image.Image:
    """The photo, decoded and turned as its EXIF block says."""
    orientation(photo)  # Pillow turns a TIFF itself, and must not meet a damaged block then
    photo.load()
    turn = TURNS.get(orientation(photo))
    return photo if turn is None else photo.transpose(turn)
