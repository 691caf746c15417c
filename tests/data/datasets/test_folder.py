"""Class folders of every shape."""

import contextlib
from pathlib import Path

import pytest

from samples import photo
from scapnet.data.datasets.folder import load_folder
from scapnet.data.files import Listing, find_photos


def fill(root: Path, counts: dict[str, int]) -> None:
    for name, count in counts.items():
        for i in range(count):
            photo(root / name / f"{i}.png")


def test_splits_are_read_from_their_folders(tmp_path: Path) -> None:
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
        ({"train/a": 2}, "train/b", r"class folders without photos: .*/train/b; put photos there"),
        ({"a": 2, "c": 2}, "b", r"class folders without photos: .*/b; put photos there"),
        ({"train/a": 2, "train/b": 2, "val/x": 1}, None, r"x is a class that the training photos do not have"),
        ({"train/Robin": 2, "train/b": 2, "val/robin": 1}, None, r"do not have \(they have 'Robin'\); add it"),
        ({"train/a": 2}, None, r"at least 2 class folders are needed, and .* has 1"),
        ({"a": 2}, None, r"at least 2 class folders are needed, and .* has 1"),
        ({}, "train", r"at least 2 class folders are needed, and .* has 0"),
    ],
)
def test_mistakes_in_folders_are_named(tmp_path: Path, counts: dict[str, int], empty: str | None, words: str) -> None:
    fill(tmp_path, counts)
    if empty:
        (tmp_path / empty).mkdir(parents=True)
    with pytest.raises(ValueError, match=words) as error:
        load_folder(tmp_path, 0.25, 0)
    assert str(tmp_path) in str(error.value)


def test_a_missing_folder_and_a_wrong_fraction_are_named(tmp_path: Path) -> None:
    for root, words in ((tmp_path / "no", "there is no folder .*no; "), (None, "--data.root")):
        with pytest.raises(ValueError, match=words):
            load_folder(root, 0.1, 0)
    fill(tmp_path, {"a": 2, "b": 2})
    for fraction in (0.0, 1.0, -1.0):
        with pytest.raises(ValueError, match="val_fraction"):
            load_folder(tmp_path, fraction, 0)


@pytest.mark.parametrize("empty", ["val", "test", None])
def test_no_split_is_empty(tmp_path: Path, empty: str | None) -> None:
    """A split without photos cannot be scored: it is refused, or it is not a split."""
    fill(tmp_path, {"train/a": 1, "train/b": 1} if empty is None else {"train/a": 4, "train/b": 4})
    if empty is not None:
        fill(tmp_path, {"val/a" if empty == "test" else "test/a": 2})
        (tmp_path / empty).mkdir()
    splits = None
    with contextlib.suppress(ValueError):
        splits = load_folder(tmp_path, 0.25, 0)
    assert splits is None or all(split is None or len(split) > 0 for split in splits[:3])


# --- order, names and links ---


def test_classes_and_files_are_in_the_order_of_numbers(tmp_path: Path) -> None:
    for name in ("10", "9", "-1"):
        for number in (10, 9, 1):
            photo(tmp_path / name / f"IMG_{number}.png")
    train = load_folder(tmp_path, None, 0).train
    assert train.classes == ("-1", "9", "10")
    assert [Path(train[i].path).name for i in range(3)] == ["IMG_1.png", "IMG_9.png", "IMG_10.png"]
    before = load_folder(tmp_path, None, 0, "text").train
    assert before.classes == ("-1", "10", "9")
    assert [Path(before[i].path).name for i in range(3)] == ["IMG_1.png", "IMG_10.png", "IMG_9.png"]


def test_names_without_numbers_are_in_alphabetical_order(tmp_path: Path) -> None:
    for name in ("b", "B", "a c", "a", "\u00e9", "001.x", "002.y"):
        for number in range(12):
            photo(tmp_path / name / f"{number:03d}.png")
    one, other = (load_folder(tmp_path, 0.25, 3, order) for order in ("numbers", "text"))
    assert one.train.classes == other.train.classes
    assert one.drawn == other.drawn


