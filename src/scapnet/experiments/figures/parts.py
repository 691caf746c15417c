"""The paper's figures of photos: CAM beside the gate (Fig. 8), parts without and with L_con (Fig. 10).

M parts of an image.
"""

from collections.abc import Iterable

import torch
from PIL import Image

from scapnet.backbones.cnn import evaluation_mode
from scapnet.data.sample import Sample
from scapnet.data.transforms import centre_view
from scapnet.experiments.figures.cam import activation, heat
from scapnet.experiments.figures.tiles import colour_bar, swatches, table
from scapnet.model import SCAPNet
from scapnet.modules.scaps import PartSelection, PartsOutput
from scapnet.network import Network, NetworkOutput
from scapnet.predict import run_model
from scapnet.visualize import TILE, draw_boxes, draw_gate, to_tile

# Okabe and Ito's red, green and light blue, which the colour-blind tell apart.
DROPPED, REPLACEMENT, AGREED = "#D55E00", "#009E73", "#56B4E9"
LINE = 4


def _says(model: Network, output: NetworkOutput) -> str:
    probability, k = output.probs[0].max(-1)
    return f"{model.classes[int(k)]} ({float(probability):.0%})"


def cam_beside_gate(model: SCAPNet, plain: Network | None, samples: Iterable[Sample]) -> Image.Image:
    """Fig. 8: each photo, its class activation map, and what the gate left of it.

    Args:
        model: a network with a gate.
        plain: the backbone alone, whose map is shown; by default that of the main branch behind the gate.
        samples: photos with their labels.

    Raises:
        ValueError: the network has no gate.
    """
    if model.gate is None:
        raise ValueError("this network has no gate to show beside the class activation map; give one that has")
    rows, captions = [], []
    for sample in samples:
        mine = activation(model, [sample.image])
        other = activation(plain, [sample.image]) if plain is not None else mine
        assert mine.output.gate is not None
        tile, under = (to_tile(centre_view(sample.image, (net or model).view)[0]) for net in (model, plain))
        mask = mine.output.gate.mask[0].float().cpu()
        rows.append([tile, heat(under, other.cam[0]), draw_gate(tile, mask)])
        said = f"gGAU's network: {_says(model, mine.output)}, {float(mask.mean()):.0%} of the grid kept"
        captions.append([f"true: {model.classes[sample.label]}", said])
        captions[-1] += [f"CAM's network: {_says(plain, other.output)}"] if plain is not None else []
    heads = ["input", f"CAM, {'plain backbone' if plain is not None else 'main branch'}", "gGAU"]
    picture = table(heads, rows, captions)
    colour_bar(picture, "CAM: least", "greatest of the photo; grey under gGAU: closed by the gate")
    return picture


def windows(parts: PartsOutput, i: int = 0) -> list[tuple[int, ...]]:
    """The chosen windows of image i, M of (scale, box in millionths): two networks' are equal where these are."""
    boxes = (parts.boxes[i].double() * 1e6).round().long().tolist()
    return [(int(scale), *box) for scale, box in zip(parts.scales[i], boxes, strict=True)]


def part_colours(parts: PartsOutput, other: PartsOutput, odd: str, i: int = 0) -> list[str]:
    """A colour for each part of image i, M: neutral where ``other`` chose the same window, ``odd`` where it did not."""
    chosen = set(windows(other, i))
    return [AGREED if window in chosen else odd for window in windows(parts, i)]


def parts_with_and_without(model_with: SCAPNet, model_without: SCAPNet, samples: Iterable[Sample]) -> Image.Image:
    """Fig. 10: the parts of each scale, left those of a network trained without L_con, right of one trained with it.

    Red is a part that the right one dropped, green what it took instead, blue what both chose. Where windows overlap,
    the better one is drawn outside.

    Raises:
        ValueError: a network without parts, or two whose windows cannot be compared.
    """
    first, second = _comparable(model_without, model_with)
    rows, captions = [], []
    for sample in samples:
        tile = to_tile(centre_view(sample.image, model_with.view)[0])
        with evaluation_mode(model_with), evaluation_mode(model_without):
            left, right = (run_model(model, [sample.image], [0])[0] for model in (model_without, model_with))
        assert left.parts is not None
        assert right.parts is not None
        shown = _by_scale(tile, left.parts, part_colours(left.parts, right.parts, DROPPED), _scales(first))
        shown += _by_scale(tile, right.parts, part_colours(right.parts, left.parts, REPLACEMENT), _scales(second))
        rows.append([tile, *shown])
        said = f"without L_con: {_says(model_without, left)}    with L_con: {_says(model_with, right)}"
        captions.append([f"true: {model_with.classes[sample.label]}", said])
    heads = [f"without L_con: scale {u}" for u in _scales(first)] + [f"with L_con: scale {u}" for u in _scales(second)]
    picture = table(["input", *heads], rows, captions, (1, 1 + len(_scales(first))))
    meaning = ("chosen without L_con, dropped with it", "chosen with L_con instead", "chosen by both")
    swatches(picture, dict(zip(meaning, (DROPPED, REPLACEMENT, AGREED), strict=True)))
    return picture


def _comparable(*models: SCAPNet) -> list[PartSelection]:
    """The networks' selections, if their windows are of the same grid over the same view."""
    found = [model.selection for model in models if model.selection is not None]
    if len(found) < len(models):
        raise ValueError("both networks must choose parts; give two that were trained with SCAPS")
    if len({(s.grid, model.view.size, model.view.resize) for s, model in zip(found, models, strict=True)}) > 1:
        raise ValueError("the two networks have other grids or views, so no window of one is a window of the other")
    return found


def _scales(selection: PartSelection) -> list[int]:
    """The scales that can have parts."""
    return [u for u, quota in enumerate(selection.keep, 1) if quota or selection.strategy == "top"]


def _by_scale(tile: Image.Image, parts: PartsOutput, colours: list[str], scales: list[int]) -> list[Image.Image]:
    """A tile for each scale with its parts."""
    tiles = []
    for scale in scales:
        mine = [m for m in range(len(colours)) if int(parts.scales[0, m]) == scale]
        boxes = parts.boxes[0, mine].cpu()
        # Windows that overlap share edges: each is drawn inside of the one before it. Units only touch.
        steps = torch.arange(len(mine)).clamp(max=3 if scale > 1 else 0)
        boxes[:, 2:] -= 2 * (steps[:, None] * LINE + 1) / TILE
        tiles.append(draw_boxes(tile, boxes, parts.scales[0, mine], colours=[colours[m] for m in mine], width=LINE))
    return tiles
