"""The answer from the pixels of open units alone, by a second pass (not in the paper).

The gate masks a map, and a cell of that map has seen pixels far outside its unit: those of closed units still reach the
answer. Here the gate and the parts of a first pass are held, the pixels of closed units get the mean colour, in the
view and in the source that parts are cut from, and the network answers again. Given the mask and the boxes, no pixel of
a closed unit can change this answer.

B batch, K classes, N grid, S side of the view, S' side of the source.
"""

from typing import Any

from torch import Tensor, nn

from scapnet.model import SCAPNet, SCAPNetOutput
from scapnet.modules.ggau import mask_pixels
from scapnet.network import Network


def no_closed_units(model: Network) -> str | None:
    """Why a network closes no units whose pixels could be masked; None where it does."""
    if not isinstance(model, SCAPNet):
        name = type(model).__name__
        return f"pixels of closed units can be masked for SCAPNet only; this model's network is {name}"
    if model.gate is None:
        return "this model has no gate, so no unit of a photo is closed whose pixels could be masked"
    if model.gate.mode == "soft":
        return "this model's gate is soft: it weighs units and closes none whose pixels could be masked"
    if model.mask == "none" or not model.gate.mask_in_evaluation:
        return (
            "this model's gate only scores the parts and masks nothing in evaluation, so its answers rest on whole "
            "photos; there are no closed units whose pixels could be masked"
        )
    return None


def check_mask_pixels(model: Network, tta: bool = False, some_parts: bool = False, set_before: bool = False) -> None:
    """Refuse a model whose answers have no closed units, and what does not go with masked pixels.

    Args:
        model: a network.
        tta: whether answers are averaged with those for mirrored photos, whose gate may open what is closed here.
        some_parts: whether the parts of some photos only are looked at, which an answer to closed pixels decides.
        set_before: whether a threshold or calibration is used, which were set on answers to whole photos.

    Raises:
        ValueError: one of the last three, or the reason of `no_closed_units`.
    """
    if (reason := no_closed_units(model)) is not None:
        raise ValueError(reason)
    if tta:
        raise ValueError("the mirrored photo closes other units, so tta does not go with masked pixels; leave it out")
    if some_parts:
        raise ValueError("pixels of closed units are masked with all parts only; leave the choice of parts at all")
    if set_before:
        raise ValueError(
            "the model's own threshold, error_rate and false_alarms were set on answers to whole photos, so they do "
            "not go with masked pixels; leave them out"
        )


def masked_views(image: Tensor, source: Tensor | None, output: Any) -> tuple[Tensor, Tensor | None]:
    """A view (B, 3, S, S) and its source (B, 3, S', S') without the pixels of the units that an output's gate closed.

    The view is made from the larger source, and a pixel at the edge of an open unit has a little of the closed pixels
    beside it. It is masked too, so that nothing in the view comes from a masked pixel of the source.
    """
    mask, cells = output.gate.mask, output.gate.features.shape[-2:]
    view = mask_pixels(image, mask, cells, margin=0 if source is None else 1)
    return view, None if source is None else mask_pixels(source, mask, cells)


def answer_from_open_pixels(
    net: nn.Module, image: Tensor, source: Tensor | None, index: Tensor | None, output: Any
) -> SCAPNetOutput:
    """The answer once the pixels of closed units are masked.

    Args:
        net: a (prepared) SCAPNet in evaluation mode, of which `check_mask_pixels` is true.
        image, source, index: as `SCAPNet.forward` takes them.
        output: its output for these, with all parts; where no unit is closed, it is the answer again.

    Returns:
        An output with the gate's decision and the parts of ``output``.
    """
    view, larger = masked_views(image, source, output)
    found: SCAPNetOutput = net(view, larger, index, held=output)
    return found
