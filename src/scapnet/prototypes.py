"""What the photos of each class look like to a network, in the mean: the prototypes that unknown photos are far from.

B batch, K classes, D feature size.
"""

from collections import defaultdict
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import normalize
from torch.utils.data import DataLoader, Subset

from scapnet.config import DataConfig
from scapnet.data.sample import FineGrained
from scapnet.data.scored import choose
from scapnet.data.transforms import EvalViews
from scapnet.engine import captured_features
from scapnet.network import Network, device_of

MOST = 20  # photos of a class


@torch.inference_mode()
def class_means(model: Network, data: FineGrained, most: int = MOST, batch_size: int = 32, workers: int = 0) -> Tensor:
    """The mean direction of the main branch's features of each class.

    Only the main branch is run, on the centre views of at most ``most`` photos of each class, spread over all of them.

    Args:
        model: the network; it is put into evaluation mode.
        data: its training split.
        most: photos of a class.
        batch_size: photos at a time.
        workers: loader processes.

    Returns:
        (K, D) float32 of length 1; zeros for a class without a readable photo.
    """
    of_class: dict[int, list[int]] = defaultdict(list)
    for i, label in enumerate(data.labels):
        of_class[int(label)].append(i)
    chosen = [
        rows[i]
        for rows in of_class.values()
        for i in torch.linspace(0, len(rows) - 1, min(most, len(rows))).long().tolist()
    ]
    loader = DataLoader(Subset(EvalViews(data, model.view), chosen), batch_size, num_workers=workers)
    stage, device = model.stage, device_of(model)
    model.eval()
    sums = torch.zeros(0)
    model.stage = 1  # runs the main branch alone
    try:
        for batch in loader:
            with captured_features(model) as features:
                model(batch["image"].to(device))
            rows = normalize(features[0].float().cpu(), dim=1)[~batch["broken"]]
            if not len(sums):
                sums = torch.zeros(len(data.classes), rows.shape[1])
            sums.index_add_(0, batch["target"][~batch["broken"]], rows)
    finally:
        model.stage = stage
    return normalize(sums, dim=1).half().float()  # as a model folder keeps them: scores stay the same


def class_means_of_run(
    run: Path, data: DataConfig, model: Network, root: Path | None, table: Path | None, workers: int
) -> Tensor | None:
    """`class_means` over the training photos of a run; None where they are not there any more.

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
    return class_means(model, chosen.data, workers=workers)
