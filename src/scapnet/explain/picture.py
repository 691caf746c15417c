"""An explanation as a picture: the evidence of the parts, on the photo and as bars, beside similar training photos."""

from collections.abc import Sequence

from PIL import Image, ImageDraw
from torch import Tensor

from scapnet.data.images import to_photo
from scapnet.data.sample import FineGrained
from scapnet.explain.explanation import Box, Explanation, Neighbour, PartNeighbour
from scapnet.fonts import draw_text, font
from scapnet.visualize import MARGIN

# Okabe and Ito's blue and vermilion, which colour-blind people can tell apart.
FOR, AGAINST = "#0072B2", "#D55E00"
SIDE = 384  # of the photo
CROP = 92
NAME, NUMBER = 112, 40  # room for the name of a bar and for the number at its end
LINE = 22
GREY = "#666666"


def colour_of(share: float) -> str:
    """The colour of evidence for the answer, or of evidence for the other class."""
    return FOR if share >= 0 else AGAINST


def in_box(photo: Image.Image, box: Box, side: int) -> Image.Image:
    """The region of a photo in a box of its pixels, with its own proportions on a white square."""
    x0, y0, x1, y1 = box
    edges = round(x0), round(y0), max(round(x1), round(x0) + 1), max(round(y1), round(y0) + 1)
    return fitted_into(photo.crop(edges), side)


