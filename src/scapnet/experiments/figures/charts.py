"""The paper's charts: kept units by score (Fig. 4), kept share against accuracy (Fig. 9), accuracy over epochs."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from statistics import fmean, stdev
from typing import TYPE_CHECKING, TypedDict

import torch
from torch import Tensor

from scapnet.backbones.cnn import evaluation_mode
from scapnet.data.sample import Sample
from scapnet.data.transforms import Views, centre_view, to_input
from scapnet.experiments.figures.style import COLOURS, LIGHT_BLUE, MARKERS, TEXT, name_axes, new_figure
from scapnet.model import SCAPNet
from scapnet.modules.ggau import gate_mask

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox


class ScoreHistogram(TypedDict):
    """Units binned by their score, and the kept share of each bin; None for a bin without units."""

    edges: list[float]  # of the bins over P(keep), one more than bins; a bin includes its upper edge
    units: list[int]
    scores: list[float | None]  # their mean P(keep)
    gumbel: list[float | None]  # share kept with Gumbel noise, as in training
    threshold: list[float | None]  # share kept without noise, as in evaluation
    draws: int
    images: int
    all_closed: int  # images without a unit above 0.5; their best unit, which the gate keeps, is not counted above


class Point(TypedDict):
    """One run of Fig. 9."""

    beta: float
    seed: int
    kept: float  # share of the grid, in [0, 1]
    accuracy: float  # in [0, 1]


def score_histogram(
    model: SCAPNet, data: Iterable[Sample | Views], draws: int = 20, bins: int = 10, seed: int = 0
) -> ScoreHistogram:
    """The numbers of Fig. 4: how often units of each score are kept, with Gumbel noise and with the threshold alone.

    Args:
        model: a network with a gate.
        data: samples, or a loader's batches of views; images that could not be read are left out.
        draws: number of noise draws per unit.
        bins: number of bins of equal width over P(keep) in [0, 1].
        seed: seed of the noise; torch's global generator is not changed.

    Raises:
        ValueError: the network has no gate, or there are no images.
    """
    logits = _gate_logits(model, data)  # (B, N, N, 2)
    keep = logits.softmax(-1)[..., 1].contiguous()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        # A soft mask above 1/2 is the argmax of Eq. 5, without the one unit that an image always keeps.
        gumbel = torch.stack([gate_mask(logits, "soft", noise=True) > 0.5 for _ in range(draws)]).double().mean(0)
    edges = torch.linspace(0, 1, bins + 1, dtype=torch.float64)
    place = torch.bucketize(keep.flatten(), edges[1:-1])  # an edge belongs to the lower bin, as 0.5 itself is not kept
    units = place.bincount(minlength=bins)

    def mean(values: Tensor) -> list[float | None]:
        total = place.bincount(values.flatten().double(), minlength=bins)
        return [float(t / n) if n else None for t, n in zip(total, units, strict=True)]

    return {
        "edges": edges.tolist(),
        "units": units.tolist(),
        "scores": mean(keep),
        "gumbel": mean(gumbel),
        "threshold": mean(keep > 0.5),
        "draws": draws,
        "images": len(logits),
        "all_closed": int((keep <= 0.5).flatten(1).all(1).sum()),
    }


@torch.inference_mode()
def _gate_logits(model: SCAPNet, data: Iterable[Sample | Views]) -> Tensor:
    """The gate's logits (B, N, N, 2) of all images, on the CPU and in double precision."""
    if model.gate is None:
        raise ValueError("this network has no gate, so its units have no scores; use one with a gate")
    device, found = next(model.parameters()).device, []
    with evaluation_mode(model):
        for item in data:
            if isinstance(item, Sample):
                image = to_input(centre_view(item.image, model.view)[0], model.view)["image"][None]
            else:
                image = item["image"][~torch.as_tensor(item["broken"]).cpu()]
            found.append(model.gate(model.backbone.head(image.to(device))).logits.double().cpu())
    if not sum(map(len, found)):
        raise ValueError("there is no image to score; pass at least one sample")
    return torch.cat(found)


