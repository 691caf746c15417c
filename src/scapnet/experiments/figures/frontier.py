"""Accuracy against the cost of an answer: the curve of the plain backbone, and other networks beside it."""

from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING, NamedTuple

from scapnet.experiments.figures.style import COLOURS, MARKERS, TEXT, name_axes, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class CostPoint(NamedTuple):
    """A row of the frontier."""

    label: str
    gmacs: float  # of one image
    accuracy: float  # in percent
    spread: float  # standard deviation over runs, in percent; 0 for a single run
    plain: bool  # whether it is on the plain backbone's curve


def accuracy_against_cost(points: Sequence[CostPoint]) -> "Figure":
    """Accuracy over billions of multiply-adds, on a logarithmic scale; bars are standard deviations over runs.

    Args:
        points: in any order; those of the plain backbone are joined.

    Raises:
        ValueError: there are no points.
    """
    if not points:
        raise ValueError("there is no run to show; pass at least one point")
    figure, (ax,) = new_figure(8.4, 4.6)
    from matplotlib.ticker import LogLocator, NullLocator

    curve = sorted((point for point in points if point.plain), key=lambda point: point.gmacs)
    if curve:
        ax.errorbar(
            [p.gmacs for p in curve],
            [p.accuracy for p in curve],
            [p.spread for p in curve],
            color="#777777",
            marker="o",
            capsize=3,
            label="plain backbone",
        )
        for point in curve:
            name = point.label.rpartition(", ")[2]
            ax.annotate(name, (point.gmacs, point.accuracy), (5, -13), textcoords="offset points", fontsize=TEXT - 2)
    others = [point for point in points if not point.plain]
    for point, colour, marker in zip(others, cycle(COLOURS), cycle(MARKERS[1:]), strict=False):
        ax.errorbar(
            point.gmacs,
            point.accuracy,
            point.spread,
            color=colour,
            marker=marker,
            capsize=3,
            linestyle="none",
            label=point.label,
        )
    ax.set_xscale("log")
    ax.margins(x=0.12)  # room for the size beside the last point
    # A curve rarely spans a power of ten.
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.xaxis.set_minor_locator(NullLocator())
    ax.legend(fontsize=TEXT - 2, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    name_axes(ax, "billions of multiply-adds for one image", "accuracy (%)")
    return figure
