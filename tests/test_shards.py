"""Shards of photos: together everything once, and merged to the bytes of one job."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samples import Command, Refuse, painted
from scapnet.features import names_file
from scapnet.shards import Shard, merge, shard_files


@given(st.integers(0, 5000), st.integers(1, 40), st.integers(1, 64))
def test_shards_are_everything_once_in_order(total: int, count: int, batch: int) -> None:
    bounds = [Shard(i, count).bounds(total, batch) for i in range(1, count + 1)]
    assert bounds[0][0] == 0
    assert bounds[-1][1] == total
    assert all(one[1] == other[0] for one, other in pairwise(bounds))
    sizes = [end - first for first, end in bounds]
    assert max(sizes) - min(sizes) <= (2 * batch if total >= count * batch else 1)


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2", "1/2/3", ""])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be I/N .*2/8"):
        Shard.parse(text)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Seven photos, one file that cannot be read and one that is no photo."""
    (tmp_path / "photos").mkdir()
    for i in range(7):
        painted(50, 60, i).save(tmp_path / "photos" / f"{i}.png")
    (tmp_path / "photos" / "3b.png").write_bytes(b"no photo")
    (tmp_path / "photos" / "notes.txt").write_text("nor this")
    return tmp_path / "photos"


@pytest.mark.parametrize(("count", "names"), [(3, ["a.csv", "a.json", "a.txt"]), (12, ["a.csv"])])
def test_merged_shards_are_what_one_job_writes(
    photos: Path, model_folder: Path, tmp_path: Path, command: Command, count: int, names: list[str]
) -> None:
    said = ""
    for name in names:
        given = "predict", model_folder, photos, "--batch-size", 1, "--out", tmp_path / name
        features = ("--features", tmp_path / "f.npy") if name == "a.csv" else ()
        command(*given, *features)
        whole = {path.name: path.read_bytes() for path in (tmp_path / name, tmp_path / "f.npy")}
        for number in range(1, count + 1):
            said += command(*given, *features, "--shard", f"{number}/{count}")[1]
        (tmp_path / name).unlink()
        out, _ = command("merge", tmp_path / name)
        assert f"{count} shards" in out
        assert (tmp_path / name).read_bytes() == whole[name]
    (tmp_path / "f.npy").unlink()
    merge(tmp_path / "f.npy")
    assert (tmp_path / "f.npy").read_bytes() == whole["f.npy"]
    assert len(np.load(tmp_path / "f.npy")) == 7
    assert names_file(tmp_path / "f.npy").read_text().count("png") == 7
    assert said.count("notes.txt") == len(names)  # the first job says it, each time
    assert said.count("3b.png is not") == len(names)


def test_a_shard_that_is_missing_or_incomplete_is_named(tmp_path: Path, refuse: Refuse) -> None:
    out = tmp_path / "a.json"
    assert "a-00001-of-00008.json" in refuse("merge", out)
    for number in (1, 3):
        Shard(number, 3).file(out).write_text("[]\n")
    assert "lacks 1 of 3 shards; run the first of them again with --shard 2/3" in refuse("merge", out)
    Shard(2, 3).file(out).write_text('[{"path": "x"}\n')
    assert "a-00002-of-00003.json is incomplete" in refuse("merge", out)
    assert not out.exists()
    Shard(2, 3).file(out).write_text('[{"path": "x"}\n]\n')
    assert len(merge(out)) == 3
    assert out.read_text() == '[{"path": "x"}\n]\n'
    Shard(1, 2).file(out).write_text("[]\n")
    with pytest.raises(ValueError, match="shards of 2 and of 3 jobs"):
        shard_files(out)


def test_tables_with_other_columns_are_not_merged(tmp_path: Path) -> None:
    out = tmp_path / "a.csv"
    Shard(1, 2).file(out).write_text("a,b\n1,2\n")
    Shard(2, 2).file(out).write_text("a,c\n1,2\n")
    with pytest.raises(ValueError, match="other columns"):
        merge(out)
    assert not out.exists()
