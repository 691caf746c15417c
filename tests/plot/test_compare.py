"""Pictures side by side, and lines below them."""

from typing import Any

import numpy as np
import pytest
from PIL import Image

from scapnet.plot import caption, compare

RED, BLUE = Image.new("RGB", (400, 200), "red"), Image.new("RGB", (100, 100), "blue")


def count(picture: Image.Image, colour: list[int]) -> int:
    return int((np.array(picture) == colour).all(-1).sum())


@pytest.mark.parametrize("columns", [None, 1, 2, 5])
def test_all_images_are_there_in_one_height(columns: int | None) -> None:
    picture = compare([RED, BLUE, RED], ["one", "two", "three"], columns=columns)
    assert count(picture, [255, 0, 0]) == 2 * 400 * 200
    assert count(picture, [0, 0, 255]) == 200 * 200
    assert (picture.width > 1000) == (columns in (None, 5))


def test_titles_are_shortened_to_their_images_and_escaped() -> None:
    long = compare([BLUE, RED], ["a name that is too long for its picture, much too long", ""], size=100)
    row = np.array(long)[: long.height - 100 - 6]
    assert (row[:, :108] < 128).any()
    assert not (row[:, 112:] < 128).any()
    same = [compare([BLUE], [text]).tobytes() for text in ("a\x1b\n", r"a\x1b\n")]
    assert same[0] == same[1]


def test_titles_have_colours() -> None:
    assert count(compare([BLUE], ["IIII"], ["red"]), [255, 0, 0]) > 10
    assert count(compare([BLUE], ["IIII"]), [255, 0, 0]) == 0


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (([],), "nothing to compare"),
        (([RED], ["a", "b"]), "1 images and 2 titles"),
        (([RED], ["a"], ["red", "blue"]), "1 images and 2 colours"),
        (([RED], (), None, 0), "nothing to compare"),
    ],
)
def test_what_cannot_be_compared(given: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        compare(*given)


def test_captions_are_below_the_picture() -> None:
    found = caption(RED, ["first", "second"], ["lime", None])
    assert found.width == RED.width
    assert np.array_equal(np.array(found)[:200], np.array(RED))
    assert count(found, [0, 255, 0]) > 50
    below = np.array(found)[200:].min(-1) < 100
    assert below[: len(below) // 2].any()
    assert below[len(below) // 2 :].any()
