"""Pictures of what a network looked at: the gate, and the chosen parts of each scale."""

from collections.abc import Sequence

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torchvision.ops import box_convert
from torchvision.transforms.v2 import functional as tv

from scapnet.config import ViewConfig
from scapnet.data.broken import sort_out
from scapnet.data.images import to_photo
from scapnet.data.sample import FineGrained, Sample
from scapnet.data.transforms import centre_view
from scapnet.modules.boxes import crop_parts, unit_edges
from scapnet.network import Network, NetworkOutput
from scapnet.predict import predict_images, run_model

# Okabe and Ito's colours, which the colour-blind tell apart: scale 1, 2, 3, 4.
COLOURS = ("#E69F00", "#56B4E9", "#CC79A7", "#009E73")
TILE = 224
MARGIN = 8
CAPTION = 38


def font(size: int = 13) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own scalable font, which is on every machine."""
    return ImageFont.load_default(size)


def scale_colour(scale: int) -> str:
    """The colour of a scale's boxes."""
    return COLOURS[(scale - 1) % len(COLOURS)]


def to_tile(source: Tensor) -> Image.Image:
    """A square view (3, S, S) uint8 as a tile."""
    return to_photo(tv.resize(source, [TILE, TILE], antialias=True))


def draw_gate(tile: Image.Image, mask: Tensor) -> Image.Image:
    """Grey out and darken the units (N, N) that the gate closed; a soft gate's units in proportion."""
    grid = mask.shape[0]
    shade = tile.convert("L").point(lambda value: value * 0.35).convert("RGB")
    edges = unit_edges(tile.width, grid)
    weight = Image.new("L", tile.size)
    draw = ImageDraw.Draw(weight)
    for row in range(grid):
        for column in range(grid):
            box = (edges[column], edges[row], edges[column + 1] - 1, edges[row + 1] - 1)
            draw.rectangle(box, fill=round(255 * float(mask[row, column])))
    return Image.composite(tile, shade, weight)


def draw_boxes(
    tile: Image.Image,
    boxes: Tensor,
    scales: Tensor,
    scores: Tensor | None = None,
    colours: Sequence[str] | None = None,
    width: int = 2,
) -> Image.Image:
    """Draw parts (M, 4) cxcywh in [0, 1], the first one last, in the colour of their scale or one of their own each."""
    tile = tile.copy()
    draw = ImageDraw.Draw(tile)
    corners = (box_convert(boxes, "cxcywh", "xyxy") * tile.width).tolist()
    for m in reversed(range(len(corners))):
        x0, y0, x1, y1 = corners[m]
        scale = int(scales[m])
        inset = scale - 1  # boxes of several scales share edges: each scale keeps a line of its own
        edges = (x0 + inset, y0 + inset, x1 - 1 - inset, y1 - 1 - inset)
        draw.rectangle(edges, outline=colours[m] if colours is not None else scale_colour(scale), width=width)
        if scores is not None and scale == 1:
            draw.text(
                (x0 + 4, y0 + 2),
                f"{float(scores[m]):.2f}",
                fill="white",
                font=font(11),
                stroke_width=1,
                stroke_fill="black",
            )
    return tile


def draw_marks(tile: Image.Image, marks: Tensor) -> Image.Image:
    """Draw annotated marks (R, 4) xyxy in [0, 1] as thin white boxes, points as rings; rows of NaN are none."""
    tile = tile.copy()
    draw = ImageDraw.Draw(tile)
    for x0, y0, x1, y1 in (marks[~marks.isnan().any(1)] * tile.width).tolist():
        if (x0, y0) == (x1, y1):
            draw.ellipse((x0 - 4, y0 - 4, x0 + 4, y0 + 4), outline="white", width=2)
        else:
            draw.rectangle((x0 - 1, y0 - 1, x1 + 1, y1 + 1), outline="white")
    return tile


