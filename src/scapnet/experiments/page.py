"""A table of what was found beside what the paper prints, as Markdown and as JSON."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from types import MappingProxyType
from typing import Any, NamedTuple

from scapnet.config import Config
from scapnet.experiments.cost import Cost, timed_on
from scapnet.experiments.record import files_of, unpack
from scapnet.experiments.rows import Row, Table
from scapnet.experiments.stats import Difference, difference, spread
from scapnet.jsonfile import read_json, write_json
from scapnet.serialization import from_dict

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
        """A score in percent, seed by seed; a gate that masks nothing has no kept share."""
        chosen = [self.records[seed] for seed in (self.records if seeds is None else seeds)]
        if score in ("kept", "kept_spread"):
            chosen = [record for record in chosen if record["config"].model.gate.mask != "none"]
        return [100 * record["scores"][score] for record in chosen if score in record["scores"]]


def read_rows(table: Table, folder: Path, data: str) -> list[Found]:
    """What is in a folder of records for each row of a table."""
    found = []
    for row in table.rows:
        if row.belongs(data):
            files = files_of(row.name, folder) if row.name else {}
            found.append(Found(row, {seed: _read(file) for seed, file in files.items()}))
    return found


def _read(file: Path) -> Record:
    """A record with its settings in their present places."""
    record = read_json(file)
    return record | {"config": from_dict(Config, record["config"])}


def by_seeds(ours: Found, theirs: Found) -> Difference | None:
    """Points between two rows, from the seeds that both have."""
    seeds = [seed for seed in ours.records if seed in theirs.records]
    return difference(ours.values("accuracy", seeds), theirs.values("accuracy", seeds)) if seeds else None


def by_pictures(ours: Found, theirs: Found) -> Difference | None:
    """Points between two rows, from each picture that both answered in the same run.

    Runs on the same test pictures are no new evidence: each picture counts once, with the mean of its answers.
    """
    seeds = [seed for seed in ours.records if seed in theirs.records]
    splits: dict[str, list[int]] = {}  # the seeds by their test pictures: of a fold, or drawn for the seed
    for seed in seeds:
        splits.setdefault(repr(ours.records[seed]["config"].data), []).append(seed)
    means: tuple[list[float], list[float]] = ([], [])
    for same in splits.values():
        sides = [[unpack(found.records[seed]["right"]) for seed in same] for found in (ours, theirs)]
        if [len(run) for run in sides[0]] != [len(run) for run in sides[1]]:
            return None  # a picture that could not be read leaves the others without their partners
        for mean, runs in zip(means, sides, strict=True):
            mean += [100 * fmean(several) for several in _columns(runs)]
    return difference(*means) if seeds else None


def _columns(runs: Sequence[Sequence[bool]]) -> list[list[bool]]:
    """Picture by picture, what those runs answered that had as many."""
    return [[run[place] for run in runs if place < len(run)] for place in range(max(map(len, runs)))]


class Gap(NamedTuple):
    """What two rows differ by, and whether its interval is over runs."""

    found: Difference | None
    seeded: bool


def compare(ours: Found, theirs: Found) -> Gap:
    """Pair the runs where two rows share three or more, and the pictures of the runs where they share fewer."""
    seeded = len(ours.records.keys() & theirs.records.keys()) > 2
    return Gap((by_seeds if seeded else by_pictures)(ours, theirs), seeded)


def verdicts(table: Table, found: Sequence[Found]) -> list[tuple[str, Gap, str]]:
    """What should hold, by the paper or as a control, and whether it does, where both rows were run."""
    rows = {f.row.name: f for f in found if f.row.name}
    lines = []
    for better, worse in table.claims:
        if better not in rows or worse not in rows:
            continue
        gap = compare(rows[better], rows[worse])
        if gap.found is not None:
            verdict = "holds" if gap.found.low > 0 else "does not hold" if gap.found.high < 0 else "not decided"
            if not gap.seeded and verdict != "not decided":
                verdict += " in these runs"
            lines.append((f"{rows[better].row.label} > {rows[worse].row.label}", gap, verdict))
    return lines


def claim_lines(table: Table, found: Sequence[Found]) -> list[str]:
    """`verdicts` as Markdown."""
    lines = [f"| {claim} | {difference_text(gap)} | {verdict} |" for claim, gap, verdict in verdicts(table, found)]
    return ["", "| claim | points | |", "|---|---|---|", *lines] if lines else []


def mean_text(values: Sequence[float]) -> str:
    """Mean and standard deviation."""
    if not values:
        return ""
    return f"{fmean(values):.1f}" + (f" ± {spread(values):.1f}" if len(values) > 1 else "")


def difference_text(gap: Gap) -> str:
    """A difference with its interval, marked where that is over pictures."""
    if gap.found is None:
        return ""
    interval = "" if math.isnan(gap.found.low) else f" [{gap.found.low:+.1f}, {gap.found.high:+.1f}]"
    return f"{gap.found.mean:+.1f}{interval}{'' if gap.seeded or not interval else ' †'}"


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
    notes = [f"- {f.row.label}: {f.row.note}." for f in found if f.row.note]
    lines = [f"# {table.title}", "", f"`{command}`", ""]
    if not records:
        lines += [f"Not yet run: the {'columns of our accuracy' if costs else 'measured columns'} are empty.", ""]
    else:
        made = provenance(records)
        counts = [int(record["scores"].get("images", 0)) for record in records]
        pictures = " to ".join(f"{count:,}" for count in sorted({min(counts), max(counts)}))
        lines += [
            f"Data: {data}, {pictures} test pictures a run. Accuracies and differences in percent, mean ± standard "
            "deviation over runs of other seeds; in brackets the 95% interval of the difference over runs, paired by "
            "seed (†: fewer than three, so over their test pictures, paired; it says nothing about other seeds). "
            f"Made on {made['hardware']} at commit {made['commits']}; training took {made['hours']:.1f} hours in all.",
            "",
            *mixture_lines(found),
        ]
        if folds := max(record["config"].data.folds for record in records):
            share = f"each run holds out one of {folds} folds, so the runs' training photos are mostly the same"
            lines += [f"Training and validation photos are pooled and {share}.{_repeated(found)}", ""]
    lines += [*([timed_on(), ""] if costs else ()), *lines_of(table, found, costs), *claim_lines(table, found), ""]
    lines += [*(f"- {note}" for note in table.notes), *notes, ""] if table.notes or notes else []
    return "\n".join(lines)


def _repeated(found: Sequence[Found]) -> str:
    """A sentence for folds that several runs of a row hold out."""
    held_out = [[record["config"].data.fold for record in f.records.values()] for f in found]
    if all(len(set(folds)) == len(folds) for folds in held_out):
        return ""
    return " Some runs of a row hold out the same fold under another seed; the intervals take them for independent."


def provenance(records: Sequence[Record]) -> dict[str, Any]:
    """On what, from which commits and in how many hours of training some records were made."""
    seconds = sum(record["scores"].get("train_seconds", 0) for record in records if record["curve"])
    return {
        "hardware": "; ".join(sorted({record["hardware"] for record in records})),
        "commits": ", ".join(sorted({one for record in records for one in record["commit"].split(", ")})),
        "hours": round(seconds / 3600, 3),
    }


def mixture_lines(found: Sequence[Found]) -> list[str]:
    """What a reader must know where runs differ in more than their rows: the rows of each precision and version."""
    rows: dict[str, list[str]] = {}
    for mine in found:
        for way in ways_of(mine.records.values()):
            rows.setdefault(way, []).append(f"*{mine.row.label}*")
    if len(rows) < 2:
        return []
    made = "; ".join(f"{way}: {', '.join(labels)}" for way, labels in sorted(rows.items()))
    return [f"**The runs do not differ in their rows alone**, and the intervals leave that out. {made}.", ""]


def ways_of(records: Iterable[Record]) -> set[str]:
    """In which precisions and with which versions of PyTorch some records were trained; an average trains nothing."""
    names = {"no": "float32"}
    return {
        f"{names.get(precision, precision)} with torch {record['torch']}"
        for record in records
        if record["curve"]
        for precision in (record["config"].train.precision,)
    }


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
    """The same as values, and every score by seed."""
    rows = [_row_json(mine, found[0], found[max(place - 1, 0)]) for place, mine in enumerate(found)]
    claims = [{"claim": claim, "verdict": said, **_gap_json(gap)} for claim, gap, said in verdicts(table, found)]
    made = provenance([record for f in found for record in f.records.values()])
    about = {"table": table.name, "title": table.title, "data": data, "command": command}
    return about | made | {"rows": rows, "claims": claims}


def _row_json(mine: Found, first: Found, above: Found) -> dict[str, Any]:
    scores = {name for record in mine.records.values() for name, v in record["scores"].items() if _is_number(v)}
    accuracies = mine.values("accuracy")
    row: dict[str, Any] = {"row": mine.row.name or None, "label": mine.row.label, "note": mine.row.note}
    row |= {"seeds": list(mine.records)}
    row |= {"mean": fmean(accuracies), "std": spread(accuracies) if len(accuracies) > 1 else None} if accuracies else {}
    row |= {"measured": {name: [r["scores"].get(name) for r in mine.records.values()] for name in sorted(scores)}}
    if mine is not first:
        row |= {"to_first": _gap_json(compare(mine, first)), "to_above": _gap_json(compare(mine, above))}
    gaps = {
        column: round(figure - first.row.paper[column], 1)
        for column, figure in mine.row.paper.items()
        if column in first.row.paper and mine is not first
    }
    return row | {"paper": dict(mine.row.paper), "paper_to_first": gaps}


def _gap_json(gap: Gap) -> dict[str, Any]:
    return {} if gap.found is None else {**_plain(gap.found), "over": "runs" if gap.seeded else "pictures"}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _plain(gap: Difference) -> dict[str, float | None]:
    return {key: None if math.isnan(value) else round(value, 3) for key, value in gap._asdict().items()}
