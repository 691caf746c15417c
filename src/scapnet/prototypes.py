"""How the training photos look to a network: the prototypes that unknown photos are far from.

B batch, K classes, D feature size, r directions, t training photos.
"""

from collections import defaultdict
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import normalize
from torch.utils.data import DataLoader, Subset

from scapnet.calibration import Prototypes
from scapnet.config import DataConfig
from scapnet.data.sample import FineGrained
from scapnet.data.scored import choose
from scapnet.data.transforms import EvalViews
from scapnet.engine import captured_features
from scapnet.network import Network, device_of

MOST = 20  # photos of a class
ALL = 20_000  # photos of all classes, with at least one of each
DIRECTIONS = 128
SHRINKAGE = 3.0  # of a covariance, in mean eigenvalues
FAR = 10.0  # each feature of the mean of a class that has no photo


@torch.inference_mode()
def look_at_training(
    model: Network, data: FineGrained, most: int = MOST, batch_size: int = 32, workers: int = 0
) -> Prototypes | None:
    """`prototypes_of` the main branch's features of training photos.

    Only the main branch is run, on the centre views of at most ``most`` photos of each class, spread over all of them.

    Args:
        model: the network; it is put into evaluation mode.
        data: its training split.
        most: photos of a class.
        batch_size: photos at a time.
        workers: loader processes.

    Returns:
        The prototypes; None where no photo can be read.
    """
    of_class: dict[int, list[int]] = defaultdict(list)
    for i, label in enumerate(data.labels):
        of_class[int(label)].append(i)
    most = max(1, min(most, ALL // len(data.classes)))
    chosen = [
        rows[i]
        for rows in of_class.values()
        for i in torch.linspace(0, len(rows) - 1, min(most, len(rows))).long().tolist()
    ]
    loader = DataLoader(Subset(EvalViews(data, model.view), chosen), batch_size, num_workers=workers)
    stage, device = model.stage, device_of(model)
    model.eval()
    rows, labels = list[Tensor](), list[Tensor]()
    model.stage = 1  # runs the main branch alone
    try:
        for batch in loader:
            with captured_features(model) as features:
                model(batch["image"].to(device))
            rows.append(features[0].float().cpu()[~batch["broken"]])
            labels.append(batch["target"][~batch["broken"]])
    finally:
        model.stage = stage
    found = torch.cat(rows)
    return prototypes_of(found, torch.cat(labels), len(data.classes)) if len(found) else None


def prototypes_of(features: Tensor, labels: Tensor, classes: int) -> Prototypes:
    """The means of classes, and the covariances of features within classes and of all.

    Args:
        features: (t, D) of training photos.
        labels: (t,) their classes.
        classes: K.

    Returns:
        float32 in the precision of a model folder, which is 16 bits, so that scores stay the same.
    """
    rows = normalize(features.double(), dim=1)
    counts, centre = labels.bincount(minlength=classes), rows.mean(0)
    means = torch.zeros(classes, rows.shape[1], dtype=rows.dtype).index_add_(0, labels, rows)
    means /= counts.clamp(min=1)[:, None]
    within, total = directions_of(rows - means[labels]), directions_of(rows - centre)
    means[counts == 0] = FAR
    photos = (rows - centre) @ normalize(total, dim=0)
    means, centre, within, total, photos = (one.half().float() for one in (means, centre, within, total, photos))
    return Prototypes(means, centre, within, total, photos, labels)


def directions_of(rows: Tensor) -> Tensor:
    """The main directions (D, r) of the covariance of centred rows (t, D); see `scapnet.calibration.Prototypes`."""
    values, vectors = torch.linalg.eigh(rows.T @ rows / len(rows))  # in rising order
    floor = SHRINKAGE * values.mean().clamp(min=1e-12)
    values, vectors = values[-DIRECTIONS:].clamp(min=0), vectors[:, -DIRECTIONS:]
    found: Tensor = vectors * (values / (values + floor)).sqrt()
    return found


def prototypes_of_run(
    run: Path, data: DataConfig, model: Network, root: Path | None, table: Path | None, workers: int
) -> Prototypes | None:
    """`look_at_training` with the training photos of a run; None where they are not there any more.

    Args:
        run: the run folder.
        data: its settings.
        model: its network.
        root: where the data lies now, if it has moved.
        table: the same for a table of photos.
        workers: loader processes.
    """
    try:
        chosen = choose(run, data, model.classes, "train", root, table)
    except ValueError:
        return None
    return look_at_training(model, chosen.data, workers=workers)
