"""Unpacking an archive that came from elsewhere: nothing outside the target, nothing but plain files, never half.

What an archive says about itself is checked first, and what really comes out of it is counted again.
"""

import bz2
import contextlib
import gzip
import lzma
import re
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PureWindowsPath
from typing import IO, NamedTuple, cast

from scapnet.errors import reason

BLOCK = 1 << 20  # bytes at a time
LONGEST_READ = 1 << 24  # bytes; tarfile reads a header's long name at once, however long it says it is
MAX_FILES = 1_000_000

COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00")  # gz, bz2, xz


class _Refused(ValueError):
    """What we say of an archive, told from what its reader says."""


class _Entry(NamedTuple):
    """A file or folder of an archive."""

    name: str
    size: int  # bytes, as the archive says
    folder: bool
    open: Callable[[], IO[bytes] | None]


class _Stream:
    """A tar file's unpacked bytes, with a bound on a single read."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.seek, self.tell, self.write, self.close = file.seek, file.tell, file.write, file.close

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= LONGEST_READ:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self.file.read(size)


def unpack(path: Path, target: Path, limit: int, files: int = MAX_FILES) -> Path:
    """Unpack a zip or tar (plain, gz, bz2 or xz) archive; the target is there whole or not at all.

    Files get the permissions that new files of this user have, whatever the archive says.

    Args:
        path: the archive.
        target: a folder that does not exist yet.
        limit: most bytes that may come out.
        files: most files and folders that may come out.

    Returns:
        The target.

    Raises:
        ValueError: no archive or a damaged one; an entry that leads out of the target or is no plain file or folder;
            more than the limits; a target that exists; a disk that is full or may not be written.
    """
    if target.exists():
        raise ValueError(f"{target} is there already; remove it, or unpack somewhere else")
    draft = target.with_name(f".{target.name}.draft")
    with writing(draft):
        # What a killed process left.
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        try:
            extract(path, draft, limit, files)
            draft.rename(target)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
    return target


def extract(path: Path, folder: Path, limit: int, files: int = MAX_FILES) -> int:
    """Unpack into a folder that exists and that nobody takes for a data set yet; see `unpack`.

    Returns:
        Bytes written.
    """
    written = 0
    with _archive_errors(path), _entries(path, limit) as entries:
        for count, entry in enumerate(entries, 1):
            if count > files:
                raise _Refused(f"{path.name} holds more than {files} files; it was not unpacked")
            place = folder / _safe(entry.name, path)
            if entry.folder:
                place.mkdir(parents=True, exist_ok=True)
                continue
            _within(path, written + entry.size, limit)
            place.parent.mkdir(parents=True, exist_ok=True)
            written += _copy(entry, place, path, written, limit)
    return written


def _copy(entry: _Entry, place: Path, path: Path, before: int, limit: int) -> int:
    written, source = 0, entry.open()
    if source is None:
        raise _Refused(f"{path.name} holds {entry.name!r}, which is no plain file; it was not unpacked")
    with source, place.open("wb") as file:
        while block := source.read(BLOCK):
            written += len(block)
            _within(path, before + written, limit)
            file.write(block)
    if written != entry.size:
        raise _Refused(f"{path.name} is damaged ({entry.name!r} has not the size that it tells); download it again")
    return written


def _within(path: Path, size: int, limit: int) -> None:
    if size > limit:
        raise _Refused(
            f"{path.name} unpacks to more than the {limit:,} bytes expected of it; it was not unpacked, so see that it "
            "is the right file"
        )


def _safe(name: str, path: Path) -> str:
    """A member's name if it stays inside, on any system."""
    windows = PureWindowsPath(name)
    parts = re.split(r"[\\/]", name)
    if not name or name.startswith(("/", "\\")) or windows.drive or ".." in parts or "\0" in name:
        raise _Refused(f"{path.name} holds {name!r}, which leads out of the target; it was not unpacked")
    return name


@contextlib.contextmanager
def _archive_errors(path: Path) -> Iterator[None]:
    try:
        yield
    # The readers raise errors of every kind on damaged archives, IndexError and RecursionError among them.
    except Exception as error:
        disk = isinstance(error, OSError) and error.errno is not None  # bz2's and gzip's own have no number
        if disk or isinstance(error, _Refused):
            raise
        raise _Refused(f"{path.name} is damaged ({reason(error)}); download it again") from error


@contextlib.contextmanager
def writing(place: Path) -> Iterator[None]:
    """Errors of the disk as one sentence."""
    try:
        yield
    except OSError as error:
        what = error.strerror or reason(error)
        raise ValueError(
            f"cannot write {error.filename or place} ({what}); free some space or give a folder that you may write"
        ) from error


@contextlib.contextmanager
def _entries(path: Path, limit: int) -> Iterator[Iterator[_Entry]]:
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError as error:
        raise _Refused(f"{path} cannot be read ({error.strerror}); give an archive that exists") from error
    if head.startswith(b"PK"):
        with zipfile.ZipFile(path) as archive:
            yield _zip_entries(archive, path, limit)
        return
    if not head.startswith(COMPRESSED) and head[257:262] != b"ustar" and not tarfile.is_tarfile(path):
        page = "a web page" if head.lstrip()[:1] == b"<" else "no zip or tar archive"
        raise _Refused(f"{path.name} is {page}; see that its address is the archive's own")
    with _unpacked(path, head) as stream:
        yield _tar_entries(stream, path)


def _unpacked(path: Path, head: bytes) -> IO[bytes]:
    """A tar file without its compression."""
    if head.startswith(COMPRESSED[0]):
        return cast(IO[bytes], gzip.GzipFile(path))
    if head.startswith(COMPRESSED[1]):
        return bz2.BZ2File(path)
    return lzma.LZMAFile(path) if head.startswith(COMPRESSED[2]) else path.open("rb")


def _zip_entries(archive: zipfile.ZipFile, path: Path, limit: int) -> Iterator[_Entry]:
    members = archive.infolist()
    _within(path, sum(member.file_size for member in members), limit)
    for member in members:
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise _Refused(f"{path.name} holds {member.filename!r}, which is a link or a device; it was not unpacked")
        if member.flag_bits & 1:
            raise _Refused(f"{path.name} holds {member.filename!r}, which needs a password; it was not unpacked")

        def open_member(member: zipfile.ZipInfo = member) -> IO[bytes]:
            return archive.open(member)

        yield _Entry(member.filename, member.file_size, member.is_dir(), open_member)


def _tar_entries(stream: IO[bytes], path: Path) -> Iterator[_Entry]:
    with tarfile.open(fileobj=_Stream(stream), mode="r:") as archive:
        while member := archive.next():
            archive.members = []  # type: ignore[attr-defined]  # or a tar of many files would be remembered whole
            if not (member.isreg() or member.isdir()):
                raise _Refused(f"{path.name} holds {member.name!r}, which is a link or a device; it was not unpacked")

            def open_member(member: tarfile.TarInfo = member) -> IO[bytes] | None:
                return archive.extractfile(member)

            yield _Entry(member.name, member.size, member.isdir(), open_member)
    # tarfile takes a damaged header for the end; what follows a true end is zeros. Reading on checks the CRC, too.
    while block := stream.read(BLOCK):
        if block.strip(b"\0"):
            raise tarfile.ReadError("a header in its middle")
