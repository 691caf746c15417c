"""How well a network tells photos of other things from those of its classes.

n photos of known classes, m of none of them, K classes.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scapnet.backbones.weights import model_folder
from scapnet.data.files import Listing
from scapnet.data.sources import each_photo
from scapnet.engine import TorchEngine
from scapnet.jsonfile import read_json
from scapnet.metrics.coverage import FALSE_ALARMS, Held
from scapnet.metrics.unknowns import auroc, choose_weights, evidence, false_positive_rate, known_score, max_softmax
from scapnet.network import Network
from scapnet.predict import NOTHING, read_view, run_views
from scapnet.prediction import Skipped


def unknown_scores(
    model: Network,
    folder: Path,
    held: Held,
    say: Callable[[str], None] = lambda _: None,
    batch_size: int = 16,
) -> dict[str, float]:
    """Compare photos of none of the classes with those of a split.

    Args:
        model: the network.
        folder: of the photos that show none of its classes.
        held: its answers to photos of its classes that training did not see.
        say: receives a sentence for each photo that cannot be read.
        batch_size: photos that go through the network at a time.

    Returns:
        "unknown_images"; "unknown_auroc" and "unknown_fpr95" of the score, and, to compare with, those of the maximum
        softmax, "unknown_auroc_softmax" and "unknown_fpr95_softmax", and, where the model has prototypes, those of the
        distance to the nearest training photo, "unknown_auroc_nearest" and "unknown_fpr95_nearest"; and where it is
        calibrated "unknown_found", the share of the photos that are called unknown at 5% false alarms.

    Raises:
        ValueError: no such folder, or no photo in it that can be read.
    """
    engine, views, scores, tops = TorchEngine(model), [], list[Tensor](), list[Tensor]()
    files = list(each_photo(folder, Listing()))
    for i, file in enumerate(files):
        view = read_view(file, model.view)
        if isinstance(view, Skipped):
            say(f"skipped: {view.reason}")
        else:
            views.append(view)
        if views and (len(views) == batch_size or i == len(files) - 1):
            said = run_views(engine, views, range(len(views)))
            scores.append(evidence(said.probs, said.part_logits, said.features, model.prototypes))
            tops.append(max_softmax(said.probs).cpu())
            views = []
    if not scores:
        raise ValueError(f"{folder}: {NOTHING}")
    calibration, others = model.calibration, torch.cat(scores)
    weights = choose_weights(held.shown, held.hidden) if calibration is None else calibration.weights
    known, unknown = known_score(held.shown, weights), known_score(others, weights)
    pairs = {"": (known, unknown), "_softmax": (max_softmax(held.probs), torch.cat(tops))}
    if model.prototypes is not None:
        pairs["_nearest"] = held.shown[:, 1], others[:, 1]
    found = {"unknown_images": float(len(unknown))}
    for name, pair in pairs.items():
        found |= {f"unknown_auroc{name}": auroc(*pair), f"unknown_fpr95{name}": false_positive_rate(*pair)}
    if calibration is not None:
        ranks = [calibration.known_rank(score) for score in unknown.tolist()]
        found["unknown_found"] = sum(rank <= FALSE_ALARMS for rank in ranks) / len(ranks)
    return found


def digest_of(run: Path) -> str:
    """A hash of the weights of a run's model."""
    with (model_folder(run) / "model.safetensors").open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()[:32]


def measured_before(
    file: Path, result: dict[str, Any], weights: str, say: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """The figures on unknown photos in a result file that is about to be replaced, if they hold for the new result.

    Args:
        file: the result file, which may be missing.
        result: the new result.
        weights: `digest_of` its model.
        say: receives a sentence where there are such figures: that they are kept, or dropped.
    """
    try:
        before = read_json(file)
    except ValueError:
        return {}
    found = {key: value for key, value in before.items() if key.startswith("unknown_")}
    if not found:
        return {}
    same = all(before.get(key) == result.get(key) for key in ("root", "images", "unreadable"))
    if not same or found.get("unknown_weights") != weights:
        say(
            "dropped the figures on unknown photos, which are of other weights or photos; --unknown measures them again"
        )
        return {}
    say("kept the figures on unknown photos that eval --unknown measured before, with the same weights and photos")
    return found
