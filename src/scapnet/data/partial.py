"""A file of which only a part has come, and the version that the part belongs to."""

import hashlib
import json
from pathlib import Path
from typing import Any


class Part:
    """The part of a file that has come, and beside it which version of the file it belongs to."""

    def __init__(self, path: Path, url: str) -> None:
        self.path, self.url = path, url
        self.notes = path.with_name(f"{path.name}.json")

    def size(self) -> int:
        """Bytes that have come."""
        return self.path.stat().st_size if self.path.is_file() else 0

    def known(self) -> dict[str, Any]:
        """The version that the bytes belong to; empty where they are of no use."""
        try:
            notes = json.loads(self.notes.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return notes if isinstance(notes, dict) and notes.get("url") == self.url and self.size() else {}

    def begin(self, version: str | None, total: int | None) -> None:
        """Start anew with a version of the file."""
        self.drop()
        self.notes.write_text(json.dumps({"url": self.url, "version": version, "total": total}), encoding="utf-8")

    def drop(self) -> None:
        """Forget what has come."""
        self.path.unlink(missing_ok=True)
        self.notes.unlink(missing_ok=True)

    def finish(self, path: Path, checksum: str | None, kind: str) -> Path:
        """Give the whole file its name if its checksum is right."""
        found = digest(self.path, kind) if checksum else None
        if checksum and found != checksum.lower():
            self.drop()
            raise ValueError(
                f"{self.url} has {kind} {found} where {checksum} was expected; it was deleted, so "
                "try again, and if it is the same the file is no longer the published one"
            )
        self.path.replace(path)
        self.notes.unlink(missing_ok=True)
        return path


def digest(path: Path, kind: str) -> str:
    """The checksum of a file, as hashlib calls its kind."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()
