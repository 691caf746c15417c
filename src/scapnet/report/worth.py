"""Whether the parts pay: accuracy and cost with and without them, and for unsure photos only.

n photos, K classes.
"""

import math
from dataclasses import dataclass

import torch
from scipy.stats import binomtest

from scapnet.experiments.cost import Cost, cost_of, measured_on
from scapnet.metrics.parts_gain import parts_gain
from scapnet.network import Network, as_module
from scapnet.report.answered import Answered, main_branch_only


@dataclass(frozen=True)
class Skipping:
    """What happens if photos whose main branch is sure enough skip the parts."""

    sure: float  # the probability from which on they do
    looked: float  # the share of photos whose parts are looked at
    accuracy: float


@dataclass(frozen=True)
class Worth:
    """The gain and the cost of the parts."""

    gain: float  # accuracy of both branches less that of the main branch
    low: float  # of its 95% interval
    high: float
    fixed: int  # photos that are right with the parts only
    broken: int  # photos that are right without them only
    p_value: float  # McNemar's exact test
    whole: Cost  # of a forward pass with the parts
    main: Cost  # without them
    parameters: tuple[int, int]  # with and without
    measured_on: str
    skipping: tuple[Skipping, ...]

    @property
    def verdict(self) -> str:
        """The finding in a sentence."""
        times = self.whole.gmacs / max(self.main.gmacs, 1e-12)
        cost = f"{times:.1f} times the computation"
        points = f"{abs(100 * self.gain):.1f} points"
        if self.low > 0:
            return f"The parts pay: they add {points} of accuracy for {cost}."
        if self.high < 0:
            return f"The parts do harm: without them the answer is better by {points}, and they cost {cost}."
        change = f"they {'add' if self.gain > 0 else 'take'} {points}, which may be chance, for {cost}"
        if points == "0.0 points":
            change = f"the accuracy is the same with and without them, and they cost {cost}"
        return f"It is open whether the parts pay: {change}."


def worth(model: Network, found: Answered) -> Worth | None:
    """The gain and the cost of a network's parts; None without parts.

    Args:
        model: the network.
        found: its answers.
    """
    if found.parts is None:
        return None
    gain, half, fixed, broken = parts_gain(found.target, found.main, found.probs)
    p_value = float(binomtest(fixed, fixed + broken).pvalue) if fixed + broken else 1.0
    whole = cost_of(model, model.view.size, 4, 2)
    with main_branch_only(model):
        main = cost_of(model, model.view.size, 4, 2)
    count = sum(p.numel() for p in model.parameters())
    names = ("part_backbone", "part_classifier", "relation")
    modules = [getattr(as_module(model), name, None) for name in names]
    kept = {id(p) for p in model.backbone.parameters()}
    own = {id(p): p.numel() for one in modules if one is not None for p in one.parameters() if id(p) not in kept}
    parameters = count, count - sum(own.values())
    where = measured_on()
    return Worth(
        gain, gain - half, gain + half, fixed, broken, p_value, whole, main, parameters, where, skipping(found)
    )


def skipping(found: Answered, steps: int = 20) -> tuple[Skipping, ...]:
    """Accuracy by the share of photos whose parts are looked at, the least sure of the main branch first."""
    sure = found.main.amax(1)
    rows = []
    for share in torch.linspace(0, 1, steps + 1).tolist():
        limit = float(sure.quantile(share)) if share < 1 else math.inf
        looked = sure < limit
        answer = torch.where(looked, found.predicted, found.main.argmax(1))
        accuracy = float((answer == found.target).double().mean())
        rows.append(Skipping(limit, float(looked.double().mean()), accuracy))
    return tuple(rows)
