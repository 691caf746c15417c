"""CSV files that are written atomically, and cells that no spreadsheet runs."""

import csv
import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def harmless(text: str) -> str:
    r"""A cell that a spreadsheet does not run as a formula: one that begins like one gets an apostrophe.

    >>> harmless('=HYPERLINK("http://example.org")')
    '\'=HYPERLINK("http://example.org")'
    >>> harmless("rook")
    'rook'
    """
    return "'" + text if text.startswith(FORMULA) else text


def safe_row(values: Iterable[Any]) -> list[Any]:
    """Cells of a row, the text among them made `harmless`."""
    return [harmless(value) if isinstance(value, str) else value for value in values]


def csv_line(values: Iterable[Any]) -> str:
    """A line of a CSV without its end, of `safe_row`."""
    buffer = io.StringIO()
    csv.writer(buffer).writerow(safe_row(values))  # quotes fields with either half of its line end
    return buffer.getvalue().removesuffix("\r\n")


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a table in UTF-8 by `csv_line`; bytes of a file name that are not UTF-8 become backslash escapes."""
    text = "".join(f"{csv_line(row)}\n" for row in (header, *rows))
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")  # two processes may write the same file
    draft.write_bytes(text.encode(errors="backslashreplace"))
    draft.replace(path)


def four_digits(value: float | None) -> str:
    """A share with four digits; nothing for None."""
    return "" if value is None else f"{value:.4f}"
