"""From pixels of a photo of any size to a view, with operations that every exported format supports.

`scapnet.data.resize.resize` calls PyTorch's uint8 kernel, which uses 16-bit integer weights and rounds the pixels
after each of the two directions. Here these are products with two matrices of the same weights, so that a graph gives
the same pixels. The matrices are computed in the graph, from the size of the photo.

B batch, H W size of the photo, S' side of the source, L length of a side, n rows of a matrix.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from scapnet.config import ViewConfig
from scapnet.data.augment import LONGEST, mean_colour, sides


class Side(NamedTuple):
    """How one side of a photo becomes one side of a view; whole numbers, as tensors ()."""

    cut: Tensor  # first pixel of the photo that is used
    length: Tensor  # number of these pixels
    resized: Tensor  # number of pixels after resizing
    first: Tensor  # index of the view's first resized pixel; negative if the view is padded

    @property
    def scale(self) -> Tensor:
        """Pixels of the source per pixel of the photo."""
        return self.resized.float() / self.length.float()

    @property
    def offset(self) -> Tensor:
        """See `scapnet.data.transforms.ViewGeometry`."""
        return self.first.float() + self.cut.float() * self.scale


def photo_sides(height: int, width: int, view: ViewConfig) -> tuple[Side, Side]:
    """The vertical and the horizontal side of a photo, as `centre_view` cuts and resizes them."""
    both = torch.stack([torch.full((), height, dtype=torch.int64), torch.full((), width, dtype=torch.int64)])
    source, shorter = sides(view)
    cut, length = torch.zeros_like(both), both
    if view.fit == "crop":
        length = torch.minimum(both, LONGEST * both.min())
        cut = (both - length) // 2
        resized = shorter * length // length.min()
    elif view.fit == "pad":
        resized = _rounded(source * both, both.max()).clamp(min=1)
    else:
        resized = torch.full_like(both, source)
    # Towards zero for a crop and away from zero for padding, like Python's //.
    apart = resized - source
    first = apart // 2 if view.fit == "crop" else -((-apart) // 2)
    found = [Side(cut[i], length[i], resized[i], first[i]) for i in (0, 1)]
    return found[0], found[1]


def _rounded(number: Tensor, divisor: Tensor) -> Tensor:
    """number / divisor, rounded half to even like `round`."""
    doubled = 2 * number + divisor
    found = doubled // (2 * divisor)
    tie = (doubled % (2 * divisor) == 0) & (found % 2 == 1)
    return found - tie.long()


def pixel_weights(rows: Tensor, side: Side, length: int) -> Tensor:
    """Weights of a side's pixels in each pixel of the resized side; bilinear and antialiased.

    The weight of pixel x for pixel i is the triangle max(0, 1 - |x + 1/2 - (i + 1/2) s| / max(s, 1)) with
    s = length / resized, normalised. Multiplied by 2 max(length, resized) it is a whole number and therefore exact.

    Args:
        rows: (n,) numbers i of resized pixels.
        side: how the side is resized.
        length: L, pixels of the photo on this side.

    Returns:
        (n, L) float64; a row sums to 1.
    """
    pixel = torch.arange(length)[None] - side.cut  # (1, L)
    middle = (2 * rows[:, None] + 1) * side.length  # 2 resized times the place
    apart = ((2 * pixel + 1) * side.resized - middle).abs()
    weights = (2 * torch.maximum(side.length, side.resized) - apart).clamp(min=0)
    weights = torch.where((pixel >= 0) & (pixel < side.length), weights, 0).double()
    return weights / weights.sum(1, keepdim=True).clamp(min=1)


def sampling_matrix(side: Side, length: int, source: int) -> Tensor:
    """(S', L) weights of a side in the precision of PyTorch's kernel; rows that are padding are zero.

    The kernel rounds weights to multiples of 2^-p, with the largest p for which the largest weight fits 15 bits.
    """
    rows = torch.arange(source) + side.first
    inside = (rows >= 0) & (rows < side.resized)
    weights = pixel_weights(rows, side, length)
    # The largest weight may lie in a row that is cropped; those at the ends differ from all others.
    ends = pixel_weights(torch.stack([torch.zeros_like(side.resized), side.resized - 1]), side, length)
    largest = torch.maximum(torch.where(inside[:, None], weights, 0).max(), ends.max())
    power = 2.0 ** torch.arange(23, dtype=torch.float64)
    unit = torch.where((largest * power + 0.5).floor() < 2**15, power, 1.0).max()
    weights = (weights * unit + 0.5).floor() / unit
    return torch.where(inside[:, None], weights, 0).float()


def resized_view(photo: Tensor, vertical: Side, horizontal: Side, view: ViewConfig) -> Tensor:
    """The view of photos.

    Args:
        photo: (B, 3, H, W) float32, whole numbers from 0 to 255.
        vertical: the resize of H to S'.
        horizontal: the resize of W to S'.
        view: the sizes.

    Returns:
        (B, 3, S', S') float32, whole numbers from 0 to 255.
    """
    source, (height, width) = sides(view)[0], photo.shape[-2:]
    columns = sampling_matrix(horizontal, width, source)
    rows = sampling_matrix(vertical, height, source)
    found = _whole(rows @ _whole(photo @ columns.T))
    if view.fit != "pad":
        return found
    inside = (rows.sum(1)[:, None] > 0) & (columns.sum(1)[None] > 0)  # (S', S')
    return torch.where(inside, found, torch.tensor(mean_colour(view), dtype=torch.float32)[:, None, None])


def _whole(pixels: Tensor) -> Tensor:
    return (pixels + 0.5).floor().clamp(0, 255)


def shrunk(source: Tensor, size: int) -> Tensor:
    """A square view (B, 3, S', S') of whole numbers, reduced to (B, 3, S, S) like `to_input`."""
    given = source.shape[-1]
    if given == size:
        return source
    zero = torch.zeros((), dtype=torch.int64)
    matrix = sampling_matrix(Side(zero, zero + given, zero + size, zero), given, size)
    return _whole(matrix @ _whole(source @ matrix.T))
