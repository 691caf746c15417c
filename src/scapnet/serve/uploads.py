"""From bytes that somebody sent to a photo, in bounds."""

import io
from pathlib import Path

from PIL import Image
from torch import Tensor

from scapnet.data.images import UnreadableImage
from scapnet.data.inputs import load_photo
from scapnet.data.opening import open_photo
from scapnet.engine import Engine
from scapnet.predict import PhotoView, read_view
from scapnet.prediction import Skipped
from scapnet.serve.limits import Limits, Refused


def read_upload(content: bytes, limits: Limits, engine: Engine) -> PhotoView:
    """What an engine gets of a photo: that which `scapnet predict` gives it, and no more, so that a queue stays small.

    Raises:
        Refused: see `decode`.
    """
    check(content, limits)
    found = read_view(content, engine.view)
    if isinstance(found, Skipped):
        raise _unreadable(found.reason)
    return found if getattr(engine, "of_photos", None) is not None else found._replace(photo=None)


def decode(content: bytes, limits: Limits) -> Tensor:
    """A photo (3, H, W) uint8 as the user sees it.

    Raises:
        Refused: 400 for nothing, 413 for too many bytes or pixels, 415 for what is no readable photo.
    """
    check(content, limits)
    try:
        return load_photo(content)
    except UnreadableImage as error:
        raise _unreadable(str(error)) from error


def check(content: bytes, limits: Limits) -> None:
    """Look at the size of a photo before it is decoded.

    Raises:
        Refused: 400 for nothing, 413 for too many bytes or pixels.
    """
    if not content:
        raise Refused(400, "the request holds no photo; send the bytes of one, for example: curl --data-binary @photo")
    if len(content) > limits.megabytes * 10**6:
        raise too_large(limits)
    try:
        with open_photo(io.BytesIO(content)) as photo:  # reads the size and nothing else
            width, height = photo.size
    except Image.DecompressionBombError as error:
        raise Refused(
            413, f"the photo is too large; at most {limits.megapixels} million pixels are accepted"
        ) from error
    except Exception:  # Pillow's decoders raise errors of many kinds; `load_photo` says which
        width = height = 0
    if width * height > limits.megapixels * 10**6:
        raise Refused(413, f"the photo has {width} x {height} pixels; at most {limits.megapixels} million are accepted")


def _unreadable(reason: str) -> Refused:
    return Refused(415, reason.replace("image is no", "what was sent is no", 1))


def decode_file(path: Path | str, limits: Limits) -> Tensor:
    """The same for a file.

    Raises:
        Refused: see `decode`.
    """
    return decode(content_of_file(path, limits), limits)


def content_of_file(path: Path | str, limits: Limits) -> bytes:
    """A file's bytes.

    Raises:
        Refused: 413 for too many.
    """
    if Path(path).stat().st_size > limits.megabytes * 10**6:
        raise too_large(limits)
    return Path(path).read_bytes()


def too_large(limits: Limits) -> Refused:
    """The refusal of an upload of too many bytes."""
    return Refused(413, f"the upload is larger than {limits.megabytes} MB; shrink the photo")
