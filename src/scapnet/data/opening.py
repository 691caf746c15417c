"""Opening a photo with Pillow: its format, its size, and the way the camera was held.

Only Pillow is imported, so that worker processes start at once.
"""

import warnings
from pathlib import Path
from typing import BinaryIO

from PIL import ExifTags, Image, TiffTags
from PIL.Image import Transpose

from scapnet.data.formats import register_plug_ins

MOST_PIXELS = 60_000_000  # reading takes at most 16 bytes per pixel, whatever the mode
MOST_TURNED = 110_000_000  # of a colour JPEG that is turned or progressive, which takes up to 9 bytes per pixel
MOST_COSTLY = 40_000_000  # of formats that take twice the memory of others, or several times the time
COSTLY = ("WEBP", "JPEG2000")
LONGEST_SIDE = 65_535  # that of a JPEG; Pillow keeps tens of bytes for each row, however short
MOST_CODED = 10_000_000  # bytes of a JPEG 2000, whose decoder takes its time by the byte, about 5 seconds
MOST_SCANS = 2_000_000_000  # scans of a progressive JPEG times its pixels, about 5 seconds
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
    """Open a photo without decoding it."""
    register_plug_ins()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about damaged EXIF blocks, and sizes above half the limit
        return Image.open(file)


def is_plain_jpeg(photo: Image.Image) -> bool:
    """Whether a photo is a colour JPEG, which can be decoded at a reduced size and needs the least memory."""
    return photo.format in ("JPEG", "MPO") and photo.mode == "RGB"


def check_size(photo: Image.Image) -> None:
    """Refuse a picture that would take more than 1 GB of memory.

    Raises:
        ValueError: a side is longer than 65,535 pixels, or it has more than 60 million pixels (40 million for WebP and
            JPEG 2000) and is not a colour JPEG, for which Pillow's own limit of 178 million applies, or 110 million if
            it is to be turned or progressive.
    """
    if max(photo.size) > LONGEST_SIDE:
        raise ValueError(f"it has {photo.width} x {photo.height} pixels; its sides may have at most {LONGEST_SIDE:,}")
    pixels, most = photo.width * photo.height, MOST_COSTLY if photo.format in COSTLY else MOST_PIXELS
    if is_plain_jpeg(photo):
        costly = pixels > MOST_TURNED and (photo.info.get("progressive") or orientation(photo) > 1)
        most = MOST_TURNED if costly else pixels
    if pixels > most:
        raise ValueError(f"it has {photo.width} x {photo.height} pixels; shrink it below {most:,}")


def check_length(photo: Image.Image, length: int) -> None:
    """Refuse a JPEG 2000 with so many bytes that it would take more than about 5 seconds to decode.

    Args:
        photo: the picture, of any format.
        length: bytes of its file.

    Raises:
        ValueError: there are too many.
    """
    if photo.format == "JPEG2000" and length > MOST_CODED:
        raise ValueError(f"it is a JPEG 2000 of {length:,} bytes; save it in another format, or below {MOST_CODED:,}")


def check_scans(photo: Image.Image, content: bytes) -> None:
    """Refuse a progressive JPEG with so many scans that it would take more than about 5 seconds to decode.

    Encoders write 10 scans or so; each of them goes over the whole picture.

    Args:
        photo: the JPEG.
        content: its bytes.

    Raises:
        ValueError: there are too many.
    """
    if not photo.info.get("progressive"):
        return
    scans = content.count(b"\xff\xda")
    if scans * photo.width * photo.height > MOST_SCANS:
        raise ValueError(f"it is a JPEG of {scans} scans; save it again in another program")


def orientation(photo: Image.Image) -> int:
    """How the camera was held: EXIF's 1 to 8, and 1 if the EXIF block is damaged or has another value."""
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
    """Drop damaged blocks of a TIFF: Pillow reads all blocks with the pixels and fails if one is damaged."""
    for key in TiffTags.TAGS_V2_GROUPS:
        try:
            exif.get_ifd(key)
        except Exception:
            del exif[key]


def upright(photo: Image.Image) -> Image.Image:
    """The photo, decoded and turned as its EXIF block says."""
    orientation(photo)  # drops damaged blocks, at which Pillow would fail when it turns a TIFF itself
    photo.load()
    turn = TURNS.get(orientation(photo))
    return photo if turn is None else photo.transpose(turn)
