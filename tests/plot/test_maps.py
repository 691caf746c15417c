"""The gate and maps over an image, pixel by pixel."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from samples import painted
from scapnet.modules.boxes import unit_edges
from scapnet.plot import cam, draw_gate
from scapnet.plot.maps import palette


def gated(photo: Image.Image, mask: Any, view: tuple[int, int, int, int]) -> np.ndarray[Any, Any]:
    """The slow way: each pixel as its unit says, and as closed outside the view."""
    pixels, grey = np.array(photo), np.array(photo.convert("L"))
    found, x0, y0, n = np.empty_like(pixels), view[0], view[1], len(mask)
    columns, rows = (unit_edges(b - a, n) for a, b in ((view[0], view[2]), (view[1], view[3])))
    for y in range(photo.height):
        for x in range(photo.width):
            kept = [mask[r][c] for r in range(n) for c in range(n)
                    if rows[r] <= y - y0 < rows[r + 1] and columns[c] <= x - x0 < columns[c + 1]]  # fmt: skip
            found[y, x] = pixels[y, x] if kept == [1] else round(int(grey[y, x]) * 0.35)
    return found


@pytest.mark.parametrize("view", [None, (6, 3, 46, 33), (-10, -6, 50, 40)])
@pytest.mark.parametrize("grid", [2, 3])
def test_closed_units_are_grey_to_the_pixel(view: tuple[int, int, int, int] | None, grid: int) -> None:
    photo, mask = painted(36, 48), (torch.arange(grid * grid).view(grid, grid) % 2).float()
    found = np.array(draw_gate(photo, mask, view, size=48))
    assert np.array_equal(found, gated(photo, mask.tolist(), view or (0, 0, 48, 36)))


def test_a_soft_gate_is_between() -> None:
    white = Image.new("RGB", (40, 40), "white")
    shades = [draw_gate(white, [[share]], size=40).getpixel((20, 20)) for share in (0.0, 0.5, 1.0)]
    assert shades == [(89,) * 3, (172,) * 3, (255,) * 3]


def test_a_map_is_least_and_greatest_where_its_values_are() -> None:
    values = torch.full((4, 4), 0.5)
    values[0, 0], values[3, 3] = -2.0, 3.0
    picture = cam(Image.new("RGB", (224, 224), "black"), values, size=224)
    for place, colour in ((2, palette()[0]), (221, palette()[255])):
        assert picture.getpixel((place, place)) == pytest.approx([0.6 * v for v in colour.tolist()], abs=1)
    flat = cam(Image.new("RGB", (224, 224)), torch.zeros(4, 4), size=224)
    assert flat.getpixel((9, 9)) == flat.getpixel((200, 100)) == pytest.approx((5, 4, 19), abs=1)


def test_a_map_lies_over_its_view_only() -> None:
    photo = painted(60, 80)
    grey, found = (
        np.array(p)
        for p in (photo.convert("L").convert("RGB"), cam(photo, [[1, 2], [3, 4]], (10, 20, 50, 50), size=80))
    )
    changed = (grey != found).any(-1)
    assert changed[20:50, 10:50].all()
    changed[20:50, 10:50] = False
    assert not changed.any()
    assert np.array_equal(np.array(cam(photo, [[1, 2]], strength=0.0, size=80)), grey)


def test_the_palette_gets_brighter_step_by_step() -> None:
    luminance = (palette() * torch.tensor([0.2126, 0.7152, 0.0722])).sum(1)
    assert palette().shape == (256, 3)
    assert float(luminance.diff().min()) > -1  # of rounding
    assert float(luminance[0]) < 15
    assert float(luminance[-1]) > 230


@pytest.mark.parametrize("wrong", [[1.0], [[]], [[float("nan")]], torch.zeros(1, 2, 2)])
def test_what_is_not_a_map_is_refused(wrong: Any) -> None:
    for draw in (draw_gate, cam):
        with pytest.raises(ValueError, match="numbers in rows and columns"):
            draw(painted(9, 9), wrong)
    with pytest.raises(ValueError, match=r"as many rows as columns, not \(1, 2\)"):
        draw_gate(painted(9, 9), [[0, 1]])
