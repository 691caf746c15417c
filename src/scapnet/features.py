"""Files of features that are written row by row: ``.npy`` and ``.safetensors``, with the photos' names beside them.

n photos, D feature size.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO

from numpy.lib import format as npy
from torch import Tensor

from scapnet.outputs import writing

SUFFIXES = (".npy", ".safetensors")
HEADER = 256  # bytes of a safetensors header, padded with spaces; the number of rows is known at the end only


class FeatureFile:
    """Rows of features (D,) float32 as a matrix (n, D), called "features" in a safetensors file."""

    def __init__(self, file: BinaryIO, names: TextIO, suffix: str) -> None:
        self.file, self.names, self.suffix = file, names, suffix
        self.rows, self.size = 0, 0

    def add(self, name: str, features: Tensor) -> None:
        """Write one row and its name."""
        if not self.rows:
            self.size = len(features)
            self._write_header()
        self.file.write(features.numpy().astype("<f4").tobytes())
        self.names.write(f"{',' if self.rows else '['}\n{json.dumps(name)}")
        self.rows += 1

    def _write_header(self) -> None:
        """Write the header, which is as long for any number of rows."""
        if self.suffix == ".npy":
            header = {"descr": "<f4", "fortran_order": False, "shape": (self.rows, self.size)}
            npy.write_array_header_1_0(self.file, header)
            return
        shape, end = [self.rows, self.size], 4 * self.rows * self.size
        text = json.dumps({"features": {"dtype": "F32", "shape": shape, "data_offsets": [0, end]}})
        self.file.write(HEADER.to_bytes(8, "little") + text.encode().ljust(HEADER))

    def close(self) -> None:
        """Complete both files."""
        self.file.seek(0)
        self._write_header()
        self.names.write("\n]\n" if self.rows else "[]\n")


def names_file(path: Path) -> Path:
    """The file that names the rows of a feature file: a JSON list."""
    return path.with_suffix(".names.json")


@contextmanager
def feature_file(path: Path) -> Iterator[FeatureFile]:
    """Open a feature file and its `names_file`; both are there, whole, when the block has ended."""
    with ExitStack() as stack:
        names = stack.enter_context(writing(names_file(path)))
        rows = stack.enter_context(writing(path))
        with rows.open("wb") as file, names.open("w", encoding="utf-8") as text:
            found = FeatureFile(file, text, path.suffix.lower())
            yield found
            found.close()
