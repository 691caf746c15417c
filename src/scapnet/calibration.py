"""What held-out photos say of a network's answers; a model folder keeps it."""

from dataclasses import dataclass

MOST = 1000  # scores of each kind that are kept


@dataclass(frozen=True)
class Calibration:
    """Scores of the validation photos, which later answers are compared with.

    Of many photos, evenly spaced order statistics are kept; error and false-alarm rates are off by 0.1 points then.
    """

    images: int  # in the validation split
    temperature: float  # of `scapnet.metrics.calibration.fit_temperature`
    conformity: tuple[float, ...]  # in rising order: 1 - the probability of the true class
    known: tuple[float, ...]  # in rising order: `scapnet.metrics.unknowns.known_score`
    part_weight: float = 0.0  # of the parts in that score
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
