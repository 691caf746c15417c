"""Downloads: a data set's archives, fetched with pooch and unpacked into a folder that is complete or absent."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pooch
import requests
from filelock import FileLock

from scapnet.data.info import Archive
from scapnet.data.unpack import unpack
from scapnet.errors import reason

RETRIES = 9  # pooch waits 1, 2, ... seconds before them, 45 in total
TEMPORARY = (408, 425, 429, 500, 502, 503, 504)  # HTTP statuses that another try may change
SUFFIXES = (".zip", ".tar", ".tgz", ".tbz2", ".txz", ".tar.gz", ".tar.bz2", ".tar.xz")
MARGIN = 256 * 2**20  # bytes that an archive may unpack to, on top of four times its size


def download(archives: Sequence[Archive], root: Path, limit: int | None = None) -> Path:
    """Download archives and unpack them into one new folder, which is either complete or absent.

    The work happens in a hidden folder beside it; if it fails, complete archives stay there for the next call. A folder
    that already holds something is left alone. Two processes may call this at the same time: one works, the other
    waits.

    Args:
        archives: all archives of a data set; a file of another kind is copied as it is.
        root: the folder that they are unpacked into.
        limit: the most bytes that one archive may unpack to; by default 4 times its size plus 256 MiB.

    Raises:
        ValueError: a file that cannot be fetched, has the wrong checksum or is not a safe archive; a disk that is full
            or not writable.
    """
    root = Path(os.path.abspath(root))
    work = root.with_name(f".{root.name}.download")
    if _filled(root):
        return root
    with _writing(work):
        work.mkdir(parents=True, exist_ok=True)
        lock = root.with_name(f".{root.name}.lock")
        with FileLock(lock):
            if not _filled(root):
                _fill(archives, root, work, limit)
        lock.unlink(missing_ok=True)  # a process that waits for it finds the folder filled
        shutil.rmtree(work, ignore_errors=True)
    return root


def _filled(root: Path) -> bool:
    return root.exists() and (not root.is_dir() or any(root.iterdir()))


def _fill(archives: Sequence[Archive], root: Path, work: Path, limit: int | None) -> None:
    complete = {archive.filename for archive in archives}
    for path in list(work.iterdir()):  # left by a killed process
        if path.name not in complete:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    paths = [_fetch(archive, work) for archive in archives]
    draft = work / ".unpacked"
    draft.mkdir()
    try:
        for path in paths:
            _place(path, draft, limit)
        draft.rename(root)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _place(path: Path, draft: Path, limit: int | None) -> None:
    if not path.name.lower().endswith(SUFFIXES):
        shutil.copyfile(path, draft / path.name)
        return
    try:
        unpack(path, draft, limit or 4 * path.stat().st_size + MARGIN)
    except ValueError:
        path.unlink()  # the next call fetches it again
        raise


def _fetch(archive: Archive, folder: Path) -> Path:
    """Fetch a complete file, with the right checksum if one is known; pooch keeps nothing of a failed attempt."""
    source = pooch.create(
        folder, "", registry={archive.filename: None}, urls={archive.filename: archive.url}, retry_if_failed=RETRIES
    )
    try:
        path = Path(source.fetch(archive.filename, downloader=_Downloader(archive)))
    except (_Refused, requests.RequestException) as error:
        raise ValueError(
            f"{archive.url} cannot be downloaded ({reason(error)}); try again later, or get the data set by hand"
        ) from error
    # Not pooch's own check, which would retry after a wrong checksum as often as after a broken connection.
    found = pooch.file_hash(str(path), archive.kind) if archive.checksum else None
    if archive.checksum and found != archive.checksum.lower():
        path.unlink()
        raise ValueError(
            f"{archive.url} has {archive.kind} {found} instead of {archive.checksum}; it was deleted, so try again: "
            "if this happens again, it is not the published file"
        )
    return path


class _Refused(Exception):
    """A failure that a retry cannot cure; pooch retries after a ValueError or a RequestException."""


class _Downloader(pooch.HTTPDownloader):  # type: ignore[misc]  # pooch has no types
    """Pooch's downloader with a progress bar on a terminal, and without retries where they cannot help."""

    def __init__(self, archive: Archive) -> None:
        headers = {"Accept-Encoding": "identity"}  # else requests would unpack a .gz sent with that encoding
        super().__init__(sys.stderr.isatty(), 2**20, headers=headers, hooks={"response": _response_check(archive)})

    def __call__(self, *args: Any, **options: Any) -> None:
        try:
            super().__call__(*args, **options)
        except requests.RequestException as error:
            if _temporary(error):
                raise
            raise _Refused(reason(error)) from error


def _temporary(error: requests.RequestException) -> bool:
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return error.response.status_code in TEMPORARY
    broken = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
    return isinstance(error, broken) and not isinstance(error, requests.exceptions.SSLError)


def _response_check(archive: Archive) -> Callable[..., None]:
    """The checks that requests does not make, on redirects too; it follows those to http and https only."""

    def check(response: requests.Response, **_: object) -> None:
        target = response.headers.get("Location", "")
        if response.is_redirect and response.url.startswith("https:") and target.startswith("http:"):
            raise _Refused(f"it redirects to {target}, without encryption")
        sized = {"content-length", "transfer-encoding"} & {name.lower() for name in response.headers}
        if not response.is_redirect and not sized and archive.checksum is None:
            raise _Refused("the server sends no length and no checksum is known, so half a file would look complete")

    return check


@contextmanager
def _writing(place: Path) -> Iterator[None]:
    """Turn disk errors into one sentence."""
    try:
        yield
    except OSError as error:
        raise ValueError(
            f"cannot write {error.filename or place} ({error.strerror or reason(error)}); free some space, or give "
            "another folder"
        ) from error
