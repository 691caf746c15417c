"""Text in pictures, in any script that the machine has a font for; other characters are shown as their code points."""

import re
import shutil
import subprocess
import unicodedata
from collections.abc import Iterator
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont
from PIL.ImageFont import FreeTypeFont, Layout

from scapnet.terminal.console import printable

BUILT_IN = ""  # stands for Pillow's own font, which has little more than ASCII
# Fonts of Windows, macOS and Android with many scripts, for machines without fontconfig.
USUAL = (
    *("Arial Unicode.ttf", "arial.ttf", "msyh.ttc", "malgun.ttf", "msgothic.ttc", "Nirmala.ttc", "Nirmala.ttf"),
    *("LeelawUI.ttf", "ebrima.ttf", "seguisym.ttf", "PingFang.ttc", "AppleSDGothicNeo.ttc", "DroidSansFallback.ttf"),
    *("NotoSansCJK-Regular.ttc", "NotoSans-Regular.ttf", "DejaVuSans.ttf"),
)
COMMON = re.compile("arial|dejavusans|helvetica|liberationsans|notosans", re.IGNORECASE)
STYLED = re.compile("black|bold|condensed|italic|light|math|medium|mono|oblique|serif|thin", re.IGNORECASE)
NO_CHARACTER = "\U0010ffff"  # every font shows its missing glyph for it


@cache
def _load(path: str, size: float, layout: Layout | None = None) -> FreeTypeFont | None:
    if path == BUILT_IN:
        found = ImageFont.load_default(size)
        return found if isinstance(found, FreeTypeFont) else None  # a Pillow without FreeType
    try:
        return ImageFont.truetype(path, size, layout_engine=layout)
    except OSError:  # not there, or with glyphs of one size only
        return None


def _ink(path: str, character: str) -> tuple[Any, bytes]:
    font = _load(path, 24, Layout.BASIC)
    mask = font.getmask(character, "L") if font else None
    return (mask.size, bytes(mask)) if mask else ((), b"")


@cache
def covers(path: str, character: str) -> bool:
    """Whether a font draws a character as something else than its missing glyph."""
    ink = _ink(path, character)
    return any(ink[1]) and ink != _ink(path, NO_CHARACTER)


def _candidates(character: str) -> Iterator[str]:
    """Fonts that may have a character, the plainest first."""
    yield BUILT_IN
    if shutil.which("fc-list"):
        asked = ["fc-list", "--format", "%{file}\n", f":charset={ord(character):x}"]
        said = subprocess.run(asked, capture_output=True, text=True, errors="replace", check=False).stdout
        yield from sorted(said.splitlines(), key=_oddness)
    yield from USUAL


def _oddness(path: str) -> tuple[bool, bool, str]:
    """What fonts are sorted by: upright, regular and well-known ones come first."""
    name = Path(path).name
    return bool(STYLED.search(name)), not COMMON.search(name), path


@cache
def font_with(character: str) -> str | None:
    """The path of a font that has a character; None if this machine has none."""
    if unicodedata.category(character) in ("Cc", "Cn", "Co", "Cs"):
        return None
    return next((path for path in _candidates(character) if covers(path, character)), None)


def drawable(text: str) -> bool:
    """Whether this machine has fonts for all of a text."""
    return all(font_with(character) is not None for character in _inked(text))


def _inked(text: str) -> Iterator[str]:
    """The characters that need a glyph; spaces and joiners go with what is before them."""
    return (character for character in text if unicodedata.category(character) not in ("Cf", "Zs"))


def runs(text: str) -> list[tuple[str, str]]:
    """A line of text in pieces with one font each: all of it in one font where possible.

    Returns:
        Paths and pieces. A character that no font has is written as its code point, "9EBB" for example.
    """
    text = unicodedata.normalize("NFC", text)
    fonts = {character: font_with(character) for character in _inked(text)}
    for path in dict.fromkeys(fonts.values()):
        if path is not None and all(covers(path, character) for character in fonts):
            return [(path, text)]
    pieces, escaped = [(BUILT_IN, "")], False
    for character in text:
        path = fonts.get(character, pieces[-1][0])
        if unicodedata.combining(character) and not escaped and covers(pieces[-1][0], character):
            path = pieces[-1][0]
        # Two code points, or one and a letter, would look like another one.
        joint = "." if escaped and (path is None or character.isalnum()) else ""
        escaped = path is None
        path, piece = (path, character) if path is not None else (BUILT_IN, f"{ord(character):X}")
        if path == pieces[-1][0]:
            piece = pieces.pop()[1] + joint + piece
        pieces.append((path, piece))
    return [piece for piece in pieces if piece[1]] or pieces


