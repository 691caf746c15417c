"""CSV files."""

import csv
from pathlib import Path

import pytest

from scapnet.csvfile import write_csv


def test_names_of_every_kind_come_back(tmp_path: Path) -> None:
    rows = [["a,b", 'the "rook"'], ["two\nlines", "Häher"], ["", "3"]]
    write_csv(tmp_path / "t.csv", ("x", "y"), rows)
    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [["x", "y"], *rows]
    write_csv(tmp_path / "t.csv", ["name"], [[b"caf\xe9".decode(errors="surrogateescape")]])
    assert (tmp_path / "t.csv").read_bytes() == b"name\ncaf\\udce9\n"
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝"])
def test_no_cell_is_a_formula(tmp_path: Path, start: str) -> None:
    write_csv(tmp_path / "t.csv", ("name", "share"), [[start + "1", -0.5], ["a" + start, "0.5"]])
    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file))[1:] == [[f"'{start}1", "-0.5"], ["a" + start, "0.5"]]
