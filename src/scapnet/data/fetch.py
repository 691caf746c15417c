"""Downloads that can be broken off at any moment: they go on where they stopped, and never leave half a data set.

On urllib of the standard library: torchvision's helper starts anew after a break and follows any redirect, and
huggingface_hub's goes on only with files of its hub.
"""

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from filelock import FileLock

from scapnet.console import ProgressBar as Bar
from scapnet.data.info import Archive
from scapnet.data.partial import Part, digest
from scapnet.data.unpack import BLOCK, extract, unpack, writing
from scapnet.data.web import Broken, length_of, passing, request, version_of

__all__ = ["Archive", "download", "fetch", "unpack"]

WAITS = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)  # seconds before a new try
SUFFIXES = (".zip", ".tar", ".tgz", ".tbz2", ".txz", ".tar.gz", ".tar.bz2", ".tar.xz")
NOT_TOLD = 256 * 2**20  # bytes that may come out of an archive on top of four times its size


class Counts(Protocol):
    """What shows progress; `progress.Bar` is one."""

    def start(self, name: str, total: int | None, done: int = 0) -> None:
        """Begin with ``done`` of ``total`` bytes behind it."""

    def advance(self, count: int) -> None:
        """Count bytes."""

    def note(self, text: str) -> None:
        """Say something."""


def download(
    archives: Sequence[Archive],
    root: Path,
    bar: Counts | None = None,
    pause: Callable[[float], object] = time.sleep,
    limit: int | None = None,
) -> Path:
    """Download and unpack archives into one new folder, which is there whole or not at all.

    What has come is kept in a hidden folder beside it until all is there, and the next call goes on with it. A folder
    that already holds something is left alone. Two processes may call this at once: one works, the other waits.

    Args:
        archives: all archives of a data set.
        root: the folder that they unpack to.
        bar: shows the progress; by default a bar of bytes.
        pause: waits some seconds between two tries.
        limit: most bytes that may come out of one archive; by default 4 times its size and 256 MiB on top.

    Raises:
        ValueError: see `fetch` and `unpack`.
    """
    root = Path(os.path.abspath(root))
    work = root.with_name(f".{root.name}.download")
    if _filled(root):
        return root
    with writing(work):
        work.mkdir(parents=True, exist_ok=True)
        lock = root.with_name(f".{root.name}.lock")
        with FileLock(lock):
            if not _filled(root):
                _fill(archives, root, work, bar, pause, limit)
        lock.unlink(missing_ok=True)  # who waits for it takes a new one and finds all done
        shutil.rmtree(work, ignore_errors=True)
    return root


def _filled(root: Path) -> bool:
    return root.exists() and (not root.is_dir() or any(root.iterdir()))


def _fill(
    archives: Sequence[Archive],
    root: Path,
    work: Path,
    bar: Counts | None,
    pause: Callable[[float], object],
    limit: int | None,
) -> None:
    with contextlib.ExitStack() as stack:
        shown = stack.enter_context(Bar("bytes")) if bar is None else bar
        paths = [fetch(archive, work, shown, pause) for archive in archives]
    draft = work / "unpacked"
    shutil.rmtree(draft, ignore_errors=True)  # what a killed process left
    draft.mkdir()
    try:
        for path in paths:
            _place(path, draft, limit)
        draft.rename(root)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def _place(path: Path, draft: Path, limit: int | None) -> None:
    if not path.name.lower().endswith(SUFFIXES):
        shutil.copyfile(path, draft / path.name)
        return
    try:
        extract(path, draft, limit or 4 * path.stat().st_size + NOT_TOLD)
    except ValueError:
        path.unlink()  # a damaged one has to come again
        raise


