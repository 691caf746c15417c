"""The style of all figures: colours and matplotlib's axes."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which colour-blind people can tell apart.
BLUE, RED, GREEN, PINK, ORANGE, LIGHT_BLUE = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
COLOURS = (BLUE, RED, GREEN, PINK, ORANGE, LIGHT_BLUE, "#000000")
MARKERS = "osD^vPX*"  # one more than there are colours, so that 56 lines differ
TEXT = 11
NO_MATPLOTLIB = 'this figure needs matplotlib, which is not installed: pip install "scapnet[figures]"'


def new_figure(width: float, height: float, **grid: Any) -> tuple["Figure", list["Axes"]]:
    """An empty figure (size in inches) and its axes from top to bottom; ``grid`` is passed to `Figure.subplots`.

    Raises:
        ValueError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ValueError(NO_MATPLOTLIB) from error
    figure = Figure((width, height), dpi=150, layout="constrained", facecolor="white")
    axes = list(figure.subplots(squeeze=False, **grid)[:, 0])
    for ax in axes:
        ax.grid(color="#dddddd", linewidth=0.8)
        ax.set_axisbelow(True)
        ax.spines[["top", "right"]].set_visible(False)
        ax.tick_params(labelsize=TEXT - 1)
    return figure, axes


def name_axes(ax: "Axes", x: str, y: str) -> None:
    """Name both axes."""
    ax.set_xlabel(x, fontsize=TEXT)
    ax.set_ylabel(y, fontsize=TEXT)
