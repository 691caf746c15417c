"""Fig. 2: the network with the shape of every tensor, measured in a forward pass of one image.

B batch, C channels, H W map size, N grid, M parts, D feature size, K classes.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise

import torch
from PIL import Image, ImageDraw
from torch import Tensor, nn

from scapnet.backbones.cnn import evaluation_mode
from scapnet.cam import last_maps
from scapnet.fonts import font
from scapnet.model import SCAPNet

Shape = tuple[int, ...]
Point = tuple[float, float]
Box = tuple[float, float, float, float]  # x0, y0, x1, y1

# Column and row of each tensor, and the operation that computes it.
PLACES = {
    "image": (0, 0, "the view"),
    "stage-3 map": (1, 0, "stages 1 to 3"),
    "masked map": (4, 0, "times the mask"),
    "last map": (5, 0, "stage 4"),
    "features": (6, 0, "pool"),
    "logits": (8, 0, "classifier"),
    "pooled units": (2, 1, "mean of each unit"),
    "gate logits": (3, 1, "two small layers"),
    "mask": (4, 1, "P(keep) > 0.5"),
    "probs": (8, 1, "mean of both softmax"),
    "source": (0, 2, "the view, larger"),
    "windows": (2, 2, "mean of each larger window"),
    "scores": (3, 2, "gGAU's two layers"),
    "boxes": (4, 2, "the best windows"),
    "crops": (5, 2, "cut out and resized"),
    "part features": (6, 2, "sub-network"),
    "related features": (7, 2, "part relation"),
    "part logits": (8, 2, "part classifier"),
}
CHAINS = (
    ("image", "stage-3 map", "masked map", "last map", "features", "logits"),
    ("pooled units", "gate logits", "mask"),
    ("windows", "scores", "boxes", "crops", "part features", "related features", "part logits"),
)
# Tensors of each module, and its colour.
PANELS = {
    "main branch": (("stage-3 map", "masked map", "last map", "features", "logits"), "#ECECEC"),
    "gGAU": (("pooled units", "gate logits", "mask"), "#FCE8BF"),
    "SCAPS": (("windows", "scores", "boxes"), "#D3EAF8"),
    "sub-network": (("crops", "part features"), "#D2EBDD"),
    "PRM": (("related features",), "#F3DDE9"),
}
WIDTH, GAP_X, GAP_Y, EDGE = 246, 42, 104, 66  # width of a box; gaps between boxes; outer margin
INK = "#303030"


@contextmanager
def _watched(modules: Mapping[str, nn.Module | None]) -> Iterator[dict[str, list[tuple[Tensor, Tensor]]]]:
    """Collect the first input and the output of each call of some modules."""
    calls: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in modules}
    hooks = [
        module.register_forward_hook(lambda _, given, made, name=name: calls[name].append((given[0], made)))
        for name, module in modules.items()
        if module is not None
    ]
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()


def tensor_shapes(model: SCAPNet, size: int) -> dict[str, list[Shape]]:
    """The shape of each tensor in a forward pass of one image; scores have one per scale, windows one
    per scale above the first, whose windows are the pooled units.

    Args:
        model: any `SCAPNet`; modules that it lacks are left out.
        size: S, side of the view. At the model's own size, parts are cropped from its larger source view, if any.
    """
    device, larger = next(model.parameters()).device, model.view.source_size
    image = torch.zeros(1, 3, size, size, device=device)
    with_source = model.selection is not None and larger is not None and size == model.view.size
    source = torch.zeros(1, 3, larger or size, larger or size, device=device) if with_source else None
    names = ("gate", "classifier", "part_backbone", "part_classifier", "relation")
    modules = {name: getattr(model, name) for name in names} | {"fc1": getattr(model.gate, "fc1", None)}
    with evaluation_mode(model), torch.no_grad(), last_maps(model.backbone) as maps, _watched(modules) as calls:
        output = model(image, source)
    found: dict[str, Sequence[Tensor]] = {"image": [image], "source": [] if source is None else [source]}
    if output.gate is not None:
        found["stage-3 map"] = [calls["gate"][0][0]]
        found["pooled units"] = [given for given, _ in calls["fc1"][:1]]
        found["gate logits"] = [output.gate.logits]
        found["mask"] = [] if model.mask == "none" else [output.gate.mask]
        found["masked map"] = [output.gate.features] if model.mask == "stage3" else []
    found |= {"last map": maps[:1], "features": [calls["classifier"][0][0]], "logits": [output.logits]}
    if output.parts is not None:
        found["windows"] = [given for given, _ in calls["fc1"][1:]]  # of scales 2, 3, ...; scale 1 has the gate's
        found |= {"scores": output.parts.maps, "boxes": [output.parts.boxes], "part logits": [output.part_logits]}
        found["crops"] = [calls["part_backbone"][0][0]]
        found["part features"] = [calls["relation" if model.relation is not None else "part_classifier"][0][0]]
        found["related features"] = [made for _, made in calls["relation"]]
    found["probs"] = [output.probs]
    return {name: [tuple(tensor.shape) for tensor in tensors] for name, tensors in found.items() if tensors}


def shape_text(shape: Shape) -> str:
    """A shape measured with one image, written for a batch of B.

    >>> shape_text((6, 3, 224, 224))
    '6B x 3 x 224 x 224'
    """
    first = "B" if shape[0] == 1 else f"{shape[0]}B"
    return " x ".join([first, *map(str, shape[1:])])


def _places(model: SCAPNet, shapes: Mapping[str, list[Shape]]) -> dict[str, tuple[int, int, str]]:
    """Column, row and operation of each existing tensor, without empty columns and rows."""
    places = dict(PLACES)
    if "part logits" not in shapes:
        places["probs"] = (9, 0, "softmax")
    if "stage-3 map" not in shapes:
        places["last map"] = (5, 0, "all stages")
    elif model.mask == "stage4":
        places["last map"] = (5, 0, "stage 4 and mask")
    if model.gate is not None and model.gate.mode == "soft":
        places["mask"] = (4, 1, "P(keep)")
    places = {name: place for name, place in places.items() if name in shapes}
    columns, rows = (sorted({place[axis] for place in places.values()}) for axis in (0, 1))
    return {name: (columns.index(x), rows.index(y), made) for name, (x, y, made) in places.items()}


def _arrows(box: Mapping[str, Box]) -> Iterator[list[Point]]:
    """The arrows between the boxes of the existing tensors, as lines of points."""
    middle = {name: ((x0 + x1) / 2, (y0 + y1) / 2) for name, (x0, y0, x1, y1) in box.items()}
    ends = () if "part logits" in box else ("probs",)
    for chain in (CHAINS[0] + ends, *CHAINS[1:]):
        for one, other in pairwise([name for name in chain if name in box]):
            yield [(box[one][2], middle[one][1]), (box[other][0], middle[other][1])]
    for name in ("pooled units", "windows"):
        if name in box and "stage-3 map" in box:
            x = middle["stage-3 map"][0]
            yield [(x, box["stage-3 map"][3]), (x, middle[name][1]), (box[name][0], middle[name][1])]
    if "mask" in box:
        x, y = middle["masked map" if "masked map" in box else "last map"][0], middle["mask"][1]
        start = (x, box["mask"][1]) if x == middle["mask"][0] else (box["mask"][2], y)
        yield [start, (x, start[1]), (x, box["last map"][3])]
    if "part logits" in box:
        x = middle["probs"][0]
        yield [(x, box["logits"][3]), (x, box["probs"][1])]
        yield [(x, box["part logits"][1]), (x, box["probs"][3])]
        image = "source" if "source" in box else "image"
        x, below = middle["crops"][0], box["crops"][3] + 36
        yield [(middle[image][0], box[image][3]), (middle[image][0], below), (x, below), (x, box["crops"][3])]
    if "related features" in box:
        x, above = box["related features"][2] - 36, box["boxes"][1] - 54  # beside the panel's title
        yield [(middle["boxes"][0], box["boxes"][1]), (middle["boxes"][0], above), (x, above), (x, box["boxes"][1])]


def _draw_arrow(draw: ImageDraw.ImageDraw, points: list[Point]) -> None:
    draw.line(points, fill=INK, width=3, joint="curve")
    (x0, y0), (x, y) = points[-2:]
    dx, dy = (x > x0) - (x < x0), (y > y0) - (y < y0)
    side = 7
    back = (x - 14 * dx, y - 14 * dy)
    draw.polygon([(x, y), (back[0] + side * dy, back[1] + side * dx), (back[0] - side * dy, back[1] - side * dx)], INK)


def _panel_title(model: SCAPNet, name: str) -> str:
    """A module's name and size, without weights that it shares with the main branch."""
    owners = {
        "main branch": (model.backbone, model.classifier),
        "gGAU": (model.gate,),
        "sub-network": (model.part_backbone if model.part_backbone is not model.backbone else None,),
        "PRM": (model.relation,),
    }
    sizes = [p.numel() for owner in owners.get(name, ()) if owner is not None for p in owner.parameters()]
    if not sizes:
        return f"{name}, no own weights"
    return f"{name}, {sum(sizes) / 1e6:.2f}M" if sum(sizes) >= 1e4 else f"{name}, {sum(sizes) / 1e3:.1f}k"


