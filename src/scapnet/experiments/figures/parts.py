"""The paper's figures of photos: CAM beside the gate (Fig. 8), and parts with and without L_con (Fig. 10).

M parts of an image.
"""

from collections.abc import Iterable

import torch
from PIL import Image

from scapnet.backbones.cnn import evaluation_mode
from scapnet.data.sample import Sample
from scapnet.data.transforms import centre_view
from scapnet.experiments.figures.cam import activation
from scapnet.experiments.figures.style import GREEN, LIGHT_BLUE, RED
from scapnet.experiments.figures.tiles import colour_bar, swatches, table
from scapnet.model import SCAPNet
from scapnet.modules.scaps import PartSelection, PartsOutput
from scapnet.network import Network, NetworkOutput
from scapnet.plot import cam, draw_gate, draw_parts
from scapnet.predict import run_model
from scapnet.visualize import TILE, tile_boxes, to_tile

DROPPED, REPLACEMENT, SHARED = RED, GREEN, LIGHT_BLUE
LINE = 4


def _prediction(model: Network, output: NetworkOutput) -> str:
    probability, k = output.probs[0].max(-1)
    return f"{model.classes[int(k)]} ({float(probability):.0%})"


def cam_beside_gate(model: SCAPNet, plain: Network | None, samples: Iterable[Sample]) -> Image.Image:
    """Fig. 8: each photo, its class activation map, and what the gate keeps of it.

    Args:
        model: a network with a gate.
        plain: the plain backbone for the map; by default the map is that of the gated main branch.
        samples: photos with their labels.

    Raises:
        ValueError: the network has no gate.
    """
    if model.gate is None:
        raise ValueError("this network has no gate to show beside the class activation map; use one with a gate")
    rows, captions = [], []
    for sample in samples:
        gated = activation(model, [sample.image])
        other = activation(plain, [sample.image]) if plain is not None else gated
        assert gated.output.gate is not None
        tile, under = (to_tile(centre_view(sample.image, (net or model).view)[0]) for net in (model, plain))
        mask = gated.output.gate.mask[0].float().cpu()
        rows.append([tile, cam(under, other.cam[0], size=TILE), draw_gate(tile, mask, size=TILE)])
        answer = f"with gGAU: {_prediction(model, gated.output)}, {float(mask.mean()):.0%} of the grid kept"
        captions.append([f"true: {model.classes[sample.label]}", answer])
        captions[-1] += [f"plain: {_prediction(plain, other.output)}"] if plain is not None else []
    headers = ["input", f"CAM, {'plain backbone' if plain is not None else 'main branch'}", "gGAU"]
    picture = table(headers, rows, captions)
    colour_bar(picture, "CAM: least", "greatest value in the photo; grey under gGAU: closed by the gate")
    return picture


def windows(parts: PartsOutput, i: int = 0) -> list[tuple[int, ...]]:
    """The M chosen windows of image i as (scale, box in millionths), comparable between two networks."""
    boxes = (parts.boxes[i].double() * 1e6).round().long().tolist()
    return [(int(scale), *box) for scale, box in zip(parts.scales[i], boxes, strict=True)]


def part_colours(parts: PartsOutput, other: PartsOutput, odd: str, i: int = 0) -> list[str]:
    """A colour for each of the M parts of image i: SHARED if ``other`` chose the same window, else ``odd``."""
    chosen = set(windows(other, i))
    return [SHARED if window in chosen else odd for window in windows(parts, i)]


def parts_with_and_without(model_with: SCAPNet, model_without: SCAPNet, samples: Iterable[Sample]) -> Image.Image:
    """Fig. 10: the parts of each scale, on the left without L_con in training, on the right with it.

    Red marks parts chosen only without L_con, green those chosen only with it, blue those chosen by both. If windows
    overlap, the one with the higher score is drawn outside.

    Raises:
        ValueError: a network has no parts, or the windows of the two cannot be compared.
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
        answers = f"without L_con: {_prediction(model_without, left)}    with L_con: {_prediction(model_with, right)}"
        captions.append([f"true: {model_with.classes[sample.label]}", answers])
    headers = [f"without L_con: scale {u}" for u in _scales(first)] + [
        f"with L_con: scale {u}" for u in _scales(second)
    ]
    picture = table(["input", *headers], rows, captions, (1, 1 + len(_scales(first))))
    meaning = ("only without L_con", "only with L_con", "with and without")
    swatches(picture, dict(zip(meaning, (DROPPED, REPLACEMENT, SHARED), strict=True)))
    return picture


def _comparable(*models: SCAPNet) -> list[PartSelection]:
    """The networks' selections, if their windows are of the same grid over the same view."""
    found = [model.selection for model in models if model.selection is not None]
    if len(found) < len(models):
        raise ValueError("both networks must choose parts; use two that were trained with SCAPS")
    if len({(s.grid, model.view.size, model.view.resize) for s, model in zip(found, models, strict=True)}) > 1:
        raise ValueError(
            "the two networks have different grids or views, so their windows cannot be compared; use one recipe"
        )
    return found


def _scales(selection: PartSelection) -> list[int]:
    """The scales that can have parts."""
    return [u for u, quota in enumerate(selection.keep, 1) if quota or selection.strategy == "top"]


def _by_scale(tile: Image.Image, parts: PartsOutput, colours: list[str], scales: list[int]) -> list[Image.Image]:
    """A tile per scale with its parts."""
    tiles = []
    for scale in scales:
        chosen = [m for m in range(len(colours)) if int(parts.scales[0, m]) == scale]
        boxes = parts.boxes[0, chosen].cpu()
        # Overlapping windows share edges, so each is drawn inside the one before; units only touch.
        steps = torch.arange(len(chosen)).clamp(max=3 if scale > 1 else 0)
        boxes[:, 2:] -= 2 * (steps[:, None] * LINE + 1) / TILE
        mine = [colours[m] for m in chosen]
        tiles.append(draw_parts(tile, tile_boxes(boxes), parts.scales[0, chosen], None, mine, LINE, TILE))
    return tiles