def fitted_into(photo: Image.Image, side: int) -> Image.Image:
    """A photo in a white square."""
    scale = side / max(photo.size)
    small = photo.resize((max(1, round(photo.width * scale)), max(1, round(photo.height * scale))))
    square = Image.new("RGB", (side, side), "white")
    square.paste(small, ((side - small.width) // 2, (side - small.height) // 2))
    return square


def draw_evidence(
    photo: Image.Image, boxes: Sequence[Box], shares: Sequence[float], side: int = SIDE, numbers: bool = True
) -> Image.Image:
    """A photo with its numbered parts; the colour shows which class each speaks for, the line width how strongly.

    Args:
        photo: the photo as the user sees it.
        boxes: of the parts, xyxy in pixels of the photo.
        shares: of the parts; those with more evidence are drawn last.
        side: of the white square that the photo is fitted into.
        numbers: write the number of each part beside its corner.
    """
    square = fitted_into(photo, side)
    scale = side / max(photo.size)
    left, top = (side - round(photo.width * scale)) // 2, (side - round(photo.height * scale)) // 2
    draw = ImageDraw.Draw(square)
    largest = max(map(abs, shares), default=0) or 1
    for m in sorted(range(len(boxes)), key=lambda m: abs(shares[m])):
        x0, y0, x1, y1 = (round(edge * scale) for edge in boxes[m])
        x0, x1, y0, y1 = x0 + left, max(x0 + 1, x1) + left - 1, y0 + top, max(y0 + 1, y1) + top - 1
        width = 1 + round(4 * abs(shares[m]) / largest)
        draw.rectangle((x0, y0, x1, y1), outline=colour_of(shares[m]), width=width)
    for m in range(len(boxes) if numbers else 0):
        # Each number has a place of its own, so that all stay legible if boxes share a corner.
        at = left + boxes[m][0] * scale + 4 + 17 * (m % 3), top + boxes[m][1] * scale + 4 + 17 * (m // 3)
        draw.rectangle((*at, at[0] + 14, at[1] + 14), fill=colour_of(shares[m]))
        draw.text((at[0] + 7, at[1] + 7), str(m + 1), "white", font(11), anchor="mm")
    return square


def draw_bars(found: Explanation, width: int) -> Image.Image:
    """The shares as bars, to the right for the answer and to the left for the other class, and their sum."""
    rows = [("whole picture", found.whole.share)]
    rows += [(f"part {m}, scale {part.scale}", part.share) for m, part in enumerate(found.parts, 1)]
    rows += [("bias", found.bias)] if found.bias else []
    rows.append(("difference", found.difference))
    picture = Image.new("RGB", (width, LINE * len(rows) + LINE + 12), "white")
    draw, largest = ImageDraw.Draw(picture), max(abs(share) for _, share in rows) or 1
    middle, reach = NAME + (width - NAME) // 2, (width - NAME) // 2 - NUMBER
    draw.text((middle - 6, 0), "for the other", AGAINST, font(), anchor="ra")
    draw.text((middle + 6, 0), "for the answer", FOR, font())
    for i, (name, share) in enumerate(rows):
        y = LINE * (i + 1) + (8 if i == len(rows) - 1 else 0)
        draw_text(draw, (0, y + 2), name, "black")
        end = middle + round(share / largest * reach)
        draw.rectangle((min(middle, end), y + 3, max(middle, end), y + LINE - 5), fill=colour_of(share))
        text, right = f"{100 * share:+.1f}", share >= 0
        draw.text((end + (4 if right else -4), y + 10), text, "black", font(12), anchor="lm" if right else "rm")
    draw.line((middle, LINE, middle, picture.height), fill=GREY)
    draw.line((0, picture.height - LINE - 5, width, picture.height - LINE - 5), fill="#CCCCCC")
    return picture


def draw_explanation(found: Explanation, photo: Tensor, training: FineGrained | None = None) -> Image.Image:
    """Draw an explanation.

    Args:
        found: the explanation; its neighbours are shown if it has any.
        photo: (3, H, W) uint8, as the user sees it.
        training: the training split of the neighbours.
    """
    image = to_photo(photo)
    shares = [part.share for part in found.parts]
    head = _head(found, draw_evidence(image, [part.box for part in found.parts], shares))
    blocks = [head]
    if training is not None and found.neighbours:
        blocks += _neighbour_rows(found, image, _Photos(training))
    picture = Image.new("RGB", (max(block.width for block in blocks), sum(block.height for block in blocks)), "white")
    y = 0
    for block in blocks:
        picture.paste(block, (0, y))
        y += block.height
    return picture


def _head(found: Explanation, tile: Image.Image) -> Image.Image:
    width = 2 * SIDE + 3 * MARGIN
    head = Image.new("RGB", (width, SIDE + 2 * MARGIN), "white")
    head.paste(tile, (MARGIN, MARGIN))
    draw, x = ImageDraw.Draw(head), SIDE + 2 * MARGIN
    draw_text(draw, (x, MARGIN), f"({found.probability:.1%}) {found.answer}", FOR, SIDE)
    draw_text(draw, (x, MARGIN + LINE), f"and not ({found.versus_probability:.1%}) {found.versus}", AGAINST, SIDE)
    y = MARGIN + 2 * LINE
    if found.best != found.answer:
        draw_text(draw, (x, y), f"the network's own answer: {found.best}", GREY, SIDE)
        y += LINE
    head.paste(draw_bars(found, SIDE), (x, y + MARGIN))
    if not found.parts:
        draw_text(draw, (x, SIDE - LINE), "this network has no parts", GREY, SIDE)
    return head


class _Photos:
    """Photos of a split, each read once; a photo that can no longer be read is grey."""

    def __init__(self, data: FineGrained) -> None:
        self.data, self.read = data, dict[int, Image.Image]()

    def get(self, sample: int) -> Image.Image:
        if sample not in self.read:
            try:
                self.read[sample] = to_photo(self.data[sample].image)
            except ValueError:
                self.read[sample] = Image.new("RGB", (64, 64), GREY)
        return self.read[sample]


def _pixels(box: Box, photo: Image.Image) -> Box:
    """Convert a box in [0, 1] to pixels of a photo."""
    return box[0] * photo.width, box[1] * photo.height, box[2] * photo.width, box[3] * photo.height


def _neighbour_rows(found: Explanation, image: Image.Image, photos: _Photos) -> list[Image.Image]:
    """The nearest training photos of both classes and, below, the parts most similar to each part in both classes."""
    count = max(len(side.photos) for side in found.neighbours)
    group = count * (CROP + 4)
    width = MARGIN + CROP + 2 * (2 * MARGIN + group) + MARGIN
    starts = [MARGIN + CROP + 2 * MARGIN, MARGIN + CROP + 4 * MARGIN + group]
    title = Image.new("RGB", (max(width, 2 * SIDE + 3 * MARGIN), 2 * LINE), "white")
    draw = ImageDraw.Draw(title)
    draw_text(draw, (MARGIN, 2), "nearest training photos, and the same part in photos of both classes (cosine)", GREY)
    for side, x, colour in zip(found.neighbours, starts, (FOR, AGAINST), strict=True):
        draw_text(draw, (x, LINE), side.name, colour, group)
    rows = [title, _row("the photo", image, "black", found, photos, starts, None, title.width)]
    for m in sorted(range(len(found.parts)), key=lambda m: -abs(found.parts[m].share)):
        part = found.parts[m]
        text = f"part {m + 1}: {100 * part.share:+.1f}"
        crop = in_box(image, part.box, CROP)
        rows.append(_row(text, crop, colour_of(part.share), found, photos, starts, m, title.width))
    return rows


def _row(
    text: str,
    crop: Image.Image,
    colour: str,
    found: Explanation,
    photos: _Photos,
    starts: Sequence[int],
    m: int | None,
    width: int,
) -> Image.Image:
    """One crop of the photo, or all of it where m is None, and its neighbours of both classes."""
    row = Image.new("RGB", (width, CROP + LINE), "white")
    draw = ImageDraw.Draw(row)
    row.paste(fitted_into(crop, CROP), (MARGIN, 0))
    draw_text(draw, (MARGIN, CROP + 2), text, colour, CROP + MARGIN)
    for side, x in zip(found.neighbours, starts, strict=True):
        near: Sequence[Neighbour | PartNeighbour] = side.photos if m is None else side.parts[m]
        for i, one in enumerate(near):
            photo = photos.get(one.sample)
            shown = in_box(photo, _pixels(one.box, photo), CROP) if isinstance(one, PartNeighbour) else photo
            row.paste(fitted_into(shown, CROP), (x + i * (CROP + 4), 0))
            draw_text(draw, (x + i * (CROP + 4), CROP + 2), f"{one.similarity:.2f}", GREY)
    return row
