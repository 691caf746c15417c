"""Fig. 8 has a row for each photo, and the colours of Fig. 10 are the differences between two choices of parts."""

from typing import Any

import pytest
import torch
from PIL import Image, ImageColor

from samples import NO_MODULES, finches, leaves_unchanged, make
from scapnet.experiments.figures.parts import (
    DROPPED,
    REPLACEMENT,
    SHARED,
    cam_beside_gate,
    part_colours,
    parts_with_and_without,
)
from scapnet.experiments.figures.tiles import FOOT
from scapnet.model import SCAPNet
from scapnet.modules.boxes import window_boxes
from scapnet.modules.scaps import PartSelection, PartsOutput
from scapnet.visualize import MARGIN, TILE

RED, GREEN, BLUE = (ImageColor.getrgb(colour) for colour in (DROPPED, REPLACEMENT, SHARED))


def test_a_row_for_each_photo_beside_the_gate() -> None:
    model, samples = make(), finches(2)
    one, two = (cam_beside_gate(model, make(**NO_MODULES), samples[:n]) for n in (1, 2))
    assert one.width == two.width == MARGIN + 3 * (TILE + MARGIN)
    assert two.height - one.height > TILE
    with pytest.raises(ValueError, match="no gate"):
        cam_beside_gate(make(**NO_MODULES), None, samples)
    with pytest.raises(ValueError, match="at least one sample"):
        cam_beside_gate(model, None, [])


def test_figures_leave_the_networks_as_they_were() -> None:
    leaves_unchanged(lambda model: cam_beside_gate(model, None, finches(1)))
    leaves_unchanged(lambda model: parts_with_and_without(model, model, finches(1)))


class Fixed(PartSelection):
    """Chooses the windows of (scale, index) that it is told."""

    def __init__(self, *chosen: tuple[int, int]) -> None:
        super().__init__()
        self.chosen = chosen

    def forward(self, *given: Any) -> PartsOutput:
        parts = super().forward(*given)
        boxes = torch.stack([window_boxes(4, 4, 4, u, dtype=torch.float32)[i] for u, i in self.chosen])
        scales = torch.tensor([u for u, _ in self.chosen])
        return parts._replace(boxes=boxes[None], scales=scales[None], scores=torch.ones(1, len(scales)))


def choosing(*chosen: tuple[int, int]) -> SCAPNet:
    model = make()
    model.selection = Fixed(*chosen)
    return model


def coloured(picture: Image.Image, colour: tuple[int, ...]) -> set[int]:
    """The columns of tiles in which a colour is, the legend left out."""
    pixels = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8).view(picture.height, picture.width, 3)
    places = (pixels[:-FOOT] == torch.tensor(colour)).all(-1).any(0).nonzero().flatten()
    return {int(x) // (TILE + MARGIN + 5) for x in places}


def test_equal_networks_have_neither_red_nor_green() -> None:
    model, samples = make(), finches(3)
    picture = parts_with_and_without(model, make(), samples)
    assert coloured(picture, RED) == coloured(picture, GREEN) == set()
    assert coloured(picture, BLUE) == {1, 2, 3, 4, 5, 6}
    with pytest.raises(ValueError, match="different grids or views"):
        parts_with_and_without(model, make(gate__grid=3), samples)
    with pytest.raises(ValueError, match="must choose parts"):
        parts_with_and_without(model, make(**NO_MODULES), samples)


def test_red_and_green_are_the_differences_of_the_two_choices() -> None:
    without = choosing((1, 0), (1, 5), (1, 6), (2, 0), (2, 8), (3, 0))
    with_ = choosing((1, 6), (1, 0), (1, 9), (2, 8), (2, 0), (3, 3))
    left, right = (model(torch.zeros(1, 3, 64, 64)).parts for model in (without, with_))
    assert part_colours(left, right, DROPPED) == [SHARED, DROPPED, SHARED, SHARED, SHARED, DROPPED]
    assert part_colours(right, left, REPLACEMENT) == [SHARED, SHARED, REPLACEMENT, SHARED, SHARED, REPLACEMENT]
    # Unit 5 and the window of scale 2 at 5 begin at the same corner: they are two things.
    assert part_colours(left, choosing((2, 4)).eval()(torch.zeros(1, 3, 64, 64)).parts, DROPPED) == [DROPPED] * 6
    picture = parts_with_and_without(with_, without, finches(1))
    assert coloured(picture, RED) == {1, 3}
    assert coloured(picture, GREEN) == {4, 6}
    assert coloured(picture, BLUE) == {1, 2, 4, 5}
    top = picture.height - FOOT - MARGIN - TILE
    unit = MARGIN + TILE + MARGIN + 16 + TILE // 4  # unit 5 in the tile of scale 1: row 1, column 1
    assert picture.getpixel((unit + 20, top + TILE // 4 + 2)) == RED
