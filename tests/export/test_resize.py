"""The resize in a graph gives PyTorch's pixels."""

import itertools

import pytest
import torch

from samples import painted
from scapnet.config import ViewConfig
from scapnet.data.images import to_tensor
from scapnet.data.transforms import centre_view, to_input
from scapnet.export.resize import photo_sides, resized_view, shrunk

SIZES = [(1, 1), (3, 500), (64, 64), (72, 72), (31, 200), (97, 96), (333, 250), (900, 610)]
VIEWS = [
    ViewConfig(64, 72),
    ViewConfig(64, 80, 96),
    ViewConfig(64, 64, fit="squash"),
    ViewConfig(64, 64, fit="pad"),
    ViewConfig(32, 32, 49, fit="pad"),
]


@pytest.mark.parametrize(("size", "view"), list(itertools.product(SIZES, VIEWS)))
def test_a_view_has_the_pixels_and_the_place_of_the_one_that_the_network_was_trained_on(
    size: tuple[int, int], view: ViewConfig
) -> None:
    photo = to_tensor(painted(*size))
    expected, frame = centre_view(photo, view)
    vertical, horizontal = photo_sides(*size, view)
    found = resized_view(photo[None].float(), vertical, horizontal, view)[0]
    assert torch.equal(found, expected.float())
    torch.testing.assert_close(
        torch.stack([horizontal.scale, vertical.scale]), torch.tensor(frame.scale, dtype=torch.float32)
    )
    torch.testing.assert_close(
        torch.stack([horizontal.offset, vertical.offset]), torch.tensor(frame.offset, dtype=torch.float32)
    )


def test_a_large_photo_differs_by_a_level_in_hardly_any_pixel() -> None:
    view = ViewConfig(128, 144)
    photo = to_tensor(painted(1600, 2100))
    vertical, horizontal = photo_sides(1600, 2100, view)
    apart = resized_view(photo[None].float(), vertical, horizontal, view)[0] - centre_view(photo, view)[0].float()
    assert apart.abs().max() <= 1
    assert (apart != 0).float().mean() < 1e-3


@pytest.mark.parametrize(("source", "size"), [(96, 64), (64, 64), (500, 448)])
def test_the_view_is_made_from_the_source_as_for_training(source: int, size: int) -> None:
    view = ViewConfig(size, size, source, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    pixels = to_tensor(painted(source, source))
    found = shrunk(pixels[None].float(), size)[0]
    torch.testing.assert_close(found / 255, to_input(pixels, view)["image"])
