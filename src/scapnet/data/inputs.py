"""Photos in any form that a program may pass: paths, bytes, open files, Pillow images, arrays and tensors.

H, W height and width.
"""

import io
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit
from urllib.request import url2pathname

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from scapnet.data.formats import why_unreadable
from scapnet.data.images import Decoded, UnreadableImage, decode_opened, decode_photo, photo_to_tensor
from scapnet.data.opening import check_length, check_scans, check_size, open_photo
from scapnet.errors import reason

Photo = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | Image.Image | NDArray[Any] | Tensor
IN_MEMORY = "image"  # the name of a photo that has none
HERE = ("localhost", "127.0.0.1", "::1")
MOST_BYTES = 200_000_000  # of a photo that is fetched from an address
SECONDS = 30  # without a byte, after which a server has failed
TAKES = (
    "a photo is a path, an address on this machine, bytes, a file opened in mode 'rb', a Pillow image, a numpy array "
    "(H, W, 3) or (H, W) of uint8 or of floats in [0, 1], or a torch tensor (3, H, W)"
)


def load_photo(photo: Photo, name: str | None = None) -> Tensor:
    """The pixels of `decode_input`: one photo, as the user sees it, (3, H, W) uint8."""
    return decode_input(photo, name).image


def decode_input(photo: Photo, name: str | None = None, shorter: int | None = None) -> Decoded:
    """One photo, as the user sees it.

    Args:
        photo: a path (str or `os.PathLike`); an address ``file:///...`` or ``http://localhost...``; the bytes of a
            file; a file opened in binary mode, which is read from its start if it can seek; a Pillow image of any mode;
            a numpy array (H, W, 3) in RGB order, (H, W, 4) with transparency, (H, W) or (H, W, 1) grey; or a torch
            tensor (3, H, W), (4, H, W), (1, H, W) or (H, W) on any device. Arrays and tensors hold integers from 0 to
            255 or floats from 0 to 1.
        name: what errors call it; by default `photo_name`.
        shorter: how many pixels are needed along the shorter side of a file or of bytes; see
            `scapnet.data.images.decode_photo`.

    Returns:
        Its pixels, and the size of the whole photo.

    Raises:
        UnreadableImage: a ValueError; a file or bytes that are not a readable image.
        ValueError: any other object; the message lists what is accepted.
    """
    if is_address(photo):
        return _from_address(str(photo), shorter)
    if isinstance(photo, str | os.PathLike):
        return decode_photo(Path(os.fsdecode(photo)), shorter)
    if isinstance(photo, Image.Image):
        return _from_pillow(photo, name or photo_name(photo))
    if isinstance(photo, bytes | bytearray | memoryview):
        return _from_bytes(bytes(photo), name or IN_MEMORY, shorter)
    if isinstance(photo, Tensor):
        return _whole(_from_array(_channels_last(photo.detach().cpu())))
    if hasattr(photo, "__array__"):
        return _whole(_from_array(np.asarray(photo)))
    content = content_of(photo)
    if isinstance(content, bytes):
        return _from_bytes(content, name or photo_name(photo), shorter)
    raise ValueError(f"{TAKES}, not {_called(photo)}")


def _whole(image: Tensor) -> Decoded:
    return Decoded(image, *image.shape[-2:])


def is_address(photo: object) -> bool:
    """Whether it is a text such as ``http://localhost:8000/photo.jpg``."""
    return isinstance(photo, str) and re.match(r"[a-zA-Z][a-zA-Z0-9+.-]+://", photo) is not None


def photo_name(photo: Photo) -> str:
    """The path of a photo that is or was a file, and "image" for any other."""
    known = getattr(photo, "filename" if isinstance(photo, Image.Image) else "name", None)
    name = photo if isinstance(photo, str | os.PathLike) else known
    return os.fsdecode(name) if isinstance(name, str | os.PathLike) and name else IN_MEMORY


def _called(photo: object) -> str:
    one_by_one = "give its photos one by one"
    names = {"NoneType": "None", "list": f"a list; {one_by_one}", "tuple": f"a tuple; {one_by_one}"}
    kind = type(photo).__name__
    return names.get(kind, f"a {kind}")


