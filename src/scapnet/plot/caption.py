"""Lines of text below a picture."""

from collections.abc import Sequence

from PIL import Image, ImageDraw

from scapnet.fonts import fitted, font
from scapnet.plot.canvas import letter_size
from scapnet.terminal.console import printable


def caption(
    picture: Image.Image, lines: Sequence[str], swatches: Sequence[str | None] = (), letters: float | None = None
) -> Image.Image:
    """Write lines below a picture, in any script, shortened to its width.

    Args:
        picture: it stays as it is.
        lines: of text.
        swatches: the colour of a square before each line, as Pillow names it; None for none.
        letters: their size in pixels; by default it grows with the picture.
    """
    letters = letters or letter_size(picture)
    margin, step = round(letters / 2), round(1.5 * letters)
    found = Image.new("RGB", (picture.width, picture.height + len(lines) * step + margin), "white")
    found.paste(picture, (0, 0))
    draw = ImageDraw.Draw(found)
    for i, (line, colour) in enumerate(zip(lines, swatches or [None] * len(lines), strict=True)):
        x, y = margin, picture.height + (i + 0.5) * step
        if colour is not None:
            half = letters / 2.4
            draw.rectangle((x, y - half, x + 2 * half, y + half), fill=colour)
            x += round(1.3 * letters)
        text = fitted(printable(line), picture.width - x - margin, letters)
        draw.text((x, y), text, "black", font(letters), anchor="lm")
    return found
