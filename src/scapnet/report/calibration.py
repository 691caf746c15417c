"""Calibration of a run's answers, and what a temperature makes of it.

n photos, K classes.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from scapnet.metrics.calibration import ReliabilityBin, calibration_error, fit_temperature, reliability, tempered
from scapnet.report.answered import Answered

BINS = 10


@dataclass(frozen=True)
class Calibration:
    """How far the probabilities can be believed."""

    bins: tuple[ReliabilityBin, ...]
    after: tuple[ReliabilityBin, ...]  # with the temperature
    error: float  # ECE
    error_after: float
    temperature: float
    fitted_on: str  # the photos that the temperature was fitted on, in words
    confidence: float  # mean
    accuracy: float


def calibration(found: Answered, val: Answered | None) -> Calibration:
    """Calibration of answers before and after temperature scaling.

    Args:
        found: the answers.
        val: answers to other photos that training did not see, which the temperature is fitted on; without them each
            half of the photos is scored with the temperature of the other half.
    """
    if val is not None:
        temperature, where = fit_temperature(val.target, val.probs), f"{len(val.target):,} validation photos"
        after = tempered(found.probs, temperature)
    else:
        temperature, where = fit_temperature(found.target, found.probs), "the other half of these photos"
        after = cross_fitted(found.target, found.probs)
    return Calibration(
        tuple(reliability(found.target, found.probs, BINS)),
        tuple(reliability(found.target, after, BINS)),
        calibration_error(found.target, found.probs),
        calibration_error(found.target, after),
        temperature,
        where,
        float(found.confidence.mean()),
        float(found.right.double().mean()),
    )


def cross_fitted(target: Tensor, probs: Tensor) -> Tensor:
    """Probabilities (n, K) of each half at the temperature that was fitted on the other half."""
    after, even = probs.double().clone(), torch.arange(len(target)) % 2 == 0
    for half in (even, ~even):
        if half.any() and (~half).any():
            after[half] = tempered(probs[half], fit_temperature(target[~half], probs[~half]))
    return after