def _from_address(address: str, shorter: int | None) -> Decoded:
    """A photo from an address on this machine; no other machine is asked."""
    parts = urlsplit(address)
    if parts.scheme == "file" and parts.hostname in (None, *HERE):
        return decode_photo(Path(url2pathname(parts.path)), shorter)
    if parts.scheme not in ("http", "https") or parts.hostname not in HERE:
        raise ValueError(f"{address} is not on this machine; download the photo, or give its path")
    try:
        content = _fetch(address)
    except (OSError, ValueError) as error:  # requests' own errors are OSErrors
        raise UnreadableImage(f"{address} is not a readable image ({reason(error)})") from error
    return _from_bytes(content, address, shorter)


def _fetch(address: str) -> bytes:
    import requests  # here, because it takes a tenth of a second and few photos have addresses

    with requests.Session() as session:
        session.trust_env = False  # a proxy would be another machine
        with session.get(address, stream=True, timeout=SECONDS, allow_redirects=False) as answer:
            if answer.status_code != 200:
                raise ValueError(f"the server answered {answer.status_code}")
            content = bytearray()
            for chunk in answer.iter_content(1 << 20):
                content += chunk
                if len(content) > MOST_BYTES:
                    raise ValueError(f"it has more than {MOST_BYTES // 10**6} MB")
    return bytes(content)


def content_of(photo: Photo) -> Photo:
    """The bytes of an open file, which may be closed soon; any other photo as it is.

    Raises:
        ValueError: a file in text mode.
    """
    file: Any = getattr(photo, "file", photo)  # web frameworks wrap an upload's file
    if isinstance(photo, str | os.PathLike | Image.Image) or not hasattr(file, "read"):
        return photo
    with suppress(AttributeError, OSError):  # a network stream cannot seek
        file.seek(0)
    content = file.read()
    if not isinstance(content, bytes):
        name = photo_name(photo)
        raise ValueError(f"reading {name} gives {type(content).__name__} and not bytes; open it with mode 'rb'")
    return content


def _from_bytes(content: bytes, name: str, shorter: int | None) -> Decoded:
    try:
        photo = open_photo(io.BytesIO(content))
        check_length(photo, len(content))
        check_scans(photo, content)
    except Exception as error:  # of many kinds, as in `read_image`
        raise UnreadableImage(f"{name} is not a readable image ({why_unreadable(error, content[:64])})") from error
    with photo:
        return _from_pillow(photo, name, shorter)


def _from_pillow(photo: Image.Image, name: str, shorter: int | None = None) -> Decoded:
    try:
        check_size(photo)
        return decode_opened(photo, shorter)
    except Exception as error:
        raise UnreadableImage(f"{name} is not a readable image ({reason(error)})") from error


def _channels_last(image: Tensor) -> NDArray[Any]:
    """A tensor (C, H, W) or (H, W) as an array (H, W, C) or (H, W)."""
    if image.is_floating_point():
        image = image.float()  # numpy has no bfloat16
    if image.ndim == 3 and len(image) in (1, 3, 4):
        image = image.permute(1, 2, 0)
    elif image.ndim != 2:
        raise ValueError(f"{TAKES}, not a tensor {tuple(image.shape)}")
    array: NDArray[Any] = image.numpy()
    return array


def _from_array(array: NDArray[Any]) -> Tensor:
    grey = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
    if grey.ndim != 2 and not (grey.ndim == 3 and grey.shape[2] in (3, 4)):
        raise ValueError(f"{TAKES}, not an array {array.shape}; transpose it, or give photos one by one")
    if not grey.size:
        raise ValueError(f"this array of shape {array.shape} has no pixels")
    return photo_to_tensor(Image.fromarray(_to_uint8(grey)))


def _to_uint8(array: NDArray[Any]) -> NDArray[np.uint8]:
    """Floats from 0 to 1, booleans, or integers from 0 to 255, as uint8."""
    kind = array.dtype.kind
    if kind not in "biuf":
        raise ValueError(f"{TAKES}, not an array of {array.dtype}")
    top = 1 if kind in "bf" else 255
    low, high = array.min(), array.max()
    if not (low >= 0 and high <= top):  # NaN compares false
        need = "floats must lie from 0 to 1" if kind == "f" else "whole numbers must lie from 0 to 255"
        raise ValueError(f"the values of this {array.dtype} array go from {low} to {high}; {need}: scale them")
    return np.ascontiguousarray(np.round(array * 255.0) if kind in "bf" else array).astype(np.uint8)
