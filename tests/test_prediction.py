"""A prediction shows itself."""

import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from samples import make, painted
from scapnet import Predictor
from scapnet.prediction import Prediction, Skipped


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(make())


def test_a_prediction_draws_its_photo_with_parts_and_gate(predictor: Predictor, tmp_path: Path) -> None:
    painted(200, 300).save(tmp_path / "a.png")
    with (tmp_path / "a.png").open("rb") as file:
        kinds: list[Any] = [predictor(tmp_path / "a.png"), predictor(file), predictor(painted(200, 300))]
    pictures = [found.plot(400) for found in kinds]  # the file is closed
    assert len({picture.tobytes() for picture in pictures}) == 1
    assert pictures[0].width > 800
    assert pictures[0].height > 400 * 2 / 3 + 6 * 13
    assert kinds[0].plot(300).width < pictures[0].width
    without = replace(kinds[0], gate=None, parts=())
    assert 400 < without.plot(400).width < 430


def test_no_gate_and_no_parts_are_drawn_too() -> None:
    modules = {"gate__enabled": False, "parts__enabled": False, "relation__enabled": False}
    found = Predictor(make(**modules))(painted(50, 60))
    assert np.array(found.plot()).std() > 10


def test_a_notebook_shows_the_picture_and_safe_text(predictor: Predictor) -> None:
    found = replace(
        predictor(painted(50, 60)), path='"><script>x</script>', names=("<b>", "a\n"), probabilities=(0.6, 0.4)
    )
    with Image.open(io.BytesIO(found._repr_png_())) as picture:
        assert picture.size == found.plot().size
    html = found._repr_html_()
    seen: list[str] = []

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            seen.append(tag)
            if tag == "img":
                assert dict(attrs)["alt"] == '"><script>x</script> with its parts and its gate'

    Tags().feed(html)
    assert sorted(set(seen)) == ["figcaption", "figure", "img", "table", "td", "tr"]
    assert re.search(r"60\.0%</td><td>&lt;b&gt;<", html)


def test_a_photo_that_is_gone_has_no_picture(predictor: Predictor, tmp_path: Path) -> None:
    painted(50, 60).save(tmp_path / "a.png")
    found = predictor(tmp_path / "a.png")
    (tmp_path / "a.png").unlink()
    with pytest.raises(ValueError, match="is not a readable image"):
        found.plot()
    assert found._repr_png_() is None
    assert "<img" not in found._repr_html_()
    assert found.names[0] in found._repr_html_()
    by_hand = Prediction("a", "x", ("x",), (1.0,), (), None)
    with pytest.raises(ValueError, match="has no photo to draw"):
        by_hand.plot()
    assert Skipped("a", "b").to_dict() == {"path": "a", "reason": "b"}
