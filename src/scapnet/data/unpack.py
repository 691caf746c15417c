"""Unpacking untrusted archives: tarfile's data filter for tar and zip alike, and limits on what comes out."""

import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Self

from scapnet.errors import reason

MAX_FILES = 1_000_000
MAX_HEADER = 2**20  # bytes
BLOCK = 2**20  # bytes


def unpack(path: Path, folder: Path, limit: int, files: int = MAX_FILES) -> None:
    """Unpack a zip or tar (plain, gz, bz2 or xz) archive into a folder; permissions and owners are not restored.

    Args:
        path: the archive.
        folder: an existing folder; after an error it holds what was unpacked so far.
        limit: the most bytes that may come out.
        files: the most files and folders that may come out.

    Raises:
        ValueError: not an archive, or a damaged one; an entry outside the folder, or one that is not a plain file or
            folder; more than the limits allow.
        OSError: the disk is full or not writable.
    """
    if not hasattr(tarfile, "data_filter"):
        raise ValueError("unpacking needs Python 3.11.4 or later; use a newer Python, or unpack by hand")
    size = 0
    try:
        for count, (entry, extract) in enumerate(_entries(path, folder), 1):
            tarfile.data_filter(entry, str(folder))
            # The filter allows links to other members, and neither library limits what comes out.
            if not (entry.isreg() or entry.isdir()):
                raise ValueError(f"{entry.name!r} is a link or a device")
            size += entry.size
            if size > limit or count > files:
                raise ValueError(f"it unpacks to more than {limit:,} bytes or {files:,} files")
            extract()
    # On damaged archives the readers raise errors of every kind, IndexError and RecursionError among them.
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:  # a disk error; those of bz2 and gzip have no errno
            raise
        raise ValueError(
            f"{path.name} was not unpacked ({reason(error)}); download it again, and check that the address is that "
            "of the archive itself"
        ) from error


def _entries(path: Path, folder: Path) -> Iterator[tuple[tarfile.TarInfo, Callable[[], object]]]:
    """Each member of an archive, and the function that extracts it."""
    with path.open("rb") as file:
        zipped = file.read(2) == b"PK"
    if zipped:
        with zipfile.ZipFile(path) as pack:
            for info in pack.infolist():
                # zipfile never extracts more than a member's file_size.
                yield _as_tar_entry(info), partial(pack.extract, info, folder)
    elif tarfile.is_tarfile(path):
        with tarfile.open(path, tarinfo=_Entry) as archive:
            for member in archive:
                yield member, partial(archive.extract, member, folder, filter=_without_mode)
            while archive.fileobj is not None and archive.fileobj.read(BLOCK):
                pass  # a compressed file's checksum is at its end
    else:
        raise ValueError("it is not a zip or tar archive")


def _as_tar_entry(info: zipfile.ZipInfo) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(info.filename)
    entry.size = info.file_size
    kind = stat.S_IFMT(info.external_attr >> 16)
    if info.is_dir():
        entry.type = tarfile.DIRTYPE
    elif kind not in (0, stat.S_IFREG):
        entry.type, entry.linkname = tarfile.SYMTYPE, "."
    return entry


def _without_mode(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo:
    """The data filter, with the default permissions of new files."""
    return tarfile.data_filter(member, folder).replace(mode=None, deep=False)  # type: ignore[arg-type]


class _Entry(tarfile.TarInfo):
    """A tar header, with two checks that tarfile lacks."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Refuse an endless name: tarfile would read it into memory, however long the header says it is."""
        found = super().frombuf(buf, encoding, errors)
        if found.size > MAX_HEADER and not found.isreg():
            raise tarfile.ReadError(f"a header of {found.size:,} bytes")
        return found

    @classmethod
    def fromtarfile(cls, tarfile_: tarfile.TarFile) -> Self:
        """Refuse a damaged header after the first, which tarfile would take for the end of the archive."""
        try:
            return super().fromtarfile(tarfile_)
        except tarfile.InvalidHeaderError as error:  # type: ignore[attr-defined]
            if tarfile_.offset:
                raise tarfile.ReadError("a damaged header") from error
            raise
