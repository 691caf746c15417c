"""Sentences that follow from the figures."""

from collections.abc import Sequence

from scapnet.bench.inference import BACKBONES, EAGER
from scapnet.bench.peers import PEERS
from scapnet.bench.result import Measured
from scapnet.bench.training import DATA, PASSES

FLOORS = (EAGER, BACKBONES, "convolutions alone", "plain backbone", *PEERS)


def findings(
    forward: Sequence[Measured], steps: Sequence[Measured], rates: dict[str, float], gmacs: float
) -> list[str]:
    """Sentences on a network's own work, on its engines and on its peers.

    Args:
        forward: the rows of inference, eager PyTorch first.
        steps: the rows of training, the whole step first; or none.
        rates: GMACs a second of the matrix products, by their names.
        gmacs: of the network, for an image.
    """
    found = []
    runs, trained = ({row.name: row for row in rows} for rows in (forward, steps))
    for name, rate in rates.items():
        found.append(f"{name}: {rate:.0f} GMACs a second.")
    speed = gmacs * 1000 / runs[EAGER].milliseconds.median
    found.append(f"Eager PyTorch runs the network at {speed:.0f} GMACs a second.")
    if BACKBONES in runs:
        own = [1 / ratio - 1 for ratio in reversed(runs[BACKBONES].ratio)]
        found.append(f"SCAPNet's own work in a forward pass, on top of its two backbones: {_quartiles(own)}.")
    engines = [row for row in forward if row.name not in FLOORS]
    best = min(engines, key=lambda row: row.ratio.median, default=None)
    if best is not None:
        found.append(f"The fastest way here is {best.name}: {best.ratio.median:.3f} of eager PyTorch.")
    for peer in PEERS:
        if peer in runs:
            theirs = runs[peer].milliseconds.median
            fast = "" if best is None else f", {best.milliseconds.median / theirs:.2f} with {best.name}"
            found.append(f"SCAPNet takes {runs[EAGER].milliseconds.median / theirs:.2f} of {peer}'s time{fast}.")
    if PASSES in trained:
        data = trained[DATA].ratio.median
        own_step = [(1 + data) / ratio - 1 for ratio in reversed(trained[PASSES].ratio)]
        found.append(
            f"SCAPNet's own work in a training step, with optimizer and data, on top of its two backbones' passes: "
            f"{_quartiles(own_step)}."
        )
        found.append(f"Read and augmented in the same process, the data takes {data:.1%} of a training step.")
    return found


def _quartiles(values: Sequence[float]) -> str:
    lower, middle, upper = values
    return f"{middle:.1%} ({lower:.1%} to {upper:.1%})"