def _draw_tensor(draw: ImageDraw.ImageDraw, box: Box, made_by: str, name: str, shapes: Sequence[Shape]) -> None:
    draw.rounded_rectangle(box, 12, "white", INK, 2)
    lines = [(made_by, 22, "#505050"), (name, 27, "black")] + [(shape_text(shape), 23, "#0050A0") for shape in shapes]
    y = (box[1] + box[3] - sum(size + 7 for _, size, _ in lines)) / 2
    for text, size, colour in lines:
        draw.text(((box[0] + box[2]) / 2, y), text, colour, font(size), anchor="ma")
        y += size + 7


def architecture(model: SCAPNet, size: int) -> Image.Image:
    """Fig. 2: the network's modules, the tensors between them, and their measured shapes.

    Args:
        model: any `SCAPNet`; modules that it lacks are left out.
        size: S, side of the view.
    """
    shapes = tensor_shapes(model, size)
    places = _places(model, shapes)
    height = 84 + 30 * max(map(len, shapes.values()))
    corner = {name: (EDGE + x * (WIDTH + GAP_X), EDGE + y * (height + GAP_Y)) for name, (x, y, _) in places.items()}
    box: dict[str, Box] = {name: (x, y, x + WIDTH, y + height) for name, (x, y) in corner.items()}
    right, bottom = (max(int(b[i]) for b in box.values()) for i in (2, 3))
    picture = Image.new("RGB", (right + EDGE // 2, bottom + EDGE + 34), "white")
    draw = ImageDraw.Draw(picture)
    for title, (names, colour) in PANELS.items():
        boxes = [box[name] for name in names if name in box]
        if boxes:
            x0, y0, x1 = min(b[0] for b in boxes) - 14, boxes[0][1] - 40, max(b[2] for b in boxes) + 14
            draw.rounded_rectangle((x0, y0, x1, boxes[0][3] + 14), 16, colour)
            draw.text((x0 + 14, y0 + 6), _panel_title(model, title), INK, font(26))
    for points in _arrows(box):
        _draw_arrow(draw, points)
    for name, (_, _, made_by) in places.items():
        _draw_tensor(draw, box[name], made_by, name, shapes[name])
    note = f"Shapes as measured on a view of {size} px, for a batch of B; M and k: weights in millions and thousands"
    draw.text((EDGE, picture.height - 36), note, INK, font(23))
    return picture
