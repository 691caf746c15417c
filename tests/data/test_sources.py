"""Collections of photos, and reading them ahead."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from samples import painted
from scapnet.data import sources
from scapnet.data.files import Listing
from scapnet.data.sources import counted, each_photo, expand, is_one, needs_this_thread, read_ahead


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in ("10.png", "2.png", "a[1].png", "deep/3.png"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        painted(8, 8).save(tmp_path / "photos" / name)
    (tmp_path / "photos" / "notes.txt").touch()
    return tmp_path / "photos"


def names(given: Any) -> list[str]:
    return [Path(str(found)).name for found in each_photo(given, Listing())]


def test_folders_patterns_and_files_give_their_photos_in_order(photos: Path) -> None:
    everything = ["2.png", "10.png", "a[1].png", "3.png"]
    assert names(photos) == names(str(photos)) == names([photos]) == everything
    assert names(f"{photos}/*.png") == everything[:3]
    assert names(f"{photos}/**/*.png") == names([f"{photos}/**/3.png", photos]) == [*everything[:3], "3.png"]
    assert names(f"{photos}/[12]*.png") == everything[:2]
    assert names(photos / "a[1].png") == ["a[1].png"]  # a file's name, not a pattern
    assert names(iter([photos, photos / "2.png"])) == [*everything, "2.png"]  # an iterator may repeat itself
    assert names([photos, photos / "2.png"]) == everything


def test_what_is_one_photo(photos: Path) -> None:
    one: list[Any] = [photos / "2.png", "gone.jpg", "http://localhost/a/*.jpg", "file:///a", b"x", painted(8, 8)]
    one += [np.zeros((8, 8)), np.zeros((8, 8, 3)), torch.zeros(3, 8, 8), photos / "a[1].png", memoryview(b"x")]
    many: list[Any] = [
        photos,
        f"{photos}/*.png",
        [b"x"],
        (b"x",),
        iter(()),
        np.zeros((1, 8, 8, 3)),
        torch.zeros(1, 3, 8, 8),
    ]
    assert [is_one(photo) for photo in one] == [True] * len(one)
    assert [is_one(photo) for photo in many] == [False] * len(many)
    with (photos / "2.png").open("rb") as file:
        assert is_one(file)


def test_batches_are_taken_apart_wherever_they_are() -> None:
    batch = torch.arange(2 * 3 * 4 * 4).reshape(2, 3, 4, 4)
    for given in (batch, [batch], iter([batch]), [batch[0], batch[1]]):
        found: list[Any] = list(each_photo(given, Listing()))
        assert len(found) == 2
        assert torch.equal(torch.stack(found), batch)
    array = np.zeros((3, 5, 4, 3))
    assert [getattr(one, "shape", None) for one in each_photo(array, Listing())] == [(5, 4, 3)] * 3


def test_missing_paths_of_a_list_are_said_at_once(photos: Path) -> None:
    wrong: list[Any] = [["gone.jpg"], [photos, "gone.jpg"], [b"x", "gone.jpg"], "gone.jpg"]
    for given in wrong:
        with pytest.raises(ValueError, match=r"there is no file or folder gone\.jpg"):
            each_photo(given, Listing())
    with pytest.raises(ValueError, match=r"no file matches .*\*\.tif"):
        expand([f"{photos}/*.tif"], Listing())
    assert list(each_photo(iter(["gone.jpg"]), Listing())) == ["gone.jpg"]  # a long iterator goes on


def test_a_listing_names_files_that_are_not_photos(photos: Path) -> None:
    listing = Listing()
    assert len(list(each_photo([photos, "http://localhost/1.jpg"], listing))) == 5
    assert [skipped.path.name for skipped in listing.skipped] == ["notes.txt"]


@pytest.mark.parametrize("threads", [0, 1, 4, None])
def test_results_come_in_order(threads: int | None) -> None:
    square = [i * i for i in range(50)]
    assert list(read_ahead(range(50), lambda i: i * i, 3, threads, lambda i: i % 7 == 0)) == square


@pytest.mark.parametrize("threads", [1, 3])
def test_no_more_is_taken_than_fits(threads: int) -> None:
    taken: list[int] = []
    items = map(taken.append, range(100))
    for done, _ in enumerate(read_ahead(items, str, 5, threads, lambda _: False)):
        assert len(taken) <= done + 1 + 5
    assert len(taken) == 100


def test_without_threads_an_item_is_taken_when_it_is_asked_for() -> None:
    items = iter(range(10))
    found = read_ahead(items, str, 5, 0, lambda _: False)
    assert next(found) == "0"
    assert next(items) == 1


def test_an_error_comes_at_its_turn_and_a_reader_that_leaves_stops_the_threads() -> None:
    def fail(i: int) -> int:
        if i == 3:
            raise OSError("bad")
        return i

    for here in (bool, lambda _: False):
        found = read_ahead(range(9), fail, 4, 2, here)
        assert [next(found), next(found), next(found)] == [0, 1, 2]
        with pytest.raises(OSError, match="bad"):
            next(found)
    left = read_ahead(range(99), str, 4, 2, lambda _: False)
    next(left)
    left.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("scapnet-read")]


def test_what_its_giver_may_close_is_read_before_the_next_is_taken() -> None:
    """A generator closes its files when it goes on."""
    open_now: set[int] = set()

    class Given:
        def __init__(self, i: int) -> None:
            self.i = i

    def items() -> Iterator[Any]:
        for i in range(20):
            open_now.add(i)
            yield Given(i)
            open_now.remove(i)

    assert all(read_ahead(items(), lambda given: given.i in open_now, 6, 3, needs_this_thread))
    assert [needs_this_thread(p) for p in ("a", Path("a"), b"a", painted(2, 2))] == [False, False, False, True]


def test_counting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "COUNTED", 3)
    cases: list[tuple[Any, int | None]] = [([1, 2, 3, 4], 4), (iter([1, 2]), 2), (iter([1, 2, 3, 4]), None)]
    for items, count in cases:
        found, total = counted(items)
        assert total == count
        assert list(found) == [1, 2, 3, 4][: count or 4]
