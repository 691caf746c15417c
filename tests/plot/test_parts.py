"""Boxes, labels and marks."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageColor

from scapnet.plot import draw_marks, draw_parts
from scapnet.plot.canvas import COLOURS
from scapnet.plot.parts import _overlap

WHITE, BLACK = Image.new("RGB", (400, 400), "white"), Image.new("RGB", (400, 400))


def where(picture: Image.Image, colour: str) -> tuple[int, int, int, int]:
    """The box round all pixels of a colour."""
    ys, xs = np.nonzero((np.array(picture) == ImageColor.getrgb(colour)).all(-1))
    return int(xs.min()), int(ys.min()), int(xs.max()), int(ys.max())


@pytest.mark.parametrize("side", [100, 400, 2000])
def test_a_box_lies_where_its_part_is_at_any_size(side: int) -> None:
    factor = max(side, 320) / side
    found = draw_parts(Image.new("RGB", (side, side)), [[side / 4, 0, side / 2, side * 0.75]], [1])
    edges = np.array([side / 4, 0, side / 2 - 1, side * 0.75 - 1]) * factor
    assert where(found, COLOURS[0]) == pytest.approx(edges, abs=1.5 * factor)
    line = np.array(found)[:, int(side * factor * 0.375)]
    assert (line[: max(2, side // 160)] == ImageColor.getrgb(COLOURS[0])).all()


def test_colours_are_those_of_the_scales_or_the_given_ones() -> None:
    boxes = [[10 + 90 * i, 10, 80 + 90 * i, 80] for i in range(4)]
    found = draw_parts(BLACK, torch.tensor(boxes), torch.tensor([1, 2, 3, 4]))
    assert [where(found, colour)[0] // 90 for colour in COLOURS] == [0, 1, 2, 3]
    found = draw_parts(BLACK, boxes, colours=["red", "lime", "blue", "white"])
    assert [where(found, colour)[0] for colour in ("red", "lime", "blue", "white")] == [10, 100, 190, 280]


def test_the_first_part_is_on_top() -> None:
    found = draw_parts(BLACK, [[10, 10, 90, 90]] * 2, colours=["red", "blue"])
    assert found.getpixel((10, 50)) == (255, 0, 0)


def labels_of(boxes: Any, labels: list[str], side: int = 400) -> list[tuple[int, int, int, int]]:
    colours = [f"#{200 + i:02x}0000" for i in range(len(boxes))]
    picture = draw_parts(Image.new("RGB", (side, side)), boxes, None, labels, colours, width=1)
    return [where(picture, colour) for colour in colours]


def test_labels_do_not_cover_each_other_and_stay_in_the_picture() -> None:
    boxes = [[0, 0, 200, 200], [0, 0, 200, 200], [0, 0, 400, 400], [100, 0, 300, 200], [350, 350, 400, 400]] * 2
    picture = Image.new("RGB", (400, 400))
    colours = [f"#{200 + i:02x}0000" for i in range(10)]
    plain = draw_parts(picture, boxes, None, None, colours, 1)
    shown = draw_parts(picture, boxes, None, [f"part {i}" for i in range(10)], colours, 1)
    changed = np.array(plain) != np.array(shown)
    tags = [np.array(shown) == ImageColor.getrgb(colour) for colour in colours]
    places = []
    for tag in tags:
        ys, xs = np.nonzero(tag.all(-1) & changed.any(-1))
        places.append((int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1))
    assert all(x1 - x0 > 35 and y1 - y0 > 15 for x0, y0, x1, y1 in places)
    # A tag ends on the pixel on which the next one may begin.
    inner = [(x0 + 1, y0 + 1, x1 - 1, y1 - 1) for x0, y0, x1, y1 in places]
    assert not any(_overlap(one, other) for i, one in enumerate(inner) for other in inner[:i])


def test_a_long_label_is_shortened_and_a_hostile_one_is_one_line() -> None:
    ((x0, _, x1, _),) = labels_of([[0, 0, 9, 9]], ["name " * 99])
    assert x0 == 0
    assert 300 < x1 <= 400
    plain, hostile = (draw_parts(WHITE, [[0, 0, 99, 99]], labels=[text]) for text in (r"a\x1b[2J\nb", "a\x1b[2J\nb"))
    assert plain.tobytes() == hostile.tobytes()


@pytest.mark.parametrize("given", [{"scales": [1]}, {"labels": ["a"]}, {"colours": ["red"] * 3}])
def test_numbers_that_do_not_fit(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"there are 2 boxes and . (scales|labels|colours); give one for each box"):
        draw_parts(WHITE, [[0, 0, 1, 1]] * 2, **given)


def test_no_parts_are_an_empty_picture_and_inverted_boxes_none_either() -> None:
    assert draw_parts(WHITE, []).tobytes() == WHITE.tobytes()
    assert draw_parts(WHITE, [[50, 50, 40, 40]], [3]).size == WHITE.size


def test_marks_are_boxes_points_are_rings_and_nan_is_nothing() -> None:
    nan = float("nan")
    assert draw_marks(BLACK, [[nan] * 4]).tobytes() == BLACK.tobytes()
    assert where(draw_marks(BLACK, [[100, 110, 200, 220]]), "white") == (99, 109, 201, 221)
    ring = draw_marks(BLACK, [[50, 60, 50, 60]])
    assert where(ring, "white") == pytest.approx((46, 56, 54, 64), abs=1)
    assert ring.getpixel((50, 60)) == (0, 0, 0)
