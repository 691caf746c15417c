"""What a user names to be predicted: photos, folders, patterns, addresses and batches, one photo after the other."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from glob import has_magic, iglob
from itertools import chain, islice
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar, cast

from PIL import Image

from scapnet.data.files import Listing, each_once, find_photos, natural
from scapnet.data.inputs import Photo, is_address

Photos = Photo | Iterable[Photo]
MOST_THREADS = 4
COUNTED = 20_000  # files that are listed before work starts, so that a bar knows how many there are; more are not
T = TypeVar("T")
R = TypeVar("R")


def is_one(photos: Photos) -> bool:
    """Whether it is one photo, and not a folder, a pattern, a batch or a collection of photos."""
    if isinstance(photos, str | PathLike):
        return is_address(photos) or not (Path(photos).is_dir() or _is_pattern(photos))
    if isinstance(photos, bytes | bytearray | memoryview | Image.Image) or hasattr(photos, "read"):
        return True
    return hasattr(photos, "__array__") and not _is_batch(photos)


def _is_pattern(path: str | PathLike[str]) -> bool:
    return has_magic(os.fspath(path)) and not os.path.lexists(path)  # a file may be called "a[1].jpg"


def _is_batch(photos: Any) -> bool:
    return getattr(photos, "ndim", 0) == 4


def each_photo(photos: Photos, listing: Listing) -> Iterator[Photo]:
    """The photos of a collection, of folders, patterns and batches, in order.

    Args:
        photos: see `scapnet.Predictor`.
        listing: gets what is skipped in the folders.

    Raises:
        ValueError: a path of a sequence that does not exist, or a pattern that no file matches; at once, and not when
            it is reached. A path that an iterator gives is not checked.
    """
    if isinstance(photos, str | PathLike) or is_one(photos) or _is_batch(photos):
        photos = cast(Sequence[Photo], [photos])
    if not isinstance(photos, Sequence):
        return chain.from_iterable(_inside(photo, listing) for photo in cast(Iterable[Photo], photos))
    if all(isinstance(photo, str | PathLike) and not is_address(photo) for photo in photos):
        return expand(cast(Sequence[str | PathLike[str]], photos), listing)
    for photo in photos:
        if isinstance(photo, str | PathLike) and not is_address(photo):
            _check(photo)
    return chain.from_iterable(_inside(photo, listing) for photo in photos)


def _inside(photo: Any, listing: Listing) -> Iterator[Photo]:
    """The photos of one item of a collection."""
    if _is_batch(photo):
        yield from photo
    elif is_one(photo) or not isinstance(photo, str | PathLike):
        yield photo
    else:
        yield from expand([photo], listing)


def _check(path: str | PathLike[str]) -> None:
    if _is_pattern(path):
        if next(iglob(os.fspath(path), recursive=True), None) is None:
            raise ValueError(f"no file matches {os.fspath(path)}")
    elif not os.path.exists(path):
        raise ValueError(f"there is no file or folder {os.fspath(path)}")


def expand(paths: Iterable[str | PathLike[str]], listing: Listing) -> Iterator[Path]:
    """Files, those that match a pattern such as ``photos/*.jpg``, and the photos of folders; each of them once.

    Args:
        paths: files and patterns, which are files in the order of the numbers in their names, and folders.
        listing: gets what is skipped in the folders.

    Raises:
        ValueError: a path that does not exist, or a pattern that no file matches; at once, and not when it is reached.
    """
    found: list[Path] = []
    for path in paths:
        _check(path)
        matches = iglob(os.fspath(path), recursive=True) if _is_pattern(path) else [os.fspath(path)]
        found += map(Path, sorted(matches, key=natural))
    return (
        file for path in each_once(found, listing) for file in (find_photos(path, listing) if path.is_dir() else [path])
    )


def counted(items: Iterable[T]) -> tuple[Iterator[T], int | None]:
    """The items, and how many they are where that is known or soon found out."""
    if isinstance(items, Sequence):
        return iter(items), len(items)
    items = iter(items)
    first = list(islice(items, COUNTED))
    return chain(first, items), len(first) if len(first) < COUNTED else None


def read_ahead(
    items: Iterable[T], read: Callable[[T], R], ahead: int, threads: int | None, here: Callable[[T], bool]
) -> Iterator[R]:
    """What ``read`` gives for each item, in order, read by threads while the results before are used.

    Args:
        items: taken in the caller's thread, when there is room.
        read: a function that threads may call at the same time.
        ahead: the most results that are waiting or being made.
        threads: None is as many as cores, at most four; 0 reads an item when its result is asked for.
        here: whether an item must be read in the caller's thread, before the next one is taken.

    Raises:
        Exception: what ``read`` raised, at the item's turn.
    """
    threads = min(MOST_THREADS, os.cpu_count() or 1) if threads is None else threads
    if threads == 0:
        yield from map(read, items)
        return
    waiting: deque[Callable[[], R]] = deque()
    pool = ThreadPoolExecutor(threads, "scapnet-read")
    try:
        for item in items:
            waiting.append(_read_here(read, item) if here(item) else pool.submit(read, item).result)
            if len(waiting) > ahead:
                yield waiting.popleft()()
        while waiting:
            yield waiting.popleft()()
    finally:
        pool.shutdown(cancel_futures=True)


def _read_here(read: Callable[[T], R], item: T) -> Callable[[], R]:
    """A result that is made now and handed out, or raised, later."""
    found: Future[R] = Future()
    try:
        found.set_result(read(item))
    except Exception as error:
        found.set_exception(error)
    return found.result


def needs_this_thread(photo: Photo) -> bool:
    """Whether a photo may change or be closed by whoever gave it, once the next one is taken: all but files by name."""
    return not isinstance(photo, str | PathLike | bytes)
