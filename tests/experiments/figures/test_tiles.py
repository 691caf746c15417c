"""Tables of tiles: where each tile and each legend is."""

import pytest
import torch
from PIL import Image, ImageColor

from scapnet.experiments.figures.tiles import FOOT, GAP, LINE, colour_bar, swatches, table
from scapnet.plot.maps import palette
from scapnet.visualize import MARGIN, TILE

COLOURS = ("red", "lime", "blue")


def test_each_tile_is_under_its_header_and_groups_are_set_apart() -> None:
    tiles = [Image.new("RGB", (TILE, TILE), colour) for colour in COLOURS]
    picture = table(["a", "b", "c"], [tiles, tiles[::-1]], [["one"], ["two"]], groups=(2,))
    lower = picture.height - FOOT - MARGIN - TILE
    upper = lower - (LINE + MARGIN // 2) - TILE - 2 * MARGIN
    for i, extra in enumerate((0, 0, GAP)):
        x = MARGIN + i * (TILE + MARGIN) + extra
        for top, colour in ((upper, COLOURS[i]), (lower, COLOURS[2 - i])):
            corners = ((x, top), (x + TILE - 1, top + TILE - 1))
            assert {picture.getpixel(corner) for corner in corners} == {ImageColor.getrgb(colour)}
            assert {picture.getpixel(place) for place in ((x - 1, top), (x, top - 1))} == {(255, 255, 255)}
    assert picture.width == 3 * (TILE + MARGIN) + MARGIN + GAP


def test_a_table_without_photos_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one sample"):
        table(["a"], [], [])


def test_a_legend_has_every_colour() -> None:
    picture = Image.new("RGB", (600, 100), "white")
    swatches(picture, {"first": "#ff0000", "second": "#00ff00"})
    below = picture.crop((0, picture.height - FOOT, 600, 100))
    found = {colour for _, colour in below.getcolors(10_000) or []}
    assert {(255, 0, 0), (0, 255, 0), (0, 0, 0)} <= found
    assert picture.crop((0, 0, 600, 100 - FOOT)).getcolors() == [(600 * (100 - FOOT), (255, 255, 255))]


def test_the_colour_bar_runs_through_the_palette() -> None:
    picture = Image.new("RGB", (600, 100), "white")
    colour_bar(picture, "low", "high")
    pixels = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8).view(100, 600, 3).int()
    line = pixels[100 - FOOT + 13]
    ends = [(line - colour).abs().sum(-1).argmin() for colour in (palette()[2].int(), palette()[253].int())]
    assert 100 < int(ends[1] - ends[0]) <= 120
