"""Tests of the drawing draw every time."""

from collections.abc import Callable

import pytest

from scapnet.data.sample import Sample
from scapnet.data.synthetic.finches import Finches


@pytest.fixture(autouse=True)
def drawn_again(monkeypatch: pytest.MonkeyPatch, drawn_once: Callable[[Finches, int], Sample]) -> None:
    monkeypatch.setattr(Finches, "__getitem__", drawn_once)
