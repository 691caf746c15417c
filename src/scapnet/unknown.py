"""How well a network tells photos of other things from those of its classes.

n photos of known classes, m of none of them, K classes.
"""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from scapnet.data.files import Listing
from scapnet.data.sources import each_photo
from scapnet.engine import TorchEngine
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
