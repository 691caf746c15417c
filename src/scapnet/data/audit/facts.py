"""Facts about one image file: whether it can be decoded, its size and kind, and what is unusual about it.

Only Pillow is imported, so that worker processes start at once.
"""

import hashlib
import io
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from scapnet.data.colour import srgb_transform
from scapnet.data.formats import why_unreadable
from scapnet.data.opening import MOST_PIXELS, check_length, check_scans, check_size, open_photo, upright
from scapnet.errors import reason

TINY = 32  # pixels of the shorter side: too few for any network
LONG = 5.0  # longer side over shorter side: the centre crop loses four fifths


class Facts(NamedTuple):
    """Facts about one image file; `key` identifies this version of it."""

    path: str
    size: int  # bytes
    mtime: int  # nanoseconds
    content: str  # hash of the bytes, "" if there are none
    pixels: str  # hash of mode, size and decoded pixels, "" if it cannot be decoded
    width: int
    height: int
    kind: str  # format and mode
    odd: tuple[str, ...]  # words of ODD
    error: str  # why it is not a readable image, "" if it is

    @property
    def key(self) -> tuple[str, int, int]:
        """Path, size and modification time."""
        return self.path, self.size, self.mtime


ODD = {
    "tiny": f"a side below {TINY} px",
    "long": f"one side at least {LONG:g} times the other",
    "animated": "several frames (only the first is used)",
    "16-bit": "more than 8 bits per channel",
    "CMYK": "CMYK colours",
    "huge": f"more than {MOST_PIXELS // 10**6} million pixels, too many to read",
    "profile": "a colour profile other than sRGB (they are converted to sRGB)",
}


def hashed(*data: bytes) -> str:
    """A hash of bytes, long enough to tell the files of a data set apart."""
    digest = hashlib.sha256(usedforsecurity=False)
    for block in data:
        digest.update(block)
    return digest.hexdigest()[:32]


def missing(path: str, why: str) -> Facts:
    """Facts about a missing file."""
    return Facts(path, 0, 0, "", "", 0, 0, "", (), why)


def photo_facts(file: Path, path: str) -> Facts:
    """Read and decode one image file.

    Args:
        file: where it is.
        path: what to call it.
    """
    try:
        with file.open("rb") as opened:
            stat, data = os.fstat(opened.fileno()), opened.read()
    except OSError as error:
        return missing(path, error.strerror or reason(error))
    facts = Facts(path, stat.st_size, stat.st_mtime_ns, hashed(data) if data else "", "", 0, 0, "", (), "")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with open_photo(io.BytesIO(data)) as photo:
                return _decode(facts, photo, data)
        except Image.DecompressionBombError as error:
            return facts._replace(odd=("huge",), error=reason(error))
        # Pillow's plug-ins raise errors of many kinds on broken files, SyntaxError and struct.error among them.
        except Exception as error:
            return facts._replace(error=why_unreadable(error, data[:64]))


def _decode(facts: Facts, photo: Image.Image, data: bytes) -> Facts:
    width, height = photo.size
    facts = facts._replace(width=width, height=height, kind=f"{photo.format} {photo.mode}", odd=_odd(photo, data))
    try:
        check_size(photo)
        check_length(photo, len(data))
        check_scans(photo, data)
    except ValueError as error:
        return facts._replace(odd=(*facts.odd, "huge"), error=reason(error))
    try:
        return facts._replace(pixels=_pixels(upright(photo)))
    except Exception as error:
        return facts._replace(error=why_unreadable(error, data[:64]))


def _odd(photo: Image.Image, data: bytes) -> tuple[str, ...]:
    short, long = sorted(photo.size)
    tests = {
        "tiny": short < TINY,
        "long": long >= LONG * short,
        # The second frame of a phone's MPO is a thumbnail or a depth map.
        "animated": photo.format != "MPO" and getattr(photo, "is_animated", False),
        "16-bit": _deep(photo, data),
        "CMYK": photo.mode in ("CMYK", "YCCK"),
        "profile": srgb_transform(photo.info.get("icc_profile"), photo.mode) is not None,
    }
    return tuple(word for word, true in tests.items() if true)


def _deep(photo: Image.Image, data: bytes) -> bool:
    """Whether a channel has more than 8 bits in the file, even if Pillow reduces it to 8."""
    bits: Any = 8
    if photo.format == "PNG":
        bits = data[24]
    elif photo.format == "TIFF":
        bits = max(photo.tag_v2.get(258, (8,)))  # type: ignore[attr-defined]
    return bits > 8 or photo.mode.startswith("I") or photo.mode == "F"


def _pixels(photo: Image.Image) -> str:
    # The values of a palette image are not colours.
    shown = photo.convert("RGBA") if photo.mode in ("P", "PA") else photo
    return hashed(f"{shown.mode} {shown.size}".encode(), shown.tobytes())


def sample_facts(split: Any, index: int, path: str) -> Facts:
    """Draw or read a sample that is not a file, and hash its pixels."""
    try:
        image = split[index].image
    except (ValueError, OSError) as error:
        return missing(path, reason(error))
    height, width = image.shape[-2:]
    odd = [word for word, true in (("tiny", min(width, height) < TINY), ("long", _long(width, height))) if true]
    pixels = hashed(f"RGB {(width, height)}".encode(), image.permute(1, 2, 0).contiguous().numpy().tobytes())
    return Facts(path, 0, 0, "", pixels, width, height, "drawn RGB", tuple(odd), "")


def _long(width: int, height: int) -> bool:
    return max(width, height) >= LONG * min(width, height)


Task = tuple[Any, Sequence[tuple[Any, str]]]  # a split and indices into it, or None and files; each with its name


def read_all(task: Task) -> list[Facts]:
    """The facts about a task's images; this runs in a worker process."""
    split, items = task
    if split is None:
        return [photo_facts(file, path) for file, path in items]
    return [sample_facts(split, index, path) for index, path in items]
