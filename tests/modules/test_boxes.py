import itertools

import pytest
import torch
import torch.nn.functional as F
from torchvision.ops import box_convert

import reference
from scapnet.modules.boxes import (
    averaging_matrix,
    crop_parts,
    pool_windows,
    unit_edges,
    window_boxes,
)

SHAPES = [(28, 28), (14, 14), (9, 13)]
GRIDS = [2, 3, 4, 5]


@pytest.mark.parametrize("size", [5, 7, 14, 28])
@pytest.mark.parametrize("grid", [1, *GRIDS])
def test_unit_edges_partition_the_map(size: int, grid: int) -> None:
    edges = unit_edges(size, grid)
    assert edges == reference.edges(size, grid)
    assert (edges[0], edges[-1], len(edges)) == (0, size, grid + 1)
    widths = [b - a for a, b in itertools.pairwise(edges)]
    assert min(widths) >= 1
    assert max(widths) - min(widths) <= 1


@pytest.mark.parametrize(("size", "grid"), [(28, 4), (14, 3), (28, 5)])
def test_averaging_matrix_averages_whole_units(size: int, grid: int) -> None:
    edges = unit_edges(size, grid)
    for scale in range(1, grid + 1):
        matrix = averaging_matrix(size, grid, scale, dtype=torch.float64)
        expected = torch.zeros(grid - scale + 1, size, dtype=torch.float64)
        for i in range(grid - scale + 1):
            expected[i, edges[i] : edges[i + scale]] = 1 / (edges[i + scale] - edges[i])
        torch.testing.assert_close(matrix, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("grid", GRIDS)
def test_pool_windows_equals_the_reference(shape: tuple[int, int], grid: int) -> None:
    torch.manual_seed(grid)
    x = torch.randn(2, 3, *shape)
    for scale in range(1, grid + 1):
        pooled = pool_windows(x, grid, scale)
        last = pool_windows(x.contiguous(memory_format=torch.channels_last), grid, scale)
        torch.testing.assert_close(last, pooled)
        n = grid - scale + 1
        assert pooled.shape == (2, n, n, 3)
        for b, image in enumerate(x.double().tolist()):
            for i, j in reference.windows(grid, scale):
                expected = torch.tensor(reference.window_average(image, grid, scale, i, j))
                torch.testing.assert_close(pooled[b, i, j], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("grid", GRIDS)
def test_a_box_holds_exactly_the_cells_that_are_pooled(shape: tuple[int, int], grid: int) -> None:
    height, width = shape
    for scale in range(1, grid + 1):
        boxes = window_boxes(height, width, grid, scale, dtype=torch.float64)
        expected = [reference.window_box(height, width, grid, scale, i, j) for i, j in reference.windows(grid, scale)]
        torch.testing.assert_close(boxes, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-12)
        x = torch.zeros(1, 1, height, width, requires_grad=True)
        pooled = pool_windows(x, grid, scale).flatten()
        for k, box in enumerate(box_convert(boxes, "cxcywh", "xyxy") * torch.tensor([width, height, width, height])):
            left, top, right, bottom = (round(v) for v in box.tolist())
            torch.testing.assert_close(box, box.round(), rtol=0, atol=1e-9)
            (used,) = torch.autograd.grad(pooled[k], x, retain_graph=True)
            inside = torch.zeros(height, width, dtype=torch.bool)
            inside[top:bottom, left:right] = True
            assert torch.equal(used[0, 0] > 0, inside)


def pixel_box(height: int, width: int, top: int, left: int, bottom: int, right: int) -> torch.Tensor:
    corners = torch.tensor([left / width, top / height, right / width, bottom / height])
    box: torch.Tensor = box_convert(corners, "xyxy", "cxcywh")
    return box


def test_crop_of_its_own_size_is_a_slice_in_the_order_of_the_boxes() -> None:
    torch.manual_seed(0)
    images = torch.rand(3, 3, 32, 64)
    corners = [(0, 0), (24, 56), (5, 40), (17, 3)]
    boxes = torch.stack([pixel_box(32, 64, y, x, y + 8, x + 8) for y, x in corners])
    every = torch.stack([boxes, boxes.flip(0), boxes.roll(1, 0)])
    crops = crop_parts(images, every, 8)
    assert crops.shape == (3 * 4, 3, 8, 8)
    for b, order in enumerate([[0, 1, 2, 3], [3, 2, 1, 0], [3, 0, 1, 2]]):
        for m, k in enumerate(order):
            y, x = corners[k]
            torch.testing.assert_close(crops[b * 4 + m], images[b, :, y : y + 8, x : x + 8], rtol=0, atol=1e-5)


@pytest.mark.parametrize(("height", "width", "size"), [(42, 28, 7), (56, 56, 14), (60, 60, 20)])
def test_crop_of_its_own_size_is_a_slice_at_any_resolution(height: int, width: int, size: int) -> None:
    torch.manual_seed(0)
    image = torch.rand(1, 3, height, width)
    for top in range(0, height - size + 1, size):
        for left in range(0, width - size + 1, size):
            box = pixel_box(height, width, top, left, top + size, left + size)
            expected = image[:, :, top : top + size, left : left + size]
            torch.testing.assert_close(crop_parts(image, box[None, None], size), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_crop_that_shrinks_by_a_whole_factor_is_average_pooling(factor: int) -> None:
    torch.manual_seed(factor)
    image = torch.rand(1, 3, 64, 96)
    side = 8 * factor
    box = pixel_box(64, 96, 16, 24, 16 + side, 24 + side)
    expected = F.avg_pool2d(image[:, :, 16 : 16 + side, 24 : 24 + side], factor)
    torch.testing.assert_close(crop_parts(image, box[None, None], 8), expected, rtol=0, atol=1e-5)


def test_crop_that_grows_is_bilinear_interpolation() -> None:
    torch.manual_seed(0)
    image = torch.rand(2, 3, 16, 16)
    whole = torch.tensor([0.5, 0.5, 1.0, 1.0]).expand(2, 1, 4)
    expected = F.interpolate(image, size=(40, 40), mode="bilinear", align_corners=False)
    torch.testing.assert_close(crop_parts(image, whole, 40), expected, rtol=0, atol=1e-5)


def test_crop_under_autocast_is_finite() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        crops = crop_parts(torch.rand(1, 3, 32, 32), torch.tensor([[[0.5, 0.5, 0.25, 0.75]]]), 16)
    assert crops.isfinite().all()


def test_a_map_smaller_than_the_grid_is_refused() -> None:
    with pytest.raises(ValueError, match="grid"):
        pool_windows(torch.zeros(1, 2, 3, 8), 4, 1)
