"""Which files are photos: the formats that the installed Pillow opens, and what to do about the others."""

import functools
import os
import re
from contextlib import suppress

from PIL import Image, UnidentifiedImageError

from scapnet.errors import reason

EXTRA = 'pip install "scapnet[formats]"'
# Pillow registers these as well: videos and weather data that it cannot decode, vectors that need another program.
NO_PHOTOS = frozenset(["BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "WMF"])
PLUG_IN = frozenset([".heic", ".heics", ".heif", ".heifs", ".hif", ".jxl"])
RAW = frozenset(
    [".3fr", ".arw", ".cr2", ".cr3", ".dng", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".srw", ".x3f"]
)
# The first bytes of other kinds of files, the suffix whose format Pillow lacks if it cannot read them, and the message.
CONTENTS = (
    (rb"....ftyp(hei|hev|mif|msf)", ".heic", f"it is a HEIC photo; to read it, {EXTRA}"),
    (rb"\0\0\0\x0cJXL |\xff\x0a", ".jxl", f"it is a JPEG XL photo; to read it, {EXTRA}"),
    (rb"....ftypavi", ".avif", "it is an AVIF photo; a newer Pillow reads it"),
    (rb"....ftyp(?!hei|hev|mif|msf|avi)", "", "it is a video"),
    (rb"%PDF", "", "it is a PDF document"),
    (rb"\s*<(!doctype )?html", "", "it is a web page; download the photo again"),
    (rb"version https://git-lfs", "", "it is a pointer of Git LFS; fetch the photo itself with: git lfs pull"),
)


@functools.cache
def register_plug_ins() -> None:
    """Let Pillow open HEIC and JPEG XL too, if the packages of the extra ``formats`` are installed."""
    Image.init()
    with suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()
    with suppress(ImportError):
        import pillow_jxl  # noqa: F401  registers itself


@functools.cache
def photo_suffixes() -> frozenset[str]:
    """The suffixes, in lower case, of the formats that the installed Pillow opens."""
    register_plug_ins()
    known = Image.registered_extensions().items()
    return frozenset(suffix for suffix, kind in known if kind in Image.OPEN and kind not in NO_PHOTOS)


def is_photo(name: str) -> bool:
    """Whether a file's suffix, in any case, is that of a photo.

    >>> is_photo("IMG_1.JPG"), is_photo("notes.txt")
    (True, False)
    """
    return os.path.splitext(name)[1].lower() in photo_suffixes()


def is_like_photo(name: str) -> bool:
    """Whether a file is a photo, even of a kind that cannot be read here."""
    return is_photo(name) or os.path.splitext(name)[1].lower() in PLUG_IN | RAW


def why_no_photo(name: str) -> str:
    """What kind of file it is if it is not a photo, in the plural.

    >>> why_no_photo("IMG_1.CR2")
    '.cr2 files (camera raw; export them as JPEG)'
    """
    suffix = os.path.splitext(name)[1].lower()
    if suffix in PLUG_IN:
        return f"{suffix} files (to read them, {EXTRA})"
    if suffix in RAW:
        return f"{suffix} files (camera raw; export them as JPEG)"
    return f"{suffix} files" if suffix else "files without a suffix"


def why_unreadable(error: Exception, head: bytes) -> str:
    """Why a file is not a readable image, from Pillow's error and the file's first bytes."""
    if not head:
        return "the file is empty"
    if isinstance(error, UnidentifiedImageError):
        for start, suffix, meaning in CONTENTS:
            if re.match(start, head, re.DOTALL | re.IGNORECASE) and suffix not in photo_suffixes():
                return meaning
        return "its content is not in an image format that Pillow knows"
    return reason(error)
