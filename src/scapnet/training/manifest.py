"""The list of a checkpoint's files with sizes and checksums, by which damage is found before anything is loaded."""

import os
import zlib
from pathlib import Path

from scapnet.jsonfile import read_json, write_json

FILE = "files.json"
CHUNK = 1 << 20


def checksum(path: Path) -> int:
    """CRC-32 of a file."""
    value = 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            value = zlib.crc32(chunk, value)
    return value


def write_manifest(folder: Path) -> None:
    """List the files of a folder, which is complete, and have the system write all of them to the disk."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name != FILE)
    write_json(folder / FILE, {path.name: [path.stat().st_size, checksum(path)] for path in files})
    for path in (*files, folder / FILE, folder):
        sync(path)


def sync(path: Path) -> None:
    """Have the system write a file or a folder's entries to the disk."""
    if os.name == "nt" and path.is_dir():  # Windows cannot open a folder
        return
    descriptor = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def damages(folder: Path) -> dict[str, str]:
    """What is wrong with the files of a folder, by their names; empty if nothing is.

    A folder without a list, which an earlier version wrote, is not checked.
    """
    if not (folder / FILE).exists():
        return {}
    try:
        listed = {name: (int(size), int(crc)) for name, (size, crc) in read_json(folder / FILE).items()}
    except (TypeError, ValueError):
        return {FILE: "is damaged"}
    found = {}
    for name, (size, crc) in listed.items():
        path = folder / name
        if not path.is_file():
            found[name] = "is missing"
        elif path.stat().st_size != size:
            found[name] = f"has {path.stat().st_size:,} bytes instead of {size:,}"
        elif checksum(path) != crc:
            found[name] = "has been changed"
    return found