def fetch(
    archive: Archive, folder: Path, bar: Counts | None = None, pause: Callable[[float], object] = time.sleep
) -> Path:
    """Download one file; a download that was broken off goes on where it stopped if the file is still the same.

    Args:
        archive: the file.
        folder: where it goes; it is made if need be.
        bar: shows the progress.
        pause: waits some seconds between two tries.

    Returns:
        ``folder / archive.filename``, which is whole and has the checksum, if one is known.

    Raises:
        ValueError: an address that is not http or https or has no such file; a server that keeps breaking off; a wrong
            checksum; a disk that is full or may not be written.
    """
    if archive.filename in ("", ".", "..") or set(archive.filename) & set("/\\:\0"):
        raise ValueError(f"{archive.filename!r} is no plain file name; give a name without a folder")
    path = folder / archive.filename
    if path.is_file():
        found = digest(path, archive.kind) if archive.checksum else None
        if found != (archive.checksum and archive.checksum.lower()):
            raise ValueError(f"{path} has {archive.kind} {found} and not {archive.checksum}; remove it and try again")
        return path
    part = Part(folder / f".{archive.filename}.part", archive.url)
    with writing(part.path):
        folder.mkdir(parents=True, exist_ok=True)
        for wait in (*WAITS, None):
            try:
                _attempt(part, archive.checksum is not None, bar)
                break
            except Broken as error:
                _wait(part, error, wait, bar, pause)
        return part.finish(path, archive.checksum, archive.kind)


def _wait(part: Part, error: Broken, wait: float | None, bar: Counts | None, pause: Callable[[float], object]) -> None:
    if wait is None:
        raise ValueError(
            f"{part.url} failed {len(WAITS) + 1} times, at last because {error.args[0]}; "
            f"the {part.size():,} bytes that came are kept, so try again later"
        ) from error
    if bar is not None:
        bar.note(f"{part.url}: {error.args[0]}; trying again in {wait:g} s")
    pause(wait)


def _attempt(part: Part, sure: bool, bar: Counts | None) -> None:
    """One request: the rest of the file, or all of it."""
    known = part.known()
    done, version, total = part.size(), known.get("version"), known.get("total")
    if known and done == total:
        return  # killed between the last byte and the new name
    with _ask(part, {"Range": f"bytes={done}-", "If-Range": version} if version else {}) as response:
        if response.status == 206:
            _check_rest(part, response, done, known)
        else:
            done, total = 0, length_of(response)
            if total is None and not response.chunked and not sure:
                raise ValueError(f"{part.url} tells no length, so half of it would look whole; get it by hand")
            part.begin(version_of(response.headers), total)
        _check_room(part, total, done)
        if bar is not None:
            bar.start(part.path.name[1:].removesuffix(".part"), total, done)
        _receive(part, response, bar)
    if total is not None and part.size() != total:
        raise Broken(f"it broke off after {part.size():,} of {total:,} bytes")


def _ask(part: Part, headers: dict[str, str]) -> Any:
    try:
        return request(part.url, headers)
    except Broken as error:
        if error.args[1:] == (416,):  # the file has become shorter than what came of it
            part.drop()
        raise


def _receive(part: Part, response: Any, bar: Counts | None) -> None:
    with part.path.open("ab") as file:
        while True:
            with passing():
                block = response.read1(BLOCK)  # what is there: a break then costs none of what came before it
            if not block:
                break
            file.write(block)
            if bar is not None:
                bar.advance(len(block))
        file.flush()
        os.fsync(file.fileno())


def _check_rest(part: Part, response: Any, done: int, known: dict[str, Any]) -> None:
    """Start anew unless the server goes on with the same version from the right byte."""
    span, _, total = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
    same = version_of(response.headers) in (None, known["version"]) and total == str(known.get("total") or total)
    if span.split("-")[0] != str(done) or not same:
        part.drop()
        raise Broken("the server answered with another part or version of the file")


def _check_room(part: Part, total: int | None, done: int) -> None:
    free = shutil.disk_usage(part.path.parent).free
    if total is not None and total - done > free:
        raise ValueError(
            f"{part.url} needs {total - done:,} more bytes and {part.path.parent} has {free:,} free; make some room"
        )
