"""What a validation split says of answers (`calibrate`), and how well it says it: figures of calibrated answers.

n samples, K classes.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from scapnet.calibration import Calibration, thinned
from scapnet.metrics.calibration import calibration_error, fit_temperature, tempered
from scapnet.metrics.conformal import lac_scores, prediction_sets, quantile
from scapnet.metrics.unknowns import choose_weights, known_score

ERROR_RATE = 0.1
FALSE_ALARMS = 0.05


class Held(NamedTuple):
    """Answers to photos that training did not see."""

    target: Tensor  # (n,) labels
    probs: Tensor  # (n, K)
    shown: Tensor  # (n, 3) `scapnet.metrics.unknowns.evidence`
    hidden: Tensor  # (n, 3) the same with the true class of each photo hidden

    def some(self, mine: Tensor) -> "Held":
        """The photos where a mask (n,) is true."""
        return Held(*(one[mine] for one in self))


def calibrate(held: Held, prototypes: bool = False) -> Calibration:
    """The calibration of a network that answered like this.

    Args:
        held: its answers.
        prototypes: whether their evidence is of the network's prototypes.
    """
    conformity = lac_scores(held.probs).gather(1, held.target[:, None])[:, 0]
    weights = choose_weights(held.shown, held.hidden)
    known = known_score(held.shown, weights)
    temperature = fit_temperature(held.target, held.probs)
    return Calibration(
        len(held.target), temperature, thinned(conformity.tolist()), thinned(known.tolist()), weights, prototypes
    )


def calibrated_scores(
    held: Held, calibration: Calibration | None, parents: Sequence[str] = (), error_rate: float = ERROR_RATE
) -> dict[str, float]:
    """Figures of calibrated answers.

    Args:
        held: the answers.
        calibration: from other photos; None where these photos are all there is to calibrate with. Each half of them,
            every other photo, is then scored with the calibration of the other half.
        parents: the coarser class of each class, "" for none; or nothing.
        error_rate: of the prediction sets.

    Returns:
        "calibration_error" (ECE) as it is and "calibration_error_tempered" at the temperature of the calibration;
        "set_coverage", the share of the photos whose set holds the true class, "set_size", the mean number of classes,
        and "set_single", the share of sets of one; with parents "set_parent", the share of photos that are answered
        with a coarser class, and "set_parent_right", the share of these that belong to it; and "false_alarms", the
        share of the photos that are taken for unknown where 5% are allowed. Empty for a single photo.
    """
    target, probs = held.target, held.probs
    rows = [(torch.ones(len(target), dtype=torch.bool), calibration)]
    if calibration is None:
        if len(target) < 2:
            return {}
        odd = torch.arange(len(target)) % 2 == 1
        rows = [(mine, calibrate(held.some(~mine))) for mine in (odd, ~odd)]
    hot, sets, alarms = torch.empty_like(probs, dtype=torch.double), torch.zeros_like(probs, dtype=torch.bool), 0
    for mine, found in rows:
        assert found is not None
        hot[mine] = tempered(probs[mine], found.temperature)
        sets[mine] = prediction_sets(lac_scores(probs[mine]), quantile(found.conformity, error_rate))
        scores = known_score(held.shown[mine], found.weights).tolist()
        alarms += sum(found.known_rank(score) <= FALSE_ALARMS for score in scores)
    covered, sizes = sets.gather(1, target[:, None])[:, 0], sets.sum(1)
    return {
        "calibration_error": calibration_error(target, probs),
        "calibration_error_tempered": calibration_error(target, hot),
        "error_rate": error_rate,
        "set_coverage": float(covered.double().mean()),
        "set_size": float(sizes.double().mean()),
        "set_single": float((sizes == 1).double().mean()),
        **(_parent_scores(target, sets, parents) if any(parents) else {}),
        "false_alarms": alarms / len(target),
    }


def _parent_scores(target: Tensor, sets: Tensor, parents: Sequence[str]) -> dict[str, float]:
    names = sorted(set(parents))
    number = torch.tensor([names.index(name) if name else -1 for name in parents])  # (K,)
    big = torch.iinfo(number.dtype).max
    low = torch.where(sets, number, big).min(1).values
    high = torch.where(sets, number, -2).max(1).values
    backed = (sets.sum(1) > 1) & (low == high) & (low >= 0)  # several classes of one parent
    found = {"set_parent": float(backed.double().mean())}
    if backed.any():
        found["set_parent_right"] = float((number[target][backed] == low[backed]).double().mean())
    return found
