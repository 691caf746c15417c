"""Tables of image tiles, with legends below them."""

from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw

from scapnet.data.images import to_photo
from scapnet.fonts import draw_text, font
from scapnet.plot.maps import palette
from scapnet.visualize import MARGIN, TILE

LINE, FOOT, GAP = 18, 28, 16


def table(
    headers: Sequence[str],
    rows: Sequence[Sequence[Image.Image]],
    captions: Sequence[Sequence[str]],
    groups: Sequence[int] = (),
) -> Image.Image:
    """Rows of tiles under column headers, with room for a legend at the bottom.

    Args:
        headers: one per column.
        rows: one tile per column.
        captions: lines above each row, the same number for all.
        groups: columns with extra space before them.

    Raises:
        ValueError: there are no rows.
    """
    if not rows:
        raise ValueError("there is no photo to show; pass at least one sample")
    lefts = [MARGIN + i * (TILE + MARGIN) + GAP * sum(group <= i for group in groups) for i in range(len(headers))]
    above = LINE * len(captions[0]) + MARGIN // 2
    size = lefts[-1] + TILE + MARGIN, MARGIN + LINE + len(rows) * (above + TILE + 2 * MARGIN) + FOOT
    picture = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(picture)
    for left, header in zip(lefts, headers, strict=True):
        draw.text((left, MARGIN), header, "black", font(14))
    y = 2 * MARGIN + LINE
    for tiles, lines in zip(rows, captions, strict=True):
        for number, line in enumerate(lines):
            draw_text(draw, (MARGIN, y + number * LINE), line, "#404040", picture.width - 2 * MARGIN)
        for left, tile in zip(lefts, tiles, strict=True):
            picture.paste(tile, (left, y + above))
        y += above + TILE + 2 * MARGIN
    return picture


def swatches(picture: Image.Image, meaning: Mapping[str, str]) -> None:
    """Draw a legend at the bottom; ``meaning`` maps text to colours."""
    draw = ImageDraw.Draw(picture)
    x, y = MARGIN, picture.height - FOOT + 6
    for text, colour in meaning.items():
        draw.rectangle((x, y, x + 13, y + 13), fill=colour, outline="black")
        draw.text((x + 20, y - 1), text, "black", font())
        x += 20 + round(draw.textlength(text, font())) + 24


def colour_bar(picture: Image.Image, least: str, greatest: str) -> None:
    """Draw the palette of `scapnet.plot.cam` at the bottom, with labels for its two ends."""
    draw = ImageDraw.Draw(picture)
    x, y = MARGIN, picture.height - FOOT + 6
    draw.text((x, y - 1), least, "black", font())
    x += round(draw.textlength(least, font())) + 6
    bar = to_photo(palette().T[:, None].expand(3, 14, 256)).resize((120, 14))
    picture.paste(bar, (x, y))
    draw.text((x + 126, y - 1), greatest, "black", font())
