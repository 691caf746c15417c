"""Confident learning: photos whose labels are probably wrong (Northcutt et al., JAIR 2021).

n photos, K classes.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class LabelFault(NamedTuple):
    """A photo whose label is probably wrong."""

    row: int  # its place among the n photos
    label: int
    suggested: int  # the class that it is counted as
    probability: float  # of the suggested class
    own: float  # of its label


def confident_thresholds(target: Tensor, probs: Tensor) -> Tensor:
    """t_j, the mean probability of class j over the photos labelled j: (K,), infinite for classes without photos.

    Args:
        target: (n,) labels.
        probs: (n, K) answers to photos that training did not see.
    """
    own = probs.double().gather(1, target[:, None])[:, 0]
    images = target.bincount(minlength=probs.shape[1])
    sums = target.bincount(own, minlength=probs.shape[1])
    return torch.where(images > 0, sums / images.clamp(min=1), torch.inf)


def label_faults(target: Tensor, probs: Tensor) -> list[LabelFault]:
    """The photos off the diagonal of the confident joint, the least likely label first.

    A photo is counted as the most probable class of those whose probability reaches the class's threshold; it is
    suspect where that is another class than its label, and the label is not the answer either.

    Args:
        target: (n,) labels.
        probs: (n, K) answers to photos that training did not see, each row sums to 1.
    """
    probs = probs.double()
    confident = probs >= confident_thresholds(target, probs) - 1e-6
    guess = probs.masked_fill(~confident, -1).argmax(1)
    suspect = confident.any(1) & (guess != target) & (probs.argmax(1) != target)
    found = []
    for row in suspect.nonzero()[:, 0].tolist():
        label, suggested = int(target[row]), int(guess[row])
        found.append(LabelFault(row, label, suggested, float(probs[row, suggested]), float(probs[row, label])))
    return sorted(found, key=lambda fault: fault.own)
