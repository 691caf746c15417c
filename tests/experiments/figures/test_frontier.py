"""The picture of accuracy against cost: a curve of the plain backbones, and a point for each other row."""

import pytest

from scapnet.experiments.figures.frontier import CostPoint, accuracy_against_cost

POINTS = [
    CostPoint("backbone, 224 px", 0.38, 91.0, 0.5, plain=True),
    CostPoint("SCAPNet", 0.56, 90.0, 0.0, plain=False),
    CostPoint("backbone, 128 px", 0.125, 86.0, 0.4, plain=True),
]


def test_the_curve_is_in_order_of_cost_and_others_are_separate_points() -> None:
    (ax,) = accuracy_against_cost(POINTS).axes
    curve, other = (container.lines[0] for container in ax.containers)  # type: ignore[attr-defined]
    assert list(curve.get_xdata()) == [0.125, 0.38]
    assert list(curve.get_ydata()) == [86.0, 91.0]
    assert (list(other.get_xdata()), list(other.get_ydata())) == ([0.56], [90.0])
    assert {text.get_text() for text in ax.texts} == {"128 px", "224 px"}
    legend = ax.get_legend()
    assert legend is not None
    assert {text.get_text() for text in legend.get_texts()} == {"plain backbone", "SCAPNet"}
    assert ax.get_xscale() == "log"


def test_no_point_is_one_sentence() -> None:
    with pytest.raises(ValueError, match="no run to show"):
        accuracy_against_cost([])
