"""Corrected answers: a table for `--data.name csv`, and the photos beside it."""

import csv
import hashlib
import threading
from datetime import UTC, datetime
from pathlib import Path

from torch import Tensor

from scapnet.csvfile import safe_row
from scapnet.data.images import to_photo
from scapnet.outputs import check_folder, writing

HEADER = ("path", "label", "predicted", "probability", "model", "time")


class Corrections:
    """A folder with ``corrections.csv`` and ``photos/``.

    Args:
        folder: is made with the first correction.

    Raises:
        ValueError: it cannot be written to.
    """

    def __init__(self, folder: Path) -> None:
        check_folder(folder, "choose another one with --corrections")
        self.folder, self.lock = folder, threading.Lock()
        self.table = folder / "corrections.csv"

    def add(self, image: Tensor, label: str, predicted: str, probability: float, model: str) -> Path:
        """Save a photo (3, H, W) uint8 and a row; an earlier correction of the same photo is replaced.

        Returns:
            The photo's file.
        """
        pixels = image.contiguous().numpy().tobytes()
        name = f"photos/{hashlib.blake2b(pixels, digest_size=8).hexdigest()}.png"
        time = datetime.now(UTC).isoformat(timespec="seconds")
        row = safe_row((name, label, predicted, f"{probability:.4f}", model, time))
        with self.lock:
            if not (self.folder / name).exists():
                with writing(self.folder / name) as draft:
                    to_photo(image).save(draft, "PNG")
            rows = [old for old in self._rows() if old and old[0] != name]
            with writing(self.table) as draft, draft.open("w", encoding="utf-8", newline="") as file:
                csv.writer(file).writerows([HEADER, *rows, row])
        return self.folder / name

    def _rows(self) -> list[list[str]]:
        if not self.table.exists():
            return []
        with self.table.open(encoding="utf-8", newline="") as file:
            return list(csv.reader(file))[1:]
