"""The tables that ``scapnet eval RUN --explain`` prints."""

import math
from collections.abc import Mapping
from typing import Any

from rich.table import Column, Table

from scapnet.faithfulness.explanations import NAMES
from scapnet.terminal.console import make_console, say

DRAWN = {  # short enough for 80 columns; docs/faithfulness.md has the whole names
    "preservation": "pre-\nser-\nved",
    "deletion": "dele-\nted",
    "data_check": "data\ncheck",
    "distractibility": "dis-\ntrac-\ntion",
    "single_deletion": "one\nby\none",
    "target_sensitivity": "tar-\nget",
    "mean": "mean",
}
PHOTOS = {
    "deletion": "deletion\n(low)",
    "insertion": "insertion\n(high)",
    "difference": "differ-\nence",
    "points_in_box": "points\nin box",
    "energy_in_box": "energy\nin box",
    "points_in_marks": "points at\na mark",
    "energy_in_marks": "energy\nat marks",
}
SLOTS = {
    "consistency": "consis-\ntency",
    "stability": "stabi-\nlity",
    "nmi": "NMI",
    "ari": "ARI",
    "kp": "Kp\n(low)",
}


def show_faithfulness(found: Mapping[str, Any]) -> None:
    """Print what `scapnet.faithfulness.measure.explain_run` found."""
    if "drawn" in found:
        show_drawn(found["drawn"])
    if "photos" in found:
        show_photos(found["photos"])
    if "pixels" in found:
        show_pixels(found["pixels"])
    if "slots" in found:
        show_slots(found["slots"])


def cell(value: float | None) -> str:
    """A share with two decimals, or a dash if there is none."""
    return "-" if value is None or math.isnan(value) else f"{value:.2f}"


def by_explanation(title: str, rows: Mapping[str, Mapping[str, float]], columns: Mapping[str, str]) -> Table:
    """A table with a row per explanation and a column per figure."""
    heads = (Column(text, justify="right") for text in columns.values())
    table = Table(Column("explanation", no_wrap=True), *heads, title=title, title_justify="left")
    for name, row in rows.items():
        table.add_row(NAMES.get(name, name), *(cell(row.get(key)) for key in columns))
    return table


def show_drawn(found: Mapping[str, Any]) -> None:
    """Print the figures of the drawn birds."""
    rows = found["explanations"]
    title = f"scores of explanations on {found['images']} drawn birds with marks removed (1 is best)"
    make_console().print(by_explanation(title, rows, DRAWN))
    independence = next(iter(rows.values()))["background_independence"] if rows else math.nan
    say(
        f"background independence: {cell(independence)}; {cell(found['background_swap'])} of the answers stay the same "
        f"with another background; {cell(found['marks_matter'])} of the visible marks matter to the score"
    )


def show_photos(found: Mapping[str, Any]) -> None:
    """Print deletion, insertion and pointing."""
    rows = dict(found["explanations"])
    area = {f"{what}_in_{name}": share for name, share in found["area"].items() for what in ("points", "energy")}
    rows |= {"by chance": area} if area else {}
    used = {key: text for key, text in PHOTOS.items() if any(key in row for row in rows.values())}
    title = f"the answer without, and with only, the most important pixels ({found['images']} pictures)"
    make_console().print(by_explanation(title, rows, used))
    parts = found["parts"]
    if parts:
        first, last = (cell(parts[name]["deletion"]) for name in ("strongest_first", "weakest_first"))
        say(f"probability of the answer while parts are removed: strongest first {first}, weakest first {last}")


def show_pixels(found: Mapping[str, Any]) -> None:
    """Print how far the answers rest on the pixels of open units."""
    chosen, random = found["open"], found["random"]
    say(
        f"from the pixels of the open units alone ({cell(found['kept'])} of the grid) {cell(chosen['same'])} of the "
        f"answers stay, with a probability of {cell(chosen['probability'])} instead of {cell(found['probability'])}; "
        f"of as many random units {cell(random['same'])}, with {cell(random['probability'])}"
    )


def show_slots(found: Mapping[str, Any]) -> None:
    """Print the figures of parts as slots."""
    title = f"parts in {found['slots']} slots, on {found['images']} pictures"
    make_console().print(by_explanation(title, found["explanations"], SLOTS))