class TextFont(FreeTypeFont):
    """Pillow's own font, and other fonts of the machine for what it lacks; for single lines of text.

    Args:
        size: in pixels.
    """

    def __init__(self, size: float) -> None:
        built_in = _load(BUILT_IN, size)
        assert built_in is not None
        super().__init__(BytesIO(built_in.font_bytes), size, layout_engine=built_in.layout_engine)

    def getlength(self, text: Any, *args: Any, **options: Any) -> float:
        """Width of a line in pixels."""
        pieces = ((self._font(path), piece) for path, piece in runs(text))
        return sum(FreeTypeFont.getlength(font, piece, *args, **options) for font, piece in pieces)

    def getbbox(self, text: Any, mode: str = "", *args: Any, **options: Any) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of a line's ink in pixels."""
        mask, (left, top) = self.getmask2(text, mode, *args, **options)
        return left, top, left + mask.size[0], top + mask.size[1]

    def getmask2(
        self,
        text: Any,
        mode: str = "",
        direction: str | None = None,
        features: list[str] | None = None,
        language: str | None = None,
        stroke_width: float = 0,
        anchor: str | None = None,
        *args: Any,
        **options: Any,
    ) -> Any:
        """The ink of a line, and where it begins from the place that ``anchor`` names; Pillow draws text by this."""
        pieces, style = runs(text), (direction, features, language)
        if {path for path, _ in pieces} == {BUILT_IN}:
            plain = "".join(piece for _, piece in pieces)
            return super().getmask2(plain, mode, *style, stroke_width, anchor, *args, **options)
        filled = options.get("stroke_filled", False)
        inks, x = [], 0.0  # each with its place from the left end of the baseline
        for path, piece in pieces:
            font = self._font(path)
            ink, (left, top) = FreeTypeFont.getmask2(font, piece, "L", *style, stroke_width, "ls", stroke_filled=filled)
            inks.append((ink, round(x) + left, top))
            x += FreeTypeFont.getlength(font, piece, "L", *style)
        return self._joined(inks, x, anchor or "la")

    def _font(self, path: str) -> FreeTypeFont:
        return (_load(path, self.size) if path != BUILT_IN else None) or self

    def _joined(self, inks: list[tuple[Any, int, int]], width: float, anchor: str) -> Any:
        x0, y0 = min(x for _, x, _ in inks), min(y for _, _, y in inks)
        x1, y1 = max(x + ink.size[0] for ink, x, _ in inks), max(y + ink.size[1] for ink, _, y in inks)
        canvas = Image.new("L", (x1 - x0, y1 - y0))
        for ink, x, y in inks:
            ImageDraw.Draw(canvas).draw.draw_bitmap((x - x0, y - y0), ink, 255)
        ascent, descent = self.getmetrics()
        across = {"l": 0.0, "m": width / 2, "r": width}[anchor[0]]
        down = {"a": ascent, "t": -y0, "m": (ascent - descent) / 2, "b": -y1, "d": -descent}.get(anchor[1], 0)
        return canvas.im, (x0 - round(across), y0 + round(down))


@cache
def font(size: float = 13) -> FreeTypeFont | ImageFont.ImageFont:
    """A font of any size in pixels, on every machine, whose text can be told apart in every script."""
    return ImageFont.load_default(size) if _load(BUILT_IN, size) is None else TextFont(size)


def fitted(text: str, width: float, size: float = 13) -> str:
    """A text that is no wider than ``width`` pixels: itself, or its beginning and its end with dots between."""
    shown, keep = text, len(text)
    while keep > 2 and font(size).getlength(shown) > width:
        keep -= 1
        shown = f"{text[: (keep + 1) // 2].rstrip()}...{text[len(text) - keep // 2 :].lstrip()}"
    return shown


def draw_text(
    draw: ImageDraw.ImageDraw, place: tuple[float, float], text: str, colour: str = "black", width: float | None = None
) -> None:
    """Write one line, with its left upper corner at a place, shortened to ``width`` pixels if need be."""
    line = printable(text)
    draw.text(place, line if width is None else fitted(line, width), colour, font())
