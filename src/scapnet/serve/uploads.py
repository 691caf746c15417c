"""From bytes that somebody sent to a photo, in bounds."""

import io
from pathlib import Path

from PIL import Image
from torch import Tensor

from scapnet.data.images import UnreadableImage
from scapnet.data.inputs import load_photo
from scapnet.data.opening import open_photo
from scapnet.serve.limits import Limits, Refused


def decode(content: bytes, limits: Limits) -> Tensor:
    """A photo (3, H, W) uint8 as the user sees it.

    Raises:
        Refused: 400 for nothing, 413 for too many bytes or pixels, 415 for what is no readable photo.
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
    try:
        return load_photo(content)
    except UnreadableImage as error:
        raise Refused(415, str(error).replace("image is no", "what was sent is no", 1)) from error


def decode_file(path: Path | str, limits: Limits) -> Tensor:
    """The same for a file.

    Raises:
        Refused: see `decode`.
    """
    if Path(path).stat().st_size > limits.megabytes * 10**6:
        raise too_large(limits)
    return decode(Path(path).read_bytes(), limits)


def too_large(limits: Limits) -> Refused:
    """The refusal of an upload of too many bytes."""
    return Refused(413, f"the upload is larger than {limits.megabytes} MB; shrink the photo")
