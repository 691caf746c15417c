"""Class folders of every shape."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image

from scapnet.data.datasets.folder import load_folder


def photo(path: Path, side: int = 8) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (side, side), "red").save(path)
    return path


def fill(root: Path, counts: dict[str, int]) -> None:
    for name, count in counts.items():
        for i in range(count):
            photo(root / name / f"{i}.png")


def test_splits_are_read_as_they_lie(tmp_path: Path) -> None:
    fill(tmp_path, {"train/ä b": 3, "train/c": 2, "train/.x": 1, "val/c": 1, "test/ä b": 2})
    train, val, test, *_ = load_folder(tmp_path, 0.1, 0)
    assert val is not None
    assert test is not None
    assert train.classes == val.classes == test.classes == ("c", "ä b")
    assert (list(train.labels), list(val.labels), list(test.labels)) == ([0, 0, 1, 1, 1], [0], [1, 1])
    assert train[4].label == 1
    assert Path(train[4].path).parent.name == "ä b"
    assert train[4].image.shape == (3, 8, 8)
    assert train[4].marks.shape == (0, 4)


@pytest.mark.parametrize("below", ["train/", ""])
def test_held_out_photos_are_a_fixed_share_of_every_class(tmp_path: Path, below: str) -> None:
    fill(tmp_path, {f"{below}a": 20, f"{below}b": 8, f"{below}c": 1, f"{below}d": 2})
    paths: list[list[str]] = []
    for seed in (0, 0, 1):
        train, val, test, *_ = load_folder(tmp_path, 0.25, seed)
        assert val is not None
        assert test is None
        assert [list(val.labels).count(k) for k in range(4)] == [5, 2, 0, 1]
        assert [list(train.labels).count(k) for k in range(4)] == [15, 6, 1, 1]
        held = [val[i].path for i in range(len(val))]
        assert not set(held) & {train[i].path for i in range(len(train))}
        paths.append(held)
    assert paths[0] == paths[1] != paths[2]


@pytest.mark.parametrize(
    ("counts", "empty", "words"),
    [
        ({"train/a": 2}, "train/b", r"b holds no image"),
        ({"train/a": 2, "train/b": 2, "val/x": 1}, None, r"x is a class that the training photos do not have"),
        ({"train/a": 2, "train/b": 2, "test/a": 1}, "test/b", r"b holds no image"),
        ({"train/a": 2}, None, r"has 1 class folders and at least 2"),
        ({"a": 2}, None, r"has 1 class folders and at least 2"),
        ({}, "train", r"has 0 class folders"),
    ],
)
def test_folders_that_are_wrong_are_named(
    tmp_path: Path, counts: dict[str, int], empty: str | None, words: str
) -> None:
    fill(tmp_path, counts)
    if empty:
        (tmp_path / empty).mkdir(parents=True)
    with pytest.raises(ValueError, match=words) as error:
        load_folder(tmp_path, 0.25, 0)
    assert str(tmp_path) in str(error.value)


def test_a_missing_place_and_a_wrong_fraction_are_named(tmp_path: Path) -> None:
    for root, words in ((tmp_path / "no", "there is no folder .*no; "), (None, "--data.root")):
        with pytest.raises(ValueError, match=words):
            load_folder(root, 0.1, 0)
    fill(tmp_path, {"a": 2, "b": 2})
    for fraction in (0.0, 1.0, -1.0):
        with pytest.raises(ValueError, match="val_fraction"):
            load_folder(tmp_path, fraction, 0)


@pytest.mark.parametrize("empty", ["val", "test", None])
def test_no_split_is_empty(tmp_path: Path, empty: str | None) -> None:
    """A split without photos cannot be scored: it is refused, or it is no split."""
    fill(tmp_path, {"train/a": 1, "train/b": 1} if empty is None else {"train/a": 4, "train/b": 4})
    if empty is not None:
        fill(tmp_path, {"val/a" if empty == "test" else "test/a": 2})
        (tmp_path / empty).mkdir()
    splits = None
    with contextlib.suppress(ValueError):
        splits = load_folder(tmp_path, 0.25, 0)
    assert splits is None or all(split is None or len(split) > 0 for split in splits[:3])


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    state = torch.get_rng_state()
    yield
    torch.set_rng_state(state)