def test_accents_in_two_forms_are_one_class(tmp_path: Path) -> None:
    composed, apart = "Ha\u0308her", "H\u00e4her"
    for name in (f"train/{apart}", "train/b", f"val/{composed}", f"test/{apart}"):
        photo(tmp_path / name / "1.png")
    train, val, test, *_ = load_folder(tmp_path, None, 0)
    assert train.classes == ("H\u00e4her", "b")
    assert val is not None
    assert test is not None
    assert (list(val.labels), list(test.labels)) == ([0], [0])


def test_a_class_folder_may_be_a_link(tmp_path: Path) -> None:
    photo(tmp_path / "pool" / "a" / "1.png")
    photo(tmp_path / "set" / "b" / "1.png")
    (tmp_path / "set" / "a").symlink_to(tmp_path / "pool" / "a", target_is_directory=True)
    assert list(load_folder(tmp_path / "set", None, 0).train.labels) == [0, 1]


@pytest.mark.parametrize(
    ("link", "target", "words"),
    [
        ("val/a/9.png", "train/a/1.png", "are the same file in two splits"),
        ("train/b/9.png", "train/a/1.png", "are the same file in two classes"),
        ("val/a", "train/a", "are the same file in two splits"),
        ("train/b/more", "train/a", "are the same file in two classes"),
        ("test", "train", "are the same file in two splits"),
    ],
)
def test_a_file_in_two_splits_or_classes_is_refused(tmp_path: Path, link: str, target: str, words: str) -> None:
    for name in ("train/a", "train/b"):
        photo(tmp_path / name / "1.png")
    (tmp_path / link).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / link).symlink_to(tmp_path / target)
    with pytest.raises(ValueError, match=words) as error:
        load_folder(tmp_path, None, 0)
    assert str(tmp_path / "train" / "a" / "1.png") in str(error.value)


def test_links_to_a_pool_of_photos_are_photos(tmp_path: Path) -> None:
    for i, name in enumerate(("train/a", "train/b", "val/a", "val/b")):
        photo(tmp_path / "pool" / f"{i}.png")
        (tmp_path / "set" / name).mkdir(parents=True)
        (tmp_path / "set" / name / "x.png").symlink_to(tmp_path / "pool" / f"{i}.png")
    train, val, *_ = load_folder(tmp_path / "set", None, 0)
    assert val is not None
    assert (len(train), len(val)) == (2, 2)


def test_a_class_with_no_readable_file_says_what_is_in_it(tmp_path: Path) -> None:
    photo(tmp_path / "a" / "1.png")
    (tmp_path / "b").mkdir()
    for i in range(3):
        (tmp_path / "b" / f"{i}.CR2").touch()
    words = r"without photos: .*/b \(\.cr2 files \(camera raw; export them as JPEG\): 3 \(.*0\.CR2, \.\.\.\)\)"
    with pytest.raises(ValueError, match=words):
        load_folder(tmp_path, None, 0)


def test_a_class_that_a_split_lacks_is_reported(tmp_path: Path) -> None:
    fill(tmp_path, {"train/a": 2, "train/b": 2, "val/a": 1})
    (tmp_path / "val" / "b").mkdir()
    splits = load_folder(tmp_path, None, 0)
    assert splits.notes == (f"no photos in {tmp_path / 'val' / 'b'}",)


def test_training_and_prediction_skip_the_same_files(tmp_path: Path) -> None:
    fill(tmp_path, {"a": 2, "b": 1})
    for name in ("a/notes.txt", "a/clip.mp4", "b/._0.png"):
        (tmp_path / name).touch()
    (tmp_path / "b" / "9.png").symlink_to(tmp_path / "gone.png")
    splits, listing = load_folder(tmp_path, None, 0), Listing()
    files = list(find_photos(tmp_path, listing))
    assert [str(path) for path in files] == [splits.train[i].path for i in range(3)]
    assert sorted(splits.skipped) == sorted(listing.skipped)
    assert len(listing.skipped) == 4
