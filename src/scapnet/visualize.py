"""Pictures of what a network looked at: the gate, and the chosen parts of each scale.

M parts, N grid, R marks, S' side of the source.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import torch
from PIL import Image, ImageDraw
from torch import Tensor
from torchvision.ops import box_convert
from torchvision.transforms.v2 import functional as tv

from scapnet.checkpoint import from_pretrained
from scapnet.config import ViewConfig
from scapnet.data.broken import readable_samples
from scapnet.data.files import Listing, describe_skipped
from scapnet.data.images import UnreadableImage, to_photo
from scapnet.data.inputs import load_photo
from scapnet.data.sample import FineGrained, Sample
from scapnet.data.sources import expand
from scapnet.data.transforms import centre_view
from scapnet.engine import TorchEngine, best_device
from scapnet.fonts import draw_text, drawable
from scapnet.fonts import font as font  # users import it from here
from scapnet.modules.boxes import crop_parts, unit_edges
from scapnet.network import Network
from scapnet.outputs import check_file, writing
from scapnet.predict import NOTHING, run_views, view_of
from scapnet.terminal.console import make_console, say

# Okabe and Ito's colours, which the colour-blind tell apart: scale 1, 2, 3, 4.
COLOURS = ("#E69F00", "#56B4E9", "#CC79A7", "#009E73")
GOOD, BAD = "#006D4E", "#B03A00"
TILE = 224
MARGIN = 8
CAPTION = 38
LINE = 17
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".pdf")


def check_picture(path: Path) -> Path:
    """Check that a picture can be written; a name without a suffix gets ``.png``.

    Raises:
        ValueError: see `scapnet.outputs.check_file`.
    """
    return check_file(path, SUFFIXES, SUFFIXES[0])


def save_picture(picture: Image.Image, path: Path) -> None:
    """Write a picture in one step, in the format of the file's suffix."""
    with writing(path) as draft:
        picture.save(draft, Image.registered_extensions().get(path.suffix.lower(), "PNG"))


def scale_colour(scale: int) -> str:
    """The colour of a scale's boxes."""
    return COLOURS[(scale - 1) % len(COLOURS)]


def to_tile(source: Tensor) -> Image.Image:
    """A square view (3, S', S') uint8 as a tile."""
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
            score = f"{float(scores[m]):.2f}"
            draw.text((x0 + 4, y0 + 2), score, "white", font(11), stroke_width=1, stroke_fill="black")
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


def _crops(source: Tensor, boxes: Tensor, scales: Sequence[int]) -> list[Image.Image]:
    """The crops of one image, best first within each scale, framed in their scale's colour."""
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
    photo = view_of(sample.image, sample.path, model.view)
    said = run_views(TorchEngine(model), [photo], [0])
    view = to_tile(photo.source)
    tiles = [draw_marks(view, photo.frame.to_view(sample.marks))]
    crops: list[Image.Image] = []
    if said.boxes is not None and said.scales is not None and said.scores is not None:
        tiles[0] = draw_boxes(tiles[0], said.boxes[0].cpu(), said.scales[0], said.scores[0])
        crops = _crops(photo.source, said.boxes[0].cpu(), said.scales[0].tolist())
    if said.mask is not None:
        tiles.append(draw_gate(view, said.mask[0].float().cpu()))
    row = _side_by_side(tiles, crops)
    probability, k = said.probs[0].max(-1)
    # A number after a name in Arabic or Hebrew would go to its other side.
    answer = f"predicted ({float(probability):.0%}): {class_text(model.classes, int(k))}"
    right = truth and sample.label == int(k)
    name = f"true: {class_text(model.classes, sample.label)}" if truth else sample.path
    draw, width = ImageDraw.Draw(row), row.width - 2 * MARGIN
    draw_text(draw, (MARGIN, MARGIN), name, width=width)
    draw_text(draw, (MARGIN, MARGIN + LINE), answer, GOOD if right else BAD if truth else "black", width)
    return row


def class_text(classes: Sequence[str], label: int) -> str:
    """A class's name, after its number where the machine has no font for all of it."""
    name = str(classes[label])
    return name if drawable(name) else f"#{label} {name}"


def _side_by_side(tiles: Sequence[Image.Image], crops: Sequence[Image.Image]) -> Image.Image:
    """Tiles in a row, and crops of half their side two by two behind them, with room for a caption above."""
    step, half = TILE + MARGIN, TILE // 2
    width = len(tiles) * step + (len(crops) + 1) // 2 * (half + MARGIN) + MARGIN
    row = Image.new("RGB", (width, TILE + CAPTION + 2 * MARGIN), "white")
    for i, tile in enumerate(tiles):
        row.paste(tile, (MARGIN + i * step, MARGIN + CAPTION))
    for i, crop in enumerate(crops):
        x = MARGIN + len(tiles) * step + i // 2 * (half + MARGIN)
        row.paste(crop, (x, MARGIN + CAPTION + i % 2 * half))
    return row


def part_grid(model: Network, samples: Iterable[Sample], truth: bool = True, columns: int = 2) -> Image.Image:
    """Several photos, each as `part_row` shows it.

    Raises:
        ValueError: there are none.
    """
    rows = [part_row(model, sample, truth) for sample in samples]
    if not rows:
        raise ValueError(NOTHING)
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
        draw_text(draw, (x + 17, y - 1), f"scale {scale}")
        x += 84
    draw_text(draw, (x, y - 1), "grey: closed by the gate")


def show_parts(model: str, photos: Sequence[Path | str], out: Path, most: int = 24) -> Path:
    """Draw what a model looked at on the first ``most`` readable photos of files and folders.

    Returns:
        The picture's path.

    Raises:
        ValueError: a picture that cannot be written, before a model is loaded; no model, or no readable photo.
    """
    out = check_picture(out)
    listing, console = Listing(), make_console(stderr=True)
    files = expand(photos, listing)

    def samples() -> Iterator[Sample]:
        for file in files:
            try:
                yield Sample(load_photo(file), 0, str(file))
            except UnreadableImage as error:
                say(f"skipped: {error}", console)

    network = from_pretrained(model).to(best_device())
    save_picture(part_grid(network, islice(samples(), most), truth=False), out)
    if next(files, None) is not None:
        say(f"only the first {most} photos are drawn", console)
    for phrase in describe_skipped(listing.skipped):
        say(f"skipped: {phrase}", console)
    return out


def contact_sheet(data: FineGrained, count: int = 24, columns: int = 6) -> Image.Image:
    """Pictures of a data set, spread over its length, with their classes, annotated marks and objects' boxes.

    Raises:
        ValueError: none of them can be read.
    """
    picked = torch.linspace(0, len(data) - 1, min(count, len(data))).long().tolist()
    samples, unreadable = readable_samples(data, picked)
    if not samples:
        raise ValueError(f"none of the pictures can be read: {unreadable[0]}")
    columns = min(columns, len(samples))
    cell, line = TILE + MARGIN, 20
    size = (columns * cell + MARGIN, -(-len(samples) // columns) * (cell + line) + MARGIN)
    sheet, view = Image.new("RGB", size, "white"), ViewConfig(TILE, TILE)
    draw = ImageDraw.Draw(sheet)
    for place, sample in enumerate(samples):
        source, frame = centre_view(sample.image, view)
        x, y = MARGIN + place % columns * cell, MARGIN + place // columns * (cell + line)
        annotated = frame.to_view(torch.cat([sample.box[None], sample.marks]))
        sheet.paste(draw_marks(to_photo(source), annotated), (x, y))
        draw_text(draw, (x, y + TILE + 2), class_text(data.classes, sample.label), width=TILE)
    return sheet
