"""What held-out photos say of a network's answers, and how training photos look to it; a model folder keeps both.

K classes, D feature size, r directions, t training photos.
"""

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

MOST = 1000  # scores of each kind that are kept


class Prototypes(NamedTuple):
    """How training photos look to the main branch, by features of length 1, all on the CPU; see `scapnet.prototypes`.

    A covariance S is kept as the r directions u of its largest eigenvalues s, each times sqrt(s / (s + b)): with the
    shrinkage b, d' (S + b I)^-1 d is (|d|^2 - |d' directions|^2) / b, exactly where all directions are kept.
    """

    means: Tensor  # (K, D) of the classes; far from everything for a class without a photo
    centre: Tensor  # (D,) the mean of all
    within: Tensor  # (D, r) of the covariance within classes
    total: Tensor  # (D, r) of the covariance of all
    photos: Tensor  # (t, r) the photos less the centre, in the directions of `total` (of length 1)
    labels: Tensor  # (t,) their classes


@dataclass(frozen=True)
class Calibration:
    """Scores of the validation photos, which later answers are compared with.

    Of many photos, evenly spaced order statistics are kept; error and false-alarm rates are off by 0.1 points then.
    """

    images: int  # in the validation split
    temperature: float  # of `scapnet.metrics.calibration.fit_temperature`
    conformity: tuple[float, ...]  # in rising order: 1 - the probability of the true class
    known: tuple[float, ...]  # in rising order: `scapnet.metrics.unknowns.known_score`
    weights: tuple[float, ...] = (1.0, 0.0, 0.0)  # of the evidence in that score
    prototypes: bool = False  # whether that score is of the model's prototypes, and means nothing without them

    def known_rank(self, score: float) -> float:
        """The share of photos of known classes that look no more familiar than one with this score.

        A photo of a known class has a value of at most t with a probability of at most t (Vovk's conformal p-value), so
        that "unknown where it is below t" has a false-alarm rate of t.
        """
        return (1 + sum(one <= score for one in self.known)) / (1 + len(self.known))


def thinned(scores: list[float]) -> tuple[float, ...]:
    """Scores in rising order; of more than MOST, as many order statistics, evenly spaced, the largest among them."""
    ordered = sorted(scores)
    if len(ordered) > MOST:
        ordered = [ordered[-(-(i + 1) * len(ordered) // MOST) - 1] for i in range(MOST)]
    return tuple(ordered)
