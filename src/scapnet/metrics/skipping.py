"""Photos that the main branch is sure of need no parts: how sure it must be, and what that saves.

B batch, K classes, n photos.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from scapnet.backbones.cnn import evaluation_mode
from scapnet.model import SCAPNet
from scapnet.network import Network, as_module, device_of

PartsFor = float | Literal["all", "unsure", "none"]
LOSS = 0.001  # of accuracy, a tenth of a point
BUDGET = 0.4  # of the cost of looking at all parts
COUNTED = WeakKeyDictionary[nn.Module, dict[tuple[int, int], "PartsCost"]]()  # by size of the view, and stage


def sure_threshold(target: Tensor, main: Tensor, probs: Tensor, loss: float = LOSS, share: float = 0.0) -> float | None:
    """The least probability t such that photos whose main branch gives t or more can do without their parts.

    Any t between the probabilities of two neighbouring photos is as good; the one halfway is chosen.

    On a few hundred photos, chance alone makes a threshold look harmless that loses most of what the parts bring
    (docs/lab-notebook.md, "A threshold for small validation splits"). The parts of a fixed share of the photos are
    therefore looked at in any case.

    Args:
        target: (n,) labels.
        main: (n, K) softmax of the main branch.
        probs: (n, K) the final answer, with the parts.
        loss: of accuracy on these photos that is accepted, as a share.
        share: of these photos, the least sure, that are below t in any case.

    Returns:
        t, or None where the parts of even the surest photo are missed.
    """
    top, answer = main.float().max(1)
    change = (answer == target).double() - (probs.argmax(1) == target).double()  # of an accuracy where one photo skips
    top, order = top.sort(descending=True)
    total = change[order].cumsum(0)
    # Photos of equal probability skip together.
    whole = torch.cat([top[:-1] != top[1:], top.new_ones(min(1, len(top)), dtype=torch.bool)])
    few = torch.arange(1, len(top) + 1) <= (1 - share) * len(top) + 1e-9
    good = (whole & few & (total >= -loss * len(top) - 1e-9)).nonzero()
    if not len(good):
        return None
    # Halfway to the next photo, so that another engine's rounding moves no photo to the other side.
    return float(top[int(good[-1]) :][:2].double().mean())


def can_skip(model: Network) -> bool:
    """Whether a network has parts that it can skip."""
    return isinstance(model, SCAPNet) and model.selection is not None


def sure_of(model: Network, parts_for: PartsFor) -> float | None:
    """The probability of the main branch from which on a network skips the parts; None where it looks at all.

    Args:
        model: "unsure" means its own ``sure``, which training set on the validation split.
        parts_for: "all" photos, "none" of them, the "unsure" ones, or those below a probability.

    Raises:
        ValueError: no parts that could be skipped, no such threshold, or no probability.
    """
    if parts_for == "all":
        return None
    if not can_skip(model):
        raise ValueError("this model looks at no parts that could be skipped; leave the choice of parts at all")
    if parts_for == "none":
        return 0.0
    if parts_for == "unsure":
        if model.sure is None:
            raise ValueError(
                "this model has no threshold for skipping the parts: it was trained without a "
                "validation split or by an earlier version; give a probability, for example 0.9"
            )
        return model.sure
    if not 0 <= parts_for <= 1:
        raise ValueError(f"parts for {parts_for}: give a probability from 0 to 1, or all, unsure or none")
    return float(parts_for)


@contextmanager
def multiply_adds() -> Iterator[FlopCounterMode]:
    """Count convolutions and matrix products, also those of attention, which PyTorch leaves out if a CPU fuses it."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        yield counter


class PartsCost(NamedTuple):
    """Multiply-adds for one photo."""

    main: float  # without its parts
    full: float  # with all of them

    def average(self, looked: float) -> float:
        """The mean cost relative to looking at all parts, where a share of the photos is looked at."""
        return (self.main + looked * (self.full - self.main)) / self.full

    def affordable(self, budget: float = BUDGET) -> float:
        """The share of the photos whose parts can be looked at for a part of the full cost, from 0 to 1."""
        return min(max((budget * self.full - self.main) / max(self.full - self.main, 1e-12), 0.0), 1.0)


def parts_cost(model: Network) -> PartsCost:
    """The multiply-adds of a SCAPNet without and with its parts, counted once for each network, view and stage."""
    known = COUNTED.setdefault(as_module(model), {})
    key = model.view.size, model.stage
    if key not in known:
        known[key] = _count(model)
    return known[key]


@torch.no_grad()
def _count(model: Network) -> PartsCost:
    """`parts_cost`, on the model's device."""
    size = model.view.size
    image = torch.zeros(1, 3, size, size, device=device_of(model))
    counts = []
    with evaluation_mode(as_module(model)):
        for options in ({"sure": 0.0}, {}):
            with multiply_adds() as counter:
                as_module(model)(image, **options)
            counts.append(counter.get_total_flops() / 2)  # a multiply-add is counted as two operations
    return PartsCost(*counts)
