"""The tables that ``scapnet eval RUN --explain`` prints."""

import math
from collections.abc import Mapping
from typing import Any

from rich.table import Column, Table

from scapnet.faithfulness.explanations import NAMES
from scapnet.terminal.console import make_console, say

DRAWN = {
    "preservation": "preser-\nvation",
    "deletion": "dele-\ntion",
    "data_check": "data\ncheck",
    "distractibility": "distrac-\ntibility",
    "single_deletion": "single\ndeletion",
    "target_sensitivity": "target\nsensit.",
    "mean": "mean",
}


def show_faithfulness(found: Mapping[str, Any]) -> None:
    """Print what `scapnet.faithfulness.measure.explain_run` found."""
    if "drawn" in found:
        show_drawn(found["drawn"])


def cell(value: float | None) -> str:
    """A share with two decimals, or a dash where there is none."""
    return "-" if value is None or math.isnan(value) else f"{value:.2f}"


def by_explanation(title: str, rows: Mapping[str, Mapping[str, float]], columns: Mapping[str, str]) -> Table:
    """A row for each explanation, a column for each figure."""
    heads = (Column(text, justify="right") for text in columns.values())
    table = Table(Column("explanation", no_wrap=True), *heads, title=title, title_justify="left")
    for name, row in rows.items():
        table.add_row(NAMES.get(name, name), *(cell(row.get(key)) for key in columns))
    return table


def show_drawn(found: Mapping[str, Any]) -> None:
    """Print the figures of the drawn birds."""
    rows = found["explanations"]
    title = f"what explanations are worth, {found['images']} drawn birds with marks removed (1 is best)"
    make_console().print(by_explanation(title, rows, DRAWN))
    independence = next(iter(rows.values()))["background_independence"] if rows else math.nan
    say(
        f"background independence: {cell(independence)}; another background leaves {cell(found['background_swap'])} of "
        f"the answers as they are; the score rests on {cell(found['marks_matter'])} of the visible marks"
    )
