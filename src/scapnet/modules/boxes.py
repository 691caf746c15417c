"""Windows of a scale, their features and boxes, and crops (Definition 1).

B batch, C channels, H W map size, N grid, u scale, n = N - u + 1 windows per side, M parts, S crop size.
"""

import torch
from torch import Tensor
from torchvision.ops import box_convert, roi_align


def unit_edges(size: int, grid: int) -> list[int]:
    """Integer edges of ``grid`` units over ``size`` cells: a true partition even if N does not divide size.

    >>> unit_edges(28, 3)
    [0, 9, 18, 28]
    """
    if size < grid:
        raise ValueError(
            f"a feature map of {size} cells per side cannot be divided into a grid of {grid}; "
            f"use grid <= {size} or a larger image"
        )
    return [i * size // grid for i in range(grid + 1)]


def window_edges(size: int, grid: int, scale: int) -> list[tuple[int, int]]:
    """First and one-past-last cell of each of the N-u+1 windows of ``scale`` along one side.

    >>> window_edges(8, 4, 3)
    [(0, 6), (2, 8)]
    """
    if not 1 <= scale <= grid:
        raise ValueError(f"scale {scale} has no window on a grid of {grid}; use a scale from 1 to {grid}")
    edges = unit_edges(size, grid)
    return list(zip(edges[:-scale], edges[scale:], strict=True))


def averaging_matrix(
    size: int, grid: int, scale: int, *, device: torch.device | None = None, dtype: torch.dtype | None = None
) -> Tensor:
    """(N-u+1, size) matrix whose row i averages the cells of window i along one side."""
    edges = torch.tensor(window_edges(size, grid, scale), device=device)  # (n, 2)
    cell = torch.arange(size, device=device)
    inside = (cell >= edges[:, :1]) & (cell < edges[:, 1:])  # (n, size)
    return inside.to(dtype or torch.get_default_dtype()) / (edges[:, 1:] - edges[:, :1])


def pool_windows(features: Tensor, grid: int, scale: int) -> Tensor:
    """Average feature of each window of a scale, G(x) of Eq. 4, as ``P X Q^T``.

    Args:
        features: (B, C, H, W).
        grid: N, units per side, at most min(H, W).
        scale: u, the side of a window in units.

    Returns:
        (B, N-u+1, N-u+1, C).
    """
    height, width = features.shape[-2:]
    rows = averaging_matrix(height, grid, scale, device=features.device, dtype=features.dtype)
    columns = averaging_matrix(width, grid, scale, device=features.device, dtype=features.dtype)
    if features.is_contiguous(memory_format=torch.channels_last):  # the same product without a copy of the map
        across = columns @ features.permute(0, 2, 3, 1)  # (B, H, N-u+1, C)
        windows: Tensor = torch.einsum("yh,bhxc->byxc", rows, across)
        return windows
    return (rows @ features @ columns.T).permute(0, 2, 3, 1)


def window_boxes(
    height: int,
    width: int,
    grid: int,
    scale: int,
    *,
    device: torch.device | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """((N-u+1)^2, 4) boxes, cxcywh in [0, 1], row by row: exactly the cells that `pool_windows` averages."""
    y = torch.tensor(window_edges(height, grid, scale), device=device, dtype=dtype) / height  # (n, 2)
    x = torch.tensor(window_edges(width, grid, scale), device=device, dtype=dtype) / width
    n = len(x)
    y, x = y[:, None].expand(n, n, 2), x[None].expand(n, n, 2)
    corners = torch.stack((x[..., 0], y[..., 0], x[..., 1], y[..., 1]), -1)
    boxes: Tensor = box_convert(corners, "xyxy", "cxcywh").flatten(0, 1)
    return boxes


def crop_parts(images: Tensor, boxes: Tensor, size: int) -> Tensor:
    """Crop and resize all parts of all images in one call, on the images' device.

    A bin that covers several pixels averages them, so downsampling does not alias (Sec. IV-B resizes parts to 224).

    Args:
        images: (B, 3, H, W).
        boxes: (B, M, 4) cxcywh in [0, 1] of the image.
        size: S, the side of a crop in pixels.

    Returns:
        (B*M, 3, S, S), the parts of the first image first.
    """
    height, width = images.shape[-2:]
    scale = torch.tensor([width, height, width, height], device=boxes.device, dtype=boxes.dtype)
    # Corners are rounded to 1/256 of a pixel: otherwise rounding errors can give a bin of 2.000001 pixels, which
    # roi_align samples three times instead of twice, and blurs.
    corners = ((box_convert(boxes, "cxcywh", "xyxy") * scale * 256).round() / 256).to(images.dtype)  # (B, M, 4)
    batch = torch.arange(boxes.shape[0], device=boxes.device, dtype=images.dtype)
    batch = batch[:, None, None].expand(-1, boxes.shape[1], 1)  # (B, M, 1)
    rois = torch.cat((batch, corners), -1).flatten(0, 1)  # (B*M, 5)
    crops: Tensor = roi_align(images, rois, size, sampling_ratio=-1, aligned=True)
    return crops
