"""CSV files that are written atomically."""

import csv
import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a table in UTF-8; bytes of a file name that are not UTF-8 become backslash escapes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")  # two processes may write the same file
    draft.write_bytes(text.getvalue().encode(errors="backslashreplace"))
    draft.replace(path)


def four_digits(value: float | None) -> str:
    """A share with four digits; nothing for None."""
    return "" if value is None else f"{value:.4f}"
