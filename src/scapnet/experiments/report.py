"""A table of what was found beside what the paper prints, as Markdown and as JSON."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from types import MappingProxyType
from typing import Any

from scapnet.checkpoint import read_json, write_json
from scapnet.experiments.cost import Cost
from scapnet.experiments.record import files_of, unpack
from scapnet.experiments.rows import Row, Table
from scapnet.experiments.stats import Difference, difference, spread

Record = dict[str, Any]
NAMES = {
    "accuracy_main": "main branch",
    "accuracy_parts": "parts",
    "kept": "kept",
    "kept_spread": "kept, spread over epochs",
    "hit_scale1": "scale-1 units on a mark",
    "random_scale1": "(random)",
    "covered": "marks in a part",
    "random_covered": "(random)",
}
COSTS = ("parameters that locate", "GMACs", "seconds for 16 images (to the first row)")
TITLES = {"cub": "CUB", "aircraft": "Aircraft", "veg200": "Veg200", "fru92": "Fru92", "vegfru": "VegFru"}


@dataclass(frozen=True)
class Found:
    """The records of a row, by seed."""

    row: Row
    records: Mapping[int, Record]

    def values(self, score: str, seeds: Sequence[int] | None = None) -> list[float]:
        """A score in percent, seed by seed."""
        chosen = self.records if seeds is None else seeds
        scores = [self.records[seed]["scores"] for seed in chosen]
        return [100 * found[score] for found in scores if score in found]


def read_rows(table: Table, folder: Path, data: str) -> list[Found]:
    """What is in a folder of records for each row of a table."""
    found = []
    for row in table.rows:
        if row.belongs(data):
            files = files_of(row.name, folder) if row.name else {}
            found.append(Found(row, {seed: read_json(file) for seed, file in files.items()}))
    return found


def by_seeds(ours: Found, theirs: Found) -> Difference | None:
    """Points between two rows, from the seeds that both have."""
    seeds = [seed for seed in ours.records if seed in theirs.records]
    return difference(ours.values("accuracy", seeds), theirs.values("accuracy", seeds)) if seeds else None


def by_pictures(ours: Found, theirs: Found) -> Difference | None:
    """Points between two rows, from each picture that both answered in the same run.

    Runs of other seeds may have had the same pictures, which are no new evidence: each place in the split counts once.
    """
    seeds = [seed for seed in ours.records if seed in theirs.records]
    if not seeds:
        return None
    sides = [[unpack(found.records[seed]["right"]) for seed in seeds] for found in (ours, theirs)]
    if [len(run) for run in sides[0]] != [len(run) for run in sides[1]]:
        return None  # a picture that could not be read leaves the others without their partners
    means = [[100 * fmean(several) for several in _columns(runs)] for runs in sides]
    return difference(*means)


def _columns(runs: Sequence[Sequence[bool]]) -> list[list[bool]]:
    """Picture by picture, what those runs answered that had as many."""
    return [[run[place] for run in runs if place < len(run)] for place in range(max(map(len, runs)))]


def comparison(found: Sequence[Found]) -> Callable[[Found, Found], Difference | None]:
    """Pair runs where there are three or more of a row, and the pictures of the runs where there are fewer."""
    return by_seeds if max((len(f.records) for f in found), default=0) > 2 else by_pictures


def claim_lines(table: Table, found: Sequence[Found]) -> list[str]:
    """What should hold by the paper, and whether it does; only claims that both rows were run for."""
    rows = {f.row.name: f for f in found if f.row.name}
    lines = []
    for better, worse in table.claims:
        if better in rows and worse in rows and (gap := comparison(found)(rows[better], rows[worse])) is not None:
            verdict = "holds" if gap.low > 0 else "does not hold" if gap.high < 0 else "not decided"
            if comparison(found) is by_pictures and verdict != "not decided":
                verdict += " in these runs"
            claim = f"{rows[better].row.label} > {rows[worse].row.label}"
            lines.append(f"| {claim} | {difference_text(gap)} | {verdict} |")
    return ["", "| claim | points | |", "|---|---|---|", *lines] if lines else []


def mean_text(values: Sequence[float]) -> str:
    """Mean and standard deviation."""
    if not values:
        return ""
    return f"{fmean(values):.1f}" + (f" ± {spread(values):.1f}" if len(values) > 1 else "")


def difference_text(found: Difference | None) -> str:
    """A difference with its interval."""
    if found is None:
        return ""
    interval = "" if math.isnan(found.low) else f" [{found.low:+.1f}, {found.high:+.1f}]"
    return f"{found.mean:+.1f}{interval}"


def _paper(row: Row, first: Row, column: str) -> list[str]:
    figure = row.paper.get(column)
    base = first.paper.get(column)
    gap = "" if figure is None or base is None or row is first else f"{figure - base:+.1f}"
    return ["" if figure is None else f"{figure:.1f}", gap]


def _cost(cost: Cost | None, first: Cost | None) -> list[str]:
    if cost is None:
        return [""] * len(COSTS)
    ratio = f" ({cost.seconds / first.seconds:.2f} x)" if first else ""
    return [f"{cost.location:,}" if cost.location else "-", f"{cost.gmacs:.2f}", f"{cost.seconds:.3g}{ratio}"]


def lines_of(table: Table, found: Sequence[Found], costs: Mapping[str, Cost]) -> list[str]:
    """The Markdown rows of a table."""
    shows = [name for name in table.shows if any(f.values(name) for f in found)]
    heads = ["row", "runs", "accuracy", "to the first row", "to the row above", *(NAMES[name] for name in shows)]
    heads += COSTS if costs else ()
    heads += [head for column in table.columns for head in (f"paper, {TITLES[column]}", "to its first row")]
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    compare = comparison(found)
    for place, mine in enumerate(found):
        gaps = ["", ""]
        if place and mine.records:
            gaps = [difference_text(compare(mine, other)) for other in (found[0], found[place - 1])]
        cells = [mine.row.label, str(len(mine.records) or ""), mean_text(mine.values("accuracy")), *gaps]
        cells += [mean_text(mine.values(name)) for name in shows]
        cells += _cost(costs.get(mine.row.name), costs.get(found[0].row.name)) if costs else []
        cells += [cell for column in table.columns for cell in _paper(mine.row, found[0].row, column)]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def markdown(table: Table, found: Sequence[Found], data: str, command: str, costs: Mapping[str, Cost]) -> str:
    """A table's page."""
    records = [record for f in found for record in f.records.values()]
    seeded = comparison(found) is by_seeds
    over = "runs, paired by seed" if seeded else "test pictures, paired; they say nothing about other seeds"
    notes = [f"- {f.row.label}: {f.row.note}." for f in found if f.row.note]
    lines = [f"# {table.title}", "", f"`{command}`", ""]
    if not records:
        lines += ["Not yet run: the measured columns are empty.", ""]
    else:
        machines = "; ".join(sorted({record["hardware"] for record in records}))
        commits = ", ".join(sorted({record["commit"] for record in records}))
        seconds = sum(record["scores"].get("train_seconds", 0) for record in records if record["curve"])
        pictures = int(max(record["scores"].get("images", 0) for record in records))
        lines += [
            f"Data: {data}, {pictures:,} test pictures a run. Accuracies and differences in percent, mean ± standard "
            f"deviation over runs of other seeds; in brackets the 95% interval of the difference over {over}. "
            f"Made on {machines} at commit {commits}; training took {seconds / 3600:.1f} hours in all.",
            "",
        ]
    lines += [*lines_of(table, found, costs), *claim_lines(table, found), ""]
    lines += [*(f"- {note}" for note in table.notes), *notes, ""] if table.notes or notes else []
    return "\n".join(lines)