def _strip(source: Tensor, output: NetworkOutput, i: int) -> list[Image.Image]:
    """The crops of one image, best first within each scale, framed in their scale's colour."""
    assert output.parts is not None
    boxes, scales = output.parts.boxes[i].cpu(), output.parts.scales[i].tolist()
    crops = crop_parts(source[None].float(), boxes[None], TILE // 2 - 4)
    tiles = []
    for crop, scale in zip(crops.round().clamp(0, 255).to(torch.uint8), scales, strict=True):
        tile = Image.new("RGB", (TILE // 2, TILE // 2), scale_colour(scale))
        tile.paste(to_photo(crop), (2, 2))
        tiles.append(tile)
    return tiles


def part_row(model: Network, sample: Sample, truth: bool = True) -> Image.Image:
    """One photo as a row: the view with its parts, the gate, and the crops; the true and the predicted class.

    Args:
        model: with its ``classes`` and ``view``.
        sample: its marks, if it has any, are drawn thin and white.
        truth: whether the sample's label is known.
    """
    output, _ = run_model(model, [sample.image], [0])
    answer = predict_images(model, [sample.image], [sample.path], top=1)[0]
    source, frame = centre_view(sample.image, model.view)
    view = to_tile(source)
    tiles = [draw_marks(view, frame.to_view(sample.marks))]
    if output.gate is not None:
        tiles.append(draw_gate(view, output.gate.mask[0].float().cpu()))
    crops: list[Image.Image] = []
    if output.parts is not None:
        parts = output.parts
        tiles[0] = draw_boxes(tiles[0], parts.boxes[0].cpu(), parts.scales[0], parts.scores[0])
        crops = _strip(source, output, 0)
    columns = (len(crops) + 1) // 2
    width = len(tiles) * (TILE + MARGIN) + columns * (TILE // 2 + MARGIN) + MARGIN
    row = Image.new("RGB", (width, TILE + CAPTION + 2 * MARGIN), "white")
    for i, tile in enumerate(tiles):
        row.paste(tile, (MARGIN + i * (TILE + MARGIN), MARGIN + CAPTION))
    for i, crop in enumerate(crops):
        x = MARGIN + len(tiles) * (TILE + MARGIN) + (i // 2) * (TILE // 2 + MARGIN)
        row.paste(crop, (x, MARGIN + CAPTION + (i % 2) * (TILE // 2)))
    _caption(row, model, sample, answer.names[0], answer.probabilities[0], truth)
    return row


def _caption(row: Image.Image, model: Network, sample: Sample, name: str, probability: float, truth: bool) -> None:
    draw = ImageDraw.Draw(row)
    said = f"predicted: {name} ({probability:.0%})"
    right = truth and model.classes[sample.label] == name
    colour = "#006D4E" if right else "#B03A00" if truth else "black"
    draw.text((MARGIN, MARGIN), f"true: {model.classes[sample.label]}" if truth else sample.path, "black", font())
    draw.text((MARGIN, MARGIN + 17), said, colour, font())


def part_grid(model: Network, samples: Sequence[Sample], truth: bool = True, columns: int = 2) -> Image.Image:
    """Several photos, each as `part_row` shows it."""
    rows = [part_row(model, sample, truth) for sample in samples]
    columns = min(columns, len(rows))
    width, height = rows[0].size
    picture = Image.new("RGB", (columns * width, -(-len(rows) // columns) * height + 24), "white")
    for i, row in enumerate(rows):
        picture.paste(row, ((i % columns) * width, (i // columns) * height))
    if model.config.parts.enabled:
        _legend(picture, len(model.config.parts.keep))
    return picture


def _legend(picture: Image.Image, scales: int) -> None:
    draw = ImageDraw.Draw(picture)
    x, y = MARGIN, picture.height - 20
    for scale in range(1, scales + 1):
        draw.rectangle((x, y, x + 12, y + 12), fill=scale_colour(scale))
        draw.text((x + 17, y - 1), f"scale {scale}", "black", font())
        x += 84
    draw.text((x, y - 1), "grey: closed by the gate", "black", font())


def contact_sheet(data: FineGrained, count: int = 24, columns: int = 6) -> Image.Image:
    """Pictures of a data set, spread over its length, with their classes, annotated marks and objects' boxes."""
    picked = torch.linspace(0, len(data) - 1, min(count, len(data))).long().tolist()
    samples, unreadable = sort_out(data, picked)
    if not samples:
        raise ValueError(f"none of the pictures can be read: {unreadable[0]}")
    count = len(samples)
    columns = min(columns, count)
    cell, line = TILE + MARGIN, 20
    sheet = Image.new("RGB", (columns * cell + MARGIN, -(-count // columns) * (cell + line) + MARGIN), "white")
    draw = ImageDraw.Draw(sheet)
    view = ViewConfig(TILE, TILE)
    for place, sample in enumerate(samples):
        source, frame = centre_view(sample.image, view)
        x, y = MARGIN + place % columns * cell, MARGIN + place // columns * (cell + line)
        annotated = frame.to_view(torch.cat([sample.box[None], sample.marks]))
        sheet.paste(draw_marks(to_photo(source), annotated), (x, y))
        draw.text((x, y + TILE + 2), str(data.classes[sample.label])[:34], "black", font())
    return sheet