def histogram_chart(found: ScoreHistogram) -> "Figure":
    """Fig. 4: the share of kept units by score, with Gumbel noise and with the threshold alone."""
    figure, (top, bottom) = new_figure(6.4, 5.2, nrows=2, sharex=True, height_ratios=[3, 2])
    edges = found["edges"]
    top.plot([0, 1], [0, 100], color="#777777", linestyle=":", label="P(keep) itself")
    lines = ((found["threshold"], "without noise"), (found["gumbel"], f"with Gumbel noise, {found['draws']} draws"))
    for (shares, label), colour, marker in zip(lines, COLOURS, MARKERS, strict=False):
        pairs = zip(found["scores"], shares, strict=True)
        drawn = [(x, 100 * y) for x, y in pairs if x is not None and y is not None]
        top.plot(*zip(*drawn, strict=True), color=colour, marker=marker, linestyle="none", label=label)
    bottom.bar(edges[:-1], found["units"], edges[1], align="edge", color="#999999", edgecolor="white")
    top.axvline(0.5, color="#777777", linewidth=0.8)
    top.legend(fontsize=TEXT - 1, frameon=False, loc="upper left")
    name_axes(top, "", "units kept (%)")
    name_axes(bottom, "score P(keep) of a unit", f"units of {found['images']} images")
    top.set_xlim(-0.01, 1.01)
    return figure


def _name_points(ax: "Axes", named: Sequence[tuple[float, float, str]]) -> None:
    """Write each point's name beside it, at the first position that covers no point or other name."""
    marks = [ax.transData.transform((x, y)) for x, y, _ in named]
    taken: list[Bbox] = []
    for x, y, name in named:
        for place in ((8, 8), (8, -17), (-8, 8), (-8, -17), (8, 22), (8, -31), (-8, 22), (-8, -31)):
            side = "left" if place[0] > 0 else "right"
            text = ax.annotate(name, (x, y), place, textcoords="offset points", fontsize=TEXT - 1, ha=side)
            box = text.get_window_extent()
            if not (box.count_overlaps(taken) or any(box.padded(3).contains(*mark) for mark in marks)):
                break
            text.remove()
        else:  # every position is taken, and an overlapping name is better than none
            text = ax.annotate(name, (x, y), (8, 8), textcoords="offset points", fontsize=TEXT - 1)
            box = text.get_window_extent()
        taken.append(box)


def kept_against_accuracy(points: Sequence[Point]) -> "Figure":
    """Fig. 9: accuracy over the kept share of the grid, a point for each beta.

    For several seeds the point is their mean, the bars are their standard deviations, and each run is a small dot.

    Args:
        points: one per run.

    Raises:
        ValueError: there are no points.
    """
    if not points:
        raise ValueError("there is no run to show; pass at least one point")
    figure, (ax,) = new_figure(6.4, 4.6)
    betas = sorted({point["beta"] for point in points})
    runs = [[(100 * p["kept"], 100 * p["accuracy"]) for p in points if p["beta"] == beta] for beta in betas]
    means = [tuple(fmean(values) for values in zip(*group, strict=True)) for group in runs]
    spread = [tuple(stdev(v) if len(v) > 1 else 0.0 for v in zip(*group, strict=True)) for group in runs]
    xs, ys = zip(*means, strict=True)
    several = len(points) > len(betas)
    if several:
        dots = [point for group in runs for point in group]
        ax.scatter([x for x, _ in dots], [y for _, y in dots], s=12, color=LIGHT_BLUE, label="one run")
    dx, dy = zip(*spread, strict=True)
    ax.errorbar(xs, ys, dy, dx, color=COLOURS[0], marker="o", capsize=3, label="mean and standard deviation")
    if several:
        ax.legend(fontsize=TEXT - 1, frameon=False)
    ax.margins(x=0.12, y=0.15)
    name_axes(ax, "share of the grid that is kept (%)", "accuracy (%)")
    figure.draw_without_rendering()  # the positions of the names depend on the final limits
    _name_points(ax, [(x, y, f"β = {beta:g}") for x, y, beta in zip(xs, ys, betas, strict=True)])
    return figure


def curves(series: Mapping[str, Sequence[tuple[int, float]]], what: str = "accuracy (%)") -> "Figure":
    """Accuracy over epochs, a line per name, as the paper says of Table XII that a loss slows down convergence.

    Args:
        series: name to (epoch, accuracy in [0, 1]).
        what: label of the vertical axis.

    Raises:
        ValueError: there are no series.
    """
    if not series:
        raise ValueError("there is no run to show; pass at least one series")
    figure, (ax,) = new_figure(6.4, 4.6)
    for (name, points), colour, marker in zip(series.items(), cycle(COLOURS), cycle(MARKERS), strict=False):
        epochs = [epoch for epoch, _ in points]
        ax.plot(epochs, [100 * y for _, y in points], color=colour, marker=marker, markersize=4, label=name)
    ax.locator_params(axis="x", integer=True)
    ax.legend(fontsize=TEXT - 1, frameon=False)
    name_axes(ax, "epoch", what)
    return figure
