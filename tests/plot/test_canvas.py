"""Images of any kind in, an RGB picture of the wanted size out."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from samples import painted
from scapnet.plot.canvas import LEAST, canvas, ink_on, letter_size, line_width


def test_every_kind_of_image_is_the_same_canvas_and_stays_as_it_is(tmp_path: Path) -> None:
    photo = painted(400, 500)
    photo.save(tmp_path / "a.png")
    pixels = np.array(photo)
    kinds: list[Any] = [photo, pixels, pixels / 255, torch.from_numpy(pixels).permute(2, 0, 1), tmp_path / "a.png"]
    kinds += [(tmp_path / "a.png").read_bytes(), photo.convert("RGBA")]
    for kind in kinds:
        paper = canvas(kind)
        assert np.array_equal(np.array(paper.picture), pixels)
        assert paper.scale == (1.0, 1.0)
    canvas(photo).picture.paste("red", (0, 0, 500, 400))
    assert np.array_equal(np.array(photo), pixels)


@pytest.mark.parametrize(("size", "expected"), [(None, (LEAST, 160)), (64, (64, 32)), (1000, (1000, 500)), (1, (1, 1))])
def test_small_images_are_enlarged_and_sizes_are_kept(size: int | None, expected: tuple[int, int]) -> None:
    paper = canvas(painted(50, 100), size)
    assert paper.picture.size == expected
    assert paper.corners([[0, 0, 100, 50]]) == [[0, 0, *map(float, expected)]]


def test_boxes_of_no_parts_and_of_a_wrong_shape() -> None:
    paper = canvas(painted(50, 100))
    assert paper.corners([]) == paper.corners(torch.zeros(0, 4)) == []
    for wrong in ([1, 2, 3, 4], [[1, 2, 3]], torch.zeros(1, 2, 4)):
        with pytest.raises(ValueError, match=r"boxes are \(M, 4\) x0, y0, x1, y1 in pixels of the image, not \("):
            paper.corners(wrong)
    with pytest.raises(ValueError, match="must be at least 1 pixel"):
        canvas(painted(9, 9), 0)


def test_lines_and_letters_grow_with_the_picture() -> None:
    small, large = Image.new("RGB", (320, 200)), Image.new("RGB", (4000, 3000))
    assert (line_width(small), line_width(large)) == (2, 25)
    assert [letter_size(small), letter_size(large)] == pytest.approx([13, 114], abs=1)


def test_letters_can_be_read_on_every_colour() -> None:
    assert [ink_on(colour) for colour in ("#E69F00", "#009E73", "white", "#0072B2", "black", "#401")] == [
        *("black", "black", "black"),
        *("white", "white", "white"),
    ]
