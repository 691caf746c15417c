"""The style of the figures."""

import sys

import pytest
import torch

from scapnet.experiments.figures.style import new_figure, palette


def test_the_palette_runs_from_dark_to_bright() -> None:
    colours = palette()
    assert colours.shape == (256, 3)
    # The luminance of inferno rises all the way, so that a map can be read without its colours.
    luminance = (colours * torch.tensor([0.2126, 0.7152, 0.0722])).sum(1)
    assert float(luminance.diff().min()) > -1  # of rounding
    assert float(luminance[0]) < 1
    assert float(luminance[-1]) > 240


def test_a_missing_matplotlib_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    for draw in (palette, lambda: new_figure(1, 1)):
        with pytest.raises(ValueError, match=r'pip install "scapnet\[figures\]"'):
            draw()
