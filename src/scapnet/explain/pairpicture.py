"""What distinguishes two classes, as a picture: the most telling and the most misleading parts on held-out photos."""

from collections.abc import Sequence

from PIL import Image, ImageDraw

from scapnet.data.images import to_photo
from scapnet.data.sample import FineGrained
from scapnet.explain.pair import ClassOfPair, PairExplanation, PhotoOfPair
from scapnet.explain.picture import AGAINST, FOR, GREY, LINE, draw_evidence, in_box
from scapnet.fonts import draw_text
from scapnet.visualize import MARGIN

TILE = 140
MOST = 5


def draw_pair(found: PairExplanation, data: FineGrained) -> Image.Image:
    """Draw the explanation of a pair of classes.

    Args:
        found: from `scapnet.explain.explain_pair`.
        data: the split of its photos.
    """
    rows = [_title(found)]
    for one in found.classes:
        rows.append(_figures(one))
        for heading, parts in (
            ("the most telling parts", found.telling(one.name, MOST)),
            ("the most misleading parts", found.misleading(one.name, MOST)),
        ):
            if parts:
                rows.append(_tiles(heading, parts, data))
    picture = Image.new("RGB", (max(row.width for row in rows), sum(row.height for row in rows) + MARGIN), "white")
    y = 0
    for row in rows:
        picture.paste(row, (0, y))
        y += row.height
    return picture


WIDTH = MARGIN + MOST * (TILE + MARGIN)


def _title(found: PairExplanation) -> Image.Image:
    row = Image.new("RGB", (WIDTH, 2 * LINE + MARGIN), "white")
    draw = ImageDraw.Draw(row)
    draw_text(draw, (MARGIN, MARGIN), found.answer, FOR, WIDTH // 2 - 2 * MARGIN)
    draw_text(draw, (WIDTH // 2, MARGIN), found.versus, AGAINST, WIDTH // 2 - MARGIN)
    text = f"{len(found.photos)} {found.split} photos; a box has the colour of the class that its part speaks for"
    draw_text(draw, (MARGIN, MARGIN + LINE), text, GREY, WIDTH - 2 * MARGIN)
    return row


def _figures(one: ClassOfPair) -> Image.Image:
    row = Image.new("RGB", (WIDTH, 2 * LINE + MARGIN), "white")
    draw = ImageDraw.Draw(row)
    draw.line((MARGIN, 2, WIDTH - MARGIN, 2), fill="#CCCCCC")
    draw_text(draw, (MARGIN, MARGIN), f"told apart, {one.right} of {one.photos} photos: {one.name}", "black", WIDTH)
    said = f"mean shares: whole picture {100 * one.whole_share:+.1f} (right in {one.whole_right})"
    if one.parts_right is not None:
        said += f", parts together {100 * one.parts_share:+.1f} (right in {one.parts_right})"
    else:
        said += "; this network has no parts"
    draw_text(draw, (MARGIN, MARGIN + LINE), said, "black", WIDTH - MARGIN)
    return row


def _tiles(heading: str, parts: Sequence[tuple[PhotoOfPair, int]], data: FineGrained) -> Image.Image:
    """Photos with one part drawn on each, and the part enlarged below."""
    row = Image.new("RGB", (WIDTH, 2 * TILE + 2 * LINE + 2 * MARGIN), "white")
    draw = ImageDraw.Draw(row)
    draw_text(draw, (MARGIN, 0), heading, GREY, WIDTH)
    for i, (photo, m) in enumerate(parts):
        x, part = MARGIN + i * (TILE + MARGIN), photo.explanation.parts[m]
        image = to_photo(data[photo.sample].image)
        row.paste(draw_evidence(image, [part.box], [part.share], TILE, numbers=False), (x, LINE))
        row.paste(in_box(image, part.box, TILE), (x, LINE + TILE + 4))
        share = f"{100 * part.share * photo.sign:+.1f} (scale {part.scale})"
        draw_text(draw, (x, LINE + 2 * TILE + 6), share, FOR if part.share >= 0 else AGAINST, TILE)
    return row
