"""Whether an answer is a class, "unknown", a set of classes or the coarser class that they all belong to.

B batch, K classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from torch import Tensor

from scapnet.calibration import Calibration
from scapnet.engine import Answers
from scapnet.metrics.conformal import lac_scores, prediction_sets, quantile
from scapnet.metrics.unknowns import evidence, known_score
from scapnet.prediction import UNKNOWN, Verdict

AtLeast = float | Literal["auto"] | None


class Calibrated(Protocol):
    """A trained network or an engine that runs one."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the K classes."""

    @property
    def threshold(self) -> float | None:
        """The probability from which on an answer can be trusted; None where it is not known."""


def threshold_of(engine: Calibrated, at_least: AtLeast) -> float:
    """The probability below which an answer is "unknown".

    Args:
        engine: "auto" means its own ``threshold``, which training set on the validation split.
        at_least: a probability, "auto", or None for no threshold.

    Raises:
        ValueError: no probability, or "auto" of a model that has no threshold.
    """
    if at_least == "auto":
        if engine.threshold is None:
            raise ValueError(
                "this model has no threshold of its own: it was trained without a validation split, or even its surest "
                "answers there were wrong too often; give a probability, for example 0.8"
            )
        return engine.threshold
    if at_least is not None and not 0 <= at_least <= 1:
        raise ValueError(f"the threshold {at_least} is no probability; give a number from 0 to 1, or auto")
    return at_least or 0.0


def _known_by(engine: Calibrated) -> Any:
    """What has the calibration: the network that an engine runs, or the engine itself."""
    return getattr(engine, "model", engine)


def calibration_of(engine: Calibrated) -> Calibration:
    """What held-out photos say of an engine's answers.

    Raises:
        ValueError: nothing is known.
    """
    found = getattr(_known_by(engine), "calibration", None)
    if not isinstance(found, Calibration):
        raise ValueError(
            "this model was not calibrated: it was trained without a validation split, or trained or exported by an "
            "earlier version; calibrate the model of a run with: scapnet eval RUN --split val"
        )
    return found


@dataclass(frozen=True)
class Rules:
    """What decides; see `scapnet.Predictor` for the settings.

    Raises:
        ValueError: a number that is no share.
    """

    at_least: AtLeast = None
    error_rate: float | None = None
    false_alarms: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("error-rate", self.error_rate), ("false-alarms", self.false_alarms)):
            if value is not None and not 0 < value < 1:
                raise ValueError(f"{name} {value} must lie between 0 and 1, for example 0.05")

    def check(self, engine: Calibrated) -> None:
        """Check that an engine knows what the rules need.

        Raises:
            ValueError: it does not.
        """
        threshold_of(engine, self.at_least)
        if self.error_rate is not None or self.false_alarms is not None:
            calibration_of(engine)

    def verdicts(self, engine: Calibrated, said: Answers) -> list[Verdict]:
        """The verdict on each photo of a batch."""
        threshold, classes = threshold_of(engine, self.at_least), engine.classes
        best, order = said.probs.float().max(1)
        unknown, sets = [p < threshold for p in best.tolist()], [None] * len(best)
        ranks: list[float | None] = [None] * len(best)
        if self.false_alarms is not None:
            calibration = calibration_of(engine)
            scores = _known_scores(engine, said, calibration)
            ranks = [calibration.known_rank(score) for score in scores]
            unknown = [one or (r is not None and r <= self.false_alarms) for one, r in zip(unknown, ranks, strict=True)]
        among: Sequence[tuple[int, ...] | None] = sets
        if self.error_rate is not None:
            among = sets_of(said.probs, calibration_of(engine), self.error_rate)
        parents = tuple(getattr(_known_by(engine), "parents", ()))
        rows = zip(order.tolist(), unknown, ranks, among, strict=True)
        return [_verdict(classes, parents, *row) for row in rows]


def _known_scores(engine: Calibrated, said: Answers, calibration: Calibration) -> list[float]:
    """The score of being known of each photo of a batch."""
    if said.known is not None:
        found: list[float] = said.known.tolist()
        return found
    prototypes = getattr(_known_by(engine), "prototypes", None)
    if calibration.prototypes and prototypes is None:
        raise ValueError("the model folder has lost its prototypes.safetensors; copy it from the run")
    return known_score(evidence(said.probs, said.part_logits, said.features, prototypes), calibration.weights).tolist()


def sets_of(probs: Tensor, calibration: Calibration, error_rate: float) -> list[tuple[int, ...]]:
    """The prediction set of each photo, the likeliest class first, from probs (B, K)."""
    scores = lac_scores(probs.float().cpu())
    inside = prediction_sets(scores, quantile(calibration.conformity, error_rate))
    orders = scores.argsort(1).tolist()
    return [tuple(k for k in order if row[k]) for order, row in zip(orders, inside.tolist(), strict=True)]


def common_parent(members: Sequence[int], parents: Sequence[str]) -> str | None:
    """The coarser class that several classes all belong to; None where there is none.

    Args:
        members: numbers of classes.
        parents: the coarser class of each of the K classes, "" for none; or nothing.
    """
    found = {parents[k] for k in members} if parents else set()
    return next(iter(found)) or None if len(found) == 1 else None


def _verdict(
    classes: Sequence[str],
    parents: Sequence[str],
    best: int,
    unknown: bool,
    rank: float | None,
    among: tuple[int, ...] | None,
) -> Verdict:
    names = None if among is None else tuple(classes[k] for k in among)
    parent = common_parent(among, parents) if among is not None and len(among) > 1 else None
    return Verdict(UNKNOWN if unknown else parent or classes[best], rank, names, parent)
