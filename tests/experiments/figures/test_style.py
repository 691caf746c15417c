"""The style of the figures."""

import sys

import pytest

from scapnet.experiments.figures.style import new_figure


def test_a_missing_matplotlib_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ValueError, match=r'pip install "scapnet\[figures\]"'):
        new_figure(1, 1)
