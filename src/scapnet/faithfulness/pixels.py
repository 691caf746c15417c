"""What of an answer is left from the pixels of open units alone, and of as many random units.

N grid.
"""

from typing import Any

import torch
from torch import Tensor

from scapnet.data.sample import FineGrained
from scapnet.faithfulness.explanations import run
from scapnet.faithfulness.photos import some_views
from scapnet.masking import answer_from_open_pixels, no_closed_units
from scapnet.network import Network, as_module
from scapnet.terminal.console import ProgressBar


def shuffled(mask: Tensor, seed: int) -> Tensor:
    """A mask (1, N, N) with its values at random places."""
    order = torch.randperm(mask.numel(), generator=torch.Generator().manual_seed(seed))
    return mask.flatten()[order.to(mask.device)].view_as(mask)


@torch.no_grad()
def measure_pixels(
    model: Network, data: FineGrained, count: int, bar: ProgressBar | None = None
) -> dict[str, Any] | None:
    """How far the answers change once the pixels of closed units are masked; see `scapnet.masking`.

    Args:
        model: a network in evaluation mode, with its ``view``.
        data: the split.
        count: the largest number of its photos to use.
        bar: shows the progress.

    Returns:
        "images"; "kept", the mean share of the grid that is open; "probability" of the ordinary answer; and its
        "probability" and the share of photos with the "same" answer from "open" units, and from as many "random" ones.
        None for a network whose gate closes nothing.
    """
    if no_closed_units(model) is not None:
        return None
    bar = bar or ProgressBar(quiet=True)
    bar.start("masking pixels", min(count, len(data)))
    rows = list[tuple[float, ...]]()
    for batch in some_views(model, data, count):
        said = run(model, batch)
        label, mask = int(said.probs.argmax()), said.gate.mask
        row = [float(mask.mean()), float(said.probs.max())]
        for chosen in (mask, shuffled(mask, int(batch["index"][0]))):
            held = said._replace(gate=said.gate._replace(mask=chosen))
            given = batch["image"], batch.get("source"), batch["index"]
            probs = answer_from_open_pixels(as_module(model), *given, held).probs
            row += [float(probs[0, label]), float(probs.argmax() == label)]
        rows.append(tuple(row))
        bar.advance(1)
    if not rows:
        return None
    kept, before, *after = (sum(column) / len(rows) for column in zip(*rows, strict=True))
    names = ("open", after[:2]), ("random", after[2:])
    found = {name: {"probability": pair[0], "same": pair[1]} for name, pair in names}
    return {"images": len(rows), "kept": kept, "probability": before} | found
