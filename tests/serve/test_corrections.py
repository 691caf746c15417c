"""Corrections: a table to train on, without formulas, and photos kept once."""

import csv
from pathlib import Path

import pytest
import torch

from samples import painted
from scapnet.data.datasets.table import read_table
from scapnet.data.images import to_tensor
from scapnet.serve.corrections import HEADER, Corrections


def test_the_table_trains_a_model(tmp_path: Path) -> None:
    saved, image = Corrections(tmp_path / "new"), to_tensor(painted(20, 30))
    assert not (tmp_path / "new").exists()
    first = saved.add(image, "rook", "crow", 0.5, "birds")
    saved.add(to_tensor(painted(20, 31)), "rook", "jay, blue", 0.9, "birds")
    assert saved.add(image, "jay, blue", "crow", 0.25, "birds") == first  # a second thought takes the first's place
    with saved.table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert tuple(rows[0]) == HEADER
    assert [row[1:5] for row in rows[1:]] == [
        ["rook", "jay, blue", "0.9000", "birds"],
        ["jay, blue", "crow", "0.2500", "birds"],
    ]
    assert len(list((tmp_path / "new" / "photos").iterdir())) == 2
    photos = read_table(tmp_path / "new", saved.table, ("jay, blue", "rook"))["train"]
    assert torch.equal(photos[1].image, image)
    assert photos.labels == (1, 0)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"])
def test_formulas_are_text(tmp_path: Path, text: str) -> None:
    Corrections(tmp_path).add(to_tensor(painted(8, 8)), text, text, 0.5, text)
    with (tmp_path / "corrections.csv").open(encoding="utf-8", newline="") as file:
        row = list(csv.reader(file))[1]
    assert [row[i] for i in (1, 2, 4)] == ["'" + text] * 3
