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

from scapnet.checkpoint import from_pretrained
from scapnet.config import ViewConfig
from scapnet.data.broken import readable_samples
from scapnet.data.files import Listing, describe_skipped
from scapnet.data.images import UnreadableImage, to_photo
from scapnet.data.inputs import load_photo
from scapnet.data.resize import resize
from scapnet.data.sample import FineGrained, Sample
from scapnet.data.sources import expand
from scapnet.data.transforms import centre_view
from scapnet.engine import TorchEngine, best_device
from scapnet.fonts import draw_text, drawable
from scapnet.fonts import font as font  # users import it from here
from scapnet.modules.boxes import crop_parts
from scapnet.network import Network
from scapnet.outputs import check_file, writing
from scapnet.plot import draw_gate, draw_marks, draw_parts
from scapnet.plot.canvas import scale_colour
from scapnet.predict import NOTHING, run_views, view_of
from scapnet.terminal.console import make_console, say

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


def to_tile(source: Tensor) -> Image.Image:
    """A square view (3, S', S') uint8 as a tile."""
    return to_photo(resize(source, [TILE, TILE]))


def tile_boxes(boxes: Tensor) -> Tensor:
    """Parts (M, 4) cxcywh in [0, 1] of the view as xyxy in pixels of its tile."""
    corners: Tensor = TILE * box_convert(boxes, "cxcywh", "xyxy")
    return corners


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
    tiles = [draw_marks(view, TILE * photo.frame.to_view(sample.marks), TILE)]
    crops: list[Image.Image] = []
    if said.boxes is not None and said.scales is not None and said.scores is not None:
        boxes, scales = said.boxes[0].cpu(), said.scales[0].tolist()
        # Scores of larger windows would cover those of the units inside them.
        labels = [f"{score:.2f}" if scale == 1 else "" for score, scale in zip(said.scores[0], scales, strict=True)]
        tiles[0] = draw_parts(tiles[0], tile_boxes(boxes), scales, labels, size=TILE)
        crops = _crops(photo.source, boxes, scales)
    if said.mask is not None:
        tiles.append(draw_gate(view, said.mask[0], size=TILE))
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
        sheet.paste(draw_marks(to_photo(source), TILE * annotated, TILE), (x, y))
        draw_text(draw, (x, y + TILE + 2), class_text(data.classes, sample.label), width=TILE)
    return sheet
