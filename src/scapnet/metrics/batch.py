"""Figures of one batch of an evaluation.

B batch, K classes, M parts, D feature size.
"""

from typing import Any

import torch
from torch import Tensor

from scapnet.calibration import Prototypes
from scapnet.data.transforms import Views
from scapnet.metrics.gate import gate_overlap
from scapnet.metrics.localization import coverage, hit_rates
from scapnet.metrics.unknowns import evidence
from scapnet.network import NetworkOutput


def columns(output: NetworkOutput, batch: Views) -> dict[str, Tensor]:
    """Scores of one batch, (B,) each; with marks and parts also "marks", see `coverage`."""
    target = batch["target"]
    found = {
        "accuracy": (output.probs.argmax(1) == target).float(),
        "accuracy_main": (output.logits.argmax(1) == target).float(),
    }
    if (looked := getattr(output, "looked", None)) is not None:  # the others have no parts that could be scored
        kept = output.gate.mask.float().mean((1, 2)) if output.gate is not None else looked.float()
        return found | {"kept": kept, "looked": looked.float()}
    if output.part_logits is not None:
        found["accuracy_parts"] = (output.part_logits.float().mean(1).argmax(1) == target).float()
    if output.gate is not None:
        found["kept"] = output.gate.mask.float().mean((1, 2))
        found |= gate_overlap(output, batch["box"])
    # A baseline's parts are not windows of a gate's grid.
    if output.parts is not None and output.gate is not None and batch["marks"].shape[1]:
        cover = coverage(output, batch["marks"])
        together = cover[:, :, 0].nanmean(1)  # (B, 2)
        found |= hit_rates(output, batch["marks"])
        found |= {"covered": together[:, 0], "random_covered": together[:, 1], "marks": cover}
    return found


def kept_rows(output: Any, batch: Views, features: Tensor, prototypes: Prototypes | None) -> dict[str, Tensor]:
    """All that an evaluation keeps of a batch, a row per sample: `columns`, the answers and what they rest on.

    Args:
        output: a network's.
        batch: what it was given.
        features: (B, D) the inputs of the main branch's classifier.
        prototypes: how training photos look to the network.
    """
    row = columns(output, batch) | {"probs": output.probs}
    all_parts = getattr(output, "looked", None) is None
    if all_parts and output.part_logits is not None:
        row["main"] = output.logits.float().softmax(-1)
        row["parts"] = output.part_logits.float().mean(1).softmax(-1)
    seen = output.probs, output.part_logits if all_parts else None, features, prototypes
    row |= {"shown": evidence(*seen).to(output.probs.device)}
    row |= {"hidden": evidence(*seen, batch["target"]).to(output.probs.device)}
    row |= {key: batch[key] for key in ("index", "target", "broken")}
    return row if output.gate is None else row | {"masks": output.gate.mask}


def masked_columns(masked: NetworkOutput, output: NetworkOutput, target: Tensor) -> dict[str, Tensor]:
    """Scores (B,) of answers from open pixels alone, and whether each is the class of the ordinary output."""
    answer = masked.probs.argmax(1)
    found = {
        "masked_pixels_accuracy": answer == target,
        "masked_pixels_accuracy_main": masked.logits.argmax(1) == target,
        "masked_pixels_same": answer == output.probs.argmax(1),
    }
    if masked.part_logits is not None:
        found["masked_pixels_accuracy_parts"] = masked.part_logits.float().mean(1).argmax(1) == target
    return {key: value.float() for key, value in found.items()}


def averaged(output: Any, mirrored: Any) -> Any:
    """The outputs for views and their mirror images as one output, with the means of logits and probabilities.

    Parts and gate are those of the views; the part logits (B, 2M, K) are of both.
    """
    both = [one.part_logits for one in (output, mirrored)]
    return output._replace(
        logits=(output.logits + mirrored.logits) / 2,
        part_logits=None if any(one is None for one in both) else torch.cat(both, 1),
        probs=(output.probs + mirrored.probs) / 2,
    )
