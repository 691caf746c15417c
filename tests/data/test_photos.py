"""Photos by path and label."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from scapnet.data.photos import PhotoList


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    state = torch.get_rng_state()
    yield
    torch.set_rng_state(state)


def test_a_subset_keeps_names_and_order(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in "abc"]
    part = PhotoList(paths, [0, 1, 0], ["x", "y"]).subset([2, 1])
    assert (part.paths, part.labels, part.classes) == ((paths[2], paths[1]), (0, 1), ("x", "y"))
