"""Accuracy against cost: the backbone at several sizes beside SCAPNet, all trained on as many pixels."""

from collections.abc import Callable
from dataclasses import replace

from scapnet.config import Config
from scapnet.experiments.recipes import OURS, SMALL
from scapnet.experiments.rows import Changes, Row, Table, equal_pixels
from scapnet.experiments.tables.changes import PLAIN
from scapnet.experiments.tables.modules import TABLE4
from scapnet.experiments.tables.parts import TABLE9

SIZES = (160, 192, 224, 288)  # px, beside the recipes' own 128


def resize_for(size: int) -> Callable[[Config], int]:
    """The size that a photo is resized to before a view of ``size`` px is cut, in the recipe's proportion."""
    return lambda recipe: round(size * recipe.data.resize / recipe.data.size)


def at_size(size: int) -> Changes:
    """The plain backbone at another size, trained on as many pixels as the recipe's network."""
    view: Changes = {"data.size": size, "data.resize": resize_for(size), "data.source_size": None}
    return {**PLAIN, **view, "train.epochs": equal_pixels(size)}


def known(table: Table, name: str, label: str, only: tuple[str, ...] = OURS) -> Row:
    """A row of another table, whose runs are shared, with a label and data sets for this one."""
    (row,) = (row for row in table.rows if row.name == name)
    return replace(row, label=label, paper={}, note="", only=only)


EVERY = (*OURS, *SMALL)
CURVE = ("plain-long", *(f"plain-{size}" for size in SIZES))  # the plain backbones at equal training compute
DISTILLED: Changes = {"loss.distill": 1.0}
UNMASKED: Changes = {"model.gate.unmasked": 0.5, "model.gate.mask_in_evaluation": False}
AVERAGED = ("plain", "plain-b")  # rows for the average of two, which the picture leaves out
LOOKS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("one-stream", "one stream: the distilled main branch alone", ("distill.main",)),
    ("full-pool", "SCAPNet, branches weighed", ("full.pool",)),
    ("light-pool", "SCAPNet, 96 px view, branches weighed", ("light.pool",)),
    ("full-unsure", "SCAPNet, parts for unsure photos", ("full.main", "full")),
    ("distill-unsure", "SCAPNet distilled, parts for unsure photos", ("distill.main", "distill")),
    ("unmasked-unsure", "SCAPNet half unmasked, parts for unsure photos", ("unmasked.main", "unmasked")),
    ("then-192", "backbone, 128 px, then 192 px for unsure photos", ("plain-long", "plain-192")),
    ("then-224", "backbone, 128 px, then 224 px for unsure photos", ("plain-long", "plain-224")),
    ("160-then-224", "backbone, 160 px, then 224 px for unsure photos", ("plain-160", "plain-224")),
    ("160-then-full", "backbone, 160 px, then SCAPNet for unsure photos", ("plain-160", "full")),
)
BIRDS, FINCHES = ("large-birds",), ("small-finches",)
WEIGHED = {"full-pool": EVERY, "light-pool": SMALL}  # the data sets that have these rows
LIGHT: Changes = {  # at the cost of the backbone at 128 px; a view of 96 px has a map of 6 x 6 cells
    **{"data.size": 96, "data.resize": 108, "model.gate.grid": 6, "model.parts.keep": (0, 1), "model.parts.size": 80},
    **{"train.epochs": 16, "train.stage1_epochs": 2, "loss.act_ramp": (10.0, 16.0), "loss.cam": 1.0},
    "model.gate.unmasked": 0.5,
}
LIGHT_FINCHES: Changes = {  # the same with a window of half of the picture's side
    **{**LIGHT, "data.resize": 96, "model.parts.keep": (0, 0, 1)},
    **{"train.epochs": 28, "train.stage1_epochs": 4, "loss.act_ramp": (16.0, 28.0)},
}
WINDOWS = (  # of recipes with one part
    Row(
        "light",
        "SCAPNet, 96 px view, the part at 80 px",
        LIGHT,
        note="the scorer also learns where the main branch's class activation map sees the right class, and half of "
        "the images of a training batch are not masked",
        only=BIRDS,
    ),
    Row("light", "SCAPNet, 96 px view, the part at 80 px", LIGHT_FINCHES, only=FINCHES),
    Row("light-masked", "the same, all masked", {**LIGHT, "model.gate.unmasked": 0.0}, only=BIRDS),
    Row(
        "light-success",
        "all masked, success alone",
        {**LIGHT, "loss.cam": 0.0, "model.gate.unmasked": 0.0},
        note="without the class activation map; runs from before windows were compared by log odds, in one of which "
        "the scorer was sure of every window and learned nothing",
        only=BIRDS,
    ),
    Row("part-184", "SCAPNet, the part at 184 px", {"model.parts.size": 184}, only=BIRDS),
    Row("random", "SCAPNet, a random window", {"model.parts.strategy": "random", "loss.success": 0.0}, only=SMALL),
)
FRONTIER = Table(
    "frontier",
    "Accuracy against cost",
    (
        known(TABLE4, "plain-long", "backbone, 128 px", EVERY),
        *(Row(f"plain-{size}", f"backbone, {size} px", at_size(size), only=EVERY) for size in SIZES),
        known(TABLE4, "plain", "backbone, 128 px, as many epochs as SCAPNet"),
        known(TABLE4, "plain-b", "the same, another seed"),
        known(TABLE4, "plain-two", "these two averaged"),
        known(TABLE4, "fixed", "six fixed crops + PRM"),
        Row("distill", "SCAPNet, main branch distilled", DISTILLED, only=OURS),
        Row("unmasked", "SCAPNet, half unmasked", UNMASKED, only=OURS),
        known(TABLE9, "keep-120", "SCAPNet, three parts"),
        known(TABLE9, "keep-221", "SCAPNet, five parts"),
        replace(known(TABLE9, "keep-321", "SCAPNet, six parts"), only=("cub100",)),
        known(TABLE4, "full", "SCAPNet", EVERY),
        *WINDOWS,
        *(Row(name, label, cascade=names, only=WEIGHED.get(name, OURS)) for name, label, names in LOOKS),
    ),
    columns=(),
    costs=True,
    notes=(
        "SCAPNet's main branch has a view of 128 px where the row names no other.",
        "Distilled: the main branch also learns from the mean of both branches (weight 1, temperature 2).",
        "Branches weighed: how much each branch counts in the answer is set on the other half of the test images.",
        "Half unmasked: half of the images of a training batch are not masked, and none in evaluation.",
    ),
    first=("full", "plain-long", "plain-192", "plain-224", "plain-160", "distill", "unmasked"),
)