def write_table(
    table: Table, out: Path, data: str, command: str, costs: Mapping[str, Cost] = MappingProxyType({})
) -> Path:
    """Write NAME.md and NAME.json of a table beside its rows.

    Args:
        table: of `TABLES`.
        out: the folder that has ``rows/``.
        data: name of the data set.
        command: what makes it.
        costs: by the name of a row.

    Returns:
        The Markdown file.
    """
    found = read_rows(table, out / "rows", data)
    out.mkdir(parents=True, exist_ok=True)
    file = out / f"{table.name}.md"
    draft = out / f".{table.name}.md.draft"
    draft.write_text(markdown(table, found, data, command, costs), encoding="utf-8")
    draft.replace(file)
    values = as_json(table, found, data, command)
    values |= {"costs": {name: cost._asdict() for name, cost in costs.items()}} if costs else {}
    write_json(out / f"{table.name}.json", values)
    return file


def as_json(table: Table, found: Sequence[Found], data: str, command: str) -> dict[str, Any]:
    """The same as values."""
    rows = []
    for mine in found:
        scores = {name for record in mine.records.values() for name, v in record["scores"].items() if _is_number(v)}
        measured = {name: [record["scores"].get(name) for record in mine.records.values()] for name in sorted(scores)}
        gaps = {name: compare(mine, found[0]) for name, compare in (("seeds", by_seeds), ("pictures", by_pictures))}
        rows.append(
            {
                "row": mine.row.name or None,
                "label": mine.row.label,
                "seeds": list(mine.records),
                "measured": measured,
                "to_first": {
                    name: _plain(gap) for name, gap in gaps.items() if gap is not None and mine is not found[0]
                },
                "paper": dict(mine.row.paper),
                "note": mine.row.note,
                "command": command,
            }
        )
    return {"table": table.name, "title": table.title, "data": data, "command": command, "rows": rows}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _plain(gap: Difference) -> dict[str, float | None]:
    return {key: None if math.isnan(value) else round(value, 3) for key, value in gap._asdict().items()}
