"""Names as bytes: only tensors travel in a batch and between processes, whichever data set the names are of."""

from collections.abc import Sequence

import torch
from torch import Tensor

WIDTH = 32  # bytes of a name; a longer one is cut


def pack_names(names: Sequence[str], rows: int) -> Tensor:
    """(rows, WIDTH) uint8: the names in UTF-8 padded with zeros; rows without a name are zeros."""
    packed = b"".join(name.encode()[:WIDTH].ljust(WIDTH, b"\0") for name in names[:rows])
    return torch.frombuffer(bytearray(packed.ljust(rows * WIDTH, b"\0")), dtype=torch.uint8).view(rows, WIDTH)


def unpack_names(packed: Tensor) -> list[str]:
    """The names of packed (n, WIDTH) uint8.

    >>> unpack_names(pack_names(["left eye", "Flügel"], 3))
    ['left eye', 'Flügel', '']
    """
    return [bytes(row).rstrip(b"\0").decode(errors="ignore") for row in packed.cpu().numpy()]
