"""Names in any script can be told apart in a picture, with and without a font for them."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder  # type: ignore[import-untyped]
from fontTools.pens.ttGlyphPen import TTGlyphPen  # type: ignore[import-untyped]
from PIL import Image, ImageDraw, ImageFont

from scapnet import fonts
from scapnet.fonts import BUILT_IN, draw_text, drawable, fitted, font, runs
from scapnet.visualize import font as font_of_before

PAIRS = [
    ("麻雀", "喜鵲"),
    ("طائر", "غراب"),
    ("ประเทศ", "นกเงือก"),
    ("मोर", "कौआ"),
    ("🐦", "🦅"),
    ("가나", "다라"),
    ("Жук", "Дятел"),
    ("Hä", "Hü"),
    ("鸟 1", "鸟 2"),
]


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    """What fonts the machine has is asked anew by each test."""
    for cached in (fonts.font_with, fonts.covers, fonts._load):
        cached.cache_clear()
    yield
    for cached in (fonts.font_with, fonts.covers, fonts._load):
        cached.cache_clear()


def drawn(text: str, size: float = 13) -> np.ndarray:
    image = Image.new("L", (240, 40), 255)
    ImageDraw.Draw(image).text((2, 2), text, 0, font(size))
    return np.array(image)


def only(monkeypatch: pytest.MonkeyPatch, *paths: str) -> None:
    """Let the machine have no fonts but these and Pillow's own."""
    monkeypatch.setattr(fonts, "_candidates", lambda _: iter([BUILT_IN, *paths]))


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("bare", [False, True])
def test_names_can_be_told_apart(pair: tuple[str, str], bare: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if bare:
        only(monkeypatch)
    one, other = map(drawn, pair)
    width = 28 if pair[0][0] != pair[1][0] else 240
    assert (one[:, :width] != other[:, :width]).any()
    assert (one < 128).sum() > 10


def test_plain_text_looks_as_with_pillow_alone() -> None:
    for size in (11, 13, 26):
        image = Image.new("L", (240, 40), 255)
        ImageDraw.Draw(image).text((2, 2), "crow (97%)", 0, ImageFont.load_default(size))
        assert (drawn("crow (97%)", size) == np.array(image)).all()
        assert font(size).getlength("crow") == ImageFont.load_default(size).getlength("crow")


def test_code_points_stand_for_what_no_font_has(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch)
    assert runs("麻雀 (5%)") == [(BUILT_IN, "9EBB.96C0 (5%)")]
    assert runs("x麻y") == [(BUILT_IN, "x9EBB.y")]
    assert runs("\x1b\ud800") == [(BUILT_IN, "1B.D800")]
    assert runs("มี") == [(BUILT_IN, "E21.E35")]  # a mark above its letter
    assert runs("") == [(BUILT_IN, "")]
    assert (drawn("麻雀") == drawn("9EBB.96C0")).all()
    assert drawable("crow")
    assert not drawable("crow 麻雀")


def made(path: Path, characters: str) -> str:
    """A font whose glyphs are blocks, each of another height; its missing glyph is a low block."""
    glyphs, names = {}, [".notdef", *(f"u{ord(c):X}" for c in characters)]
    for i, name in enumerate(names):
        pen, top = TTGlyphPen(None), 50 + 100 * i
        pen.moveTo((50, 0))
        for point in ((50, top), (450, top), (450, 0)):
            pen.lineTo(point)
        pen.closePath()
        glyphs[name] = pen.glyph()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap({ord(c): f"u{ord(c):X}" for c in characters})
    builder.setupGlyf(glyphs)
    builder.setupHorizontalMetrics(dict.fromkeys(names, (500, 50)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupPost()
    builder.save(path)
    return str(path)


def test_a_font_of_the_machine_is_taken_for_what_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    birds, thai = made(tmp_path / "a.ttf", "麻雀e"), made(tmp_path / "b.ttf", "นก")
    only(monkeypatch, str(tmp_path / "gone.ttf"), birds, thai)
    assert runs("麻雀") == [(birds, "麻雀")]
    assert runs("e 麻") == [(birds, "e 麻")]  # one font for all of it where there is one
    assert runs("a: 麻 นก") == [(BUILT_IN, "a: "), (birds, "麻 "), (thai, "นก")]
    assert runs("麻x喜") == [(birds, "麻"), (BUILT_IN, "x559C")]
    assert drawable("a: 麻 นก")
    heights = [int((drawn(text, 20) < 128).any(1).sum()) for text in ("麻", "雀")]
    assert heights[0] < heights[1]
    assert font(20).getlength("a: 麻雀") == pytest.approx(font(20).getlength("a: ") + 20)


@pytest.mark.parametrize("anchor", ["la", "ls", "ma", "rs", "mm", "ld", "lt", "lb"])
def test_text_of_several_fonts_lies_where_its_anchor_says(
    anchor: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(monkeypatch, made(tmp_path / "a.ttf", "麻"))
    left, top, right, bottom = font(20).getbbox("x麻", anchor=anchor)
    plain = ImageFont.load_default(20).getbbox("xx", anchor=anchor)
    assert (right + left) / 2 == pytest.approx((plain[0] + plain[2]) / 2, abs=2)
    if anchor[1] in "asd":
        assert bottom == pytest.approx(plain[3], abs=1)  # both stand on the line
    assert {"t": top == 0, "b": bottom == 0}.get(anchor[1], True)


def test_fontconfig_knows_which_font_has_a_character(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("X-Bold.ttf", "Zed.ttf", "NotoSans-X.ttf", "NotoSans-Bold.ttf")

    class Done:
        def __init__(self, asked: list[str], **_: object) -> None:
            assert asked[-1] == ":charset=9ebb"
            self.stdout = "".join(f"{tmp_path / name}\n" for name in names)

    monkeypatch.setattr("scapnet.fonts.shutil.which", lambda _: "/usr/bin/fc-list")
    monkeypatch.setattr("scapnet.fonts.subprocess.run", Done)
    found = [Path(path).name for path in itertools.islice(fonts._candidates("麻"), 1, 5)]
    assert found == ["NotoSans-X.ttf", "Zed.ttf", "NotoSans-Bold.ttf", "X-Bold.ttf"]
    monkeypatch.setattr("scapnet.fonts.shutil.which", lambda _: None)
    assert list(fonts._candidates("麻")) == [BUILT_IN, *fonts.USUAL]


@pytest.mark.parametrize("width", [60, 100, 200])
def test_long_names_keep_their_beginning_and_end(width: int) -> None:
    name = "Red-winged Blackbird of the northern wetlands (Female/Juvenile)"
    shown = fitted(name, width)
    first, last = shown.split("...")
    assert name.startswith(first)
    assert name.endswith(last)
    assert abs(len(first) - len(last)) <= 3
    assert width - 15 < font().getlength(shown) <= width
    assert fitted("crow", width) == "crow"


def test_a_line_is_drawn_within_its_width_and_stays_one_line() -> None:
    image = Image.new("L", (300, 60), 255)
    draw_text(ImageDraw.Draw(image), (10, 5), "麻雀 and\nmore\x1b[31m " * 9, width=200)
    rows, columns = (np.flatnonzero((np.array(image) < 128).any(axis)) for axis in (1, 0))
    assert rows.min() >= 5
    assert rows.max() < 25
    assert columns.min() >= 10
    assert 190 < columns.max() <= 211


def test_the_font_is_found_where_users_import_it_from() -> None:
    assert font_of_before is font
    assert font_of_before(20).size == 20  # type: ignore[union-attr]
