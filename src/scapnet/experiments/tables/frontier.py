"""Accuracy against cost: the backbone at several sizes beside SCAPNet, all trained on as many pixels."""

from collections.abc import Callable

from scapnet.config import Config
from scapnet.experiments.recipes import OURS
from scapnet.experiments.rows import Changes, Row, Table, equal_pixels
from scapnet.experiments.tables.changes import PLAIN

SIZES = (160, 192, 224, 288)  # px, beside the recipes' own 128


def resize_for(size: int) -> Callable[[Config], int]:
    """The size that a photo is resized to before a view of ``size`` px is cut, in the recipe's proportion."""
    return lambda recipe: round(size * recipe.data.resize / recipe.data.size)


def at_size(size: int) -> Changes:
    """The plain backbone at another size, trained on as many pixels as the recipe's network."""
    view: Changes = {"data.size": size, "data.resize": resize_for(size), "data.source_size": None}
    return {**PLAIN, **view, "train.epochs": equal_pixels(size)}


FRONTIER = Table(
    "frontier",
    "Accuracy against cost",
    (
        # The runs of Table IV's "backbone, equal compute".
        Row("plain-long", "backbone, 128 px", {**PLAIN, "train.epochs": equal_pixels(128)}, only=OURS),
        *(Row(f"plain-{size}", f"backbone, {size} px", at_size(size), only=OURS) for size in SIZES),
        Row("full", "SCAPNet, 128 px view, six parts", only=OURS),
    ),
    columns=(),
    scores=("accuracy_main", "accuracy_parts", "kept"),
    costs=True,
    first=("plain-long", "full", "plain-192", "plain-224", "plain-160"),  # a curve of these is worth reading
)
