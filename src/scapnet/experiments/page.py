"""A table's results beside the paper's numbers, as Markdown and JSON."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from types import MappingProxyType
from typing import Any

from scapnet.experiments.comparison import Gap, RowResults, compare, read_rows, verdicts
from scapnet.experiments.cost import Cost, measured_on
from scapnet.experiments.record import Record
from scapnet.experiments.rows import Row, Table
from scapnet.experiments.stats import Difference, spread
from scapnet.jsonfile import write_json

SCORES = {
    "accuracy_main": "main branch",
    "accuracy_parts": "parts",
    "kept": "kept",
    "kept_spread": "kept, spread over epochs",
    "hit_scale1": "scale-1 units on a mark",
    "random_scale1": "(random)",
    "covered": "marks in a part",
    "random_covered": "(random)",
}
COSTS = ("location parameters", "GMACs", "seconds for 16 images (relative to the first row)")
TITLES = {"cub": "CUB", "aircraft": "Aircraft", "veg200": "Veg200", "fru92": "Fru92", "vegfru": "VegFru"}
PRECISIONS = {"no": "float32"}


def write_table(
    table: Table, out: Path, data: str, command: str, costs: Mapping[str, Cost] = MappingProxyType({})
) -> Path:
    """Write NAME.md and NAME.json of a table beside its records.

    Args:
        table: one of `TABLES`.
        out: the folder that contains ``rows/``.
        data: name of the data set.
        command: the command that makes the page.
        costs: by row name.

    Returns:
        The Markdown file.
    """
    results = read_rows(table, out / "rows", data)
    out.mkdir(parents=True, exist_ok=True)
    file = out / f"{table.name}.md"
    draft = out / f".{table.name}.md.draft"
    draft.write_text(markdown(table, results, data, command, costs), encoding="utf-8")
    draft.replace(file)
    values = as_json(table, results, data, command)
    values |= {"costs": {name: cost._asdict() for name, cost in costs.items()}} if costs else {}
    write_json(out / f"{table.name}.json", values)
    return file


# --- Markdown ---


def markdown(table: Table, results: Sequence[RowResults], data: str, command: str, costs: Mapping[str, Cost]) -> str:
    """A table's page."""
    records = [record for result in results for record in result.records.values()]
    lines = [f"# {table.title}", "", f"`{command}`", ""]
    if records:
        lines += [*method_lines(records, data), *_mixture_lines(results), *_fold_lines(results)]
    else:
        lines += [f"Not run yet, so the columns with {'our accuracy' if costs else 'our results'} are empty.", ""]
    if costs:
        lines += [
            "Costs are those of evaluation: multiply-adds for one image, and seconds for 16 random images (the fastest "
            f"of three), measured on {measured_on()}.",
            "",
        ]
    lines += [*_row_lines(table, results, costs), *_claim_lines(table, results), ""]
    notes = [*table.notes, *(f"{result.row.label}: {result.row.note}." for result in results if result.row.note)]
    if quoted := [result.row.label for result in results if not result.row.name]:
        notes.append(f"Quoted from the paper: {', '.join(quoted)}.")
    return "\n".join([*lines, *(f"- {note}" for note in notes), *([""] if notes else [])])


def method_lines(records: Sequence[Record], data: str) -> list[str]:
    """What the accuracies and differences mean, and on what the records were trained."""
    made = provenance(records)
    counts = [int(record.scores.get("images", 0)) for record in records]
    images = " to ".join(f"{count:,}" for count in sorted({min(counts), max(counts)}))
    return [
        f"Data: {data}, {images} test images per run. Accuracies are in percent, mean ± standard deviation over runs "
        "with different seeds. Differences are in percentage points, with the 95% confidence interval of the mean "
        "difference over runs paired by seed (†: the two rows share fewer than three seeds, so the interval is over "
        "their paired test images and says nothing about other seeds).",
        "",
        f"Trained on {made['hardware']} in {made['hours']:.1f} hours in total, at commit {made['commits']}.",
        "",
    ]


def _mixture_lines(results: Sequence[RowResults]) -> list[str]:
    """Which rows were trained in which precision and with which version of PyTorch, unless all are the same."""
    labels: dict[str, list[str]] = {}
    for result in results:
        for setup in setups(result.records.values()):
            labels.setdefault(setup, []).append(f"*{result.row.label}*")
    if len(labels) < 2:
        return []
    listed = "; ".join(f"{setup}: {', '.join(rows)}" for setup, rows in sorted(labels.items()))
    text = "**The runs also differ in precision or PyTorch version**, which the intervals do not account for."
    return [f"{text} {listed}.", ""]


def setups(records: Iterable[Record]) -> set[str]:
    """The precisions and PyTorch versions of some records' training; averages are skipped, as they train nothing."""
    return {
        f"{PRECISIONS.get(record.config.train.precision, record.config.train.precision)} with torch {record.torch}"
        for record in records
        if record.curve
    }


def _fold_lines(results: Sequence[RowResults]) -> list[str]:
    data = [[record.config.data for record in result.records.values()] for result in results]
    count = max(one.folds for configs in data for one in configs)
    if not count:
        return []
    text = f"Training and validation photos are pooled, and each run holds out one of {count} folds, so the training "
    text += "sets of the runs overlap."
    if any(len({one.fold for one in configs}) < len(configs) for configs in data):
        text += " Some runs of a row hold out the same fold with another seed; the intervals treat them as independent."
    return [text, ""]


def _row_lines(table: Table, results: Sequence[RowResults], costs: Mapping[str, Cost]) -> list[str]:
    scores = [name for name in table.scores if any(result.values(name) for result in results)]
    headers = ["row", "runs", "accuracy", "vs first row", "vs row above", *(SCORES[name] for name in scores)]
    headers += COSTS if costs else ()
    headers += [header for column in table.columns for header in (f"paper, {TITLES[column]}", "vs its first row")]
    lines = [f"| {' | '.join(headers)} |", "|" + "---|" * len(headers)]
    first = results[0]
    for i, result in enumerate(results):
        gaps = ["", ""]
        if i and result.records:
            gaps = [difference_text(compare(result, other)) for other in (first, results[i - 1])]
        cells = [result.row.label, str(len(result.records) or ""), mean_text(result.values("accuracy")), *gaps]
        cells += [mean_text(result.values(name)) for name in scores]
        cells += _cost_cells(costs.get(result.row.name), costs.get(first.row.name)) if costs else []
        cells += [cell for column in table.columns for cell in _paper_cells(result.row, first.row, column)]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _claim_lines(table: Table, results: Sequence[RowResults]) -> list[str]:
    lines = [f"| {claim} | {difference_text(gap)} | {verdict} |" for claim, gap, verdict in verdicts(table, results)]
    return ["", "| claim | difference | verdict |", "|---|---|---|", *lines] if lines else []


def mean_text(values: Sequence[float]) -> str:
    """Mean and standard deviation.

    >>> mean_text([1.0, 3.0])
    '2.0 ± 1.4'
    """
    if not values:
        return ""
    return f"{fmean(values):.1f}" + (f" ± {spread(values):.1f}" if len(values) > 1 else "")


def difference_text(gap: Gap) -> str:
    """A difference with its interval, marked if that is over test images.

    >>> difference_text(Gap(Difference(1.25, -0.5, 3.0, 40), over_runs=False))
    '+1.2 [-0.5, +3.0] †'
    """
    if gap.difference is None:
        return ""
    interval = "" if math.isnan(gap.difference.low) else f" [{gap.difference.low:+.1f}, {gap.difference.high:+.1f}]"
    return f"{gap.difference.mean:+.1f}{interval}{'' if gap.over_runs or not interval else ' †'}"


def _paper_cells(row: Row, first: Row, column: str) -> list[str]:
    figure = row.paper.get(column)
    base = first.paper.get(column)
    gap = "" if figure is None or base is None or row is first else f"{figure - base:+.1f}"
    return ["" if figure is None else f"{figure:.1f}", gap]


def _cost_cells(cost: Cost | None, first: Cost | None) -> list[str]:
    if cost is None:
        return [""] * len(COSTS)
    ratio = f" ({cost.seconds / first.seconds:.2f} x)" if first else ""
    return [f"{cost.location:,}" if cost.location else "-", f"{cost.gmacs:.2f}", f"{cost.seconds:.3g}{ratio}"]


def provenance(records: Sequence[Record]) -> dict[str, Any]:
    """The hardware, the commits and the hours of training of some records."""
    seconds = sum(record.scores.get("train_seconds", 0) for record in records if record.curve)
    return {
        "hardware": "; ".join(sorted({record.hardware for record in records})),
        "commits": ", ".join(sorted({commit for record in records for commit in record.commit.split(", ")})),
        "hours": round(seconds / 3600, 3),
    }


# --- JSON ---


def as_json(table: Table, results: Sequence[RowResults], data: str, command: str) -> dict[str, Any]:
    """The page as values, with every score by seed."""
    rows = [_row_json(result, results[0], results[max(i - 1, 0)]) for i, result in enumerate(results)]
    claims = [
        {"claim": claim, "verdict": verdict, **_gap_json(gap)} for claim, gap, verdict in verdicts(table, results)
    ]
    made = provenance([record for result in results for record in result.records.values()])
    head = {"table": table.name, "title": table.title, "data": data, "command": command}
    return head | made | {"rows": rows, "claims": claims}


def _row_json(result: RowResults, first: RowResults, above: RowResults) -> dict[str, Any]:
    records = result.records.values()
    scores = {name for record in records for name, value in record.scores.items() if _is_number(value)}
    accuracies = result.values("accuracy")
    row: dict[str, Any] = {"row": result.row.name or None, "label": result.row.label, "note": result.row.note}
    row |= {"seeds": list(result.records)}
    row |= {"mean": fmean(accuracies), "std": spread(accuracies) if len(accuracies) > 1 else None} if accuracies else {}
    row |= {"measured": {name: [record.scores.get(name) for record in records] for name in sorted(scores)}}
    if result is not first:
        row |= {"to_first": _gap_json(compare(result, first)), "to_above": _gap_json(compare(result, above))}
    gaps = {
        column: round(figure - first.row.paper[column], 1)
        for column, figure in result.row.paper.items()
        if column in first.row.paper and result is not first
    }
    return row | {"paper": dict(result.row.paper), "paper_to_first": gaps}


def _gap_json(gap: Gap) -> dict[str, Any]:
    if gap.difference is None:
        return {}
    return {**_difference_json(gap.difference), "over": "runs" if gap.over_runs else "images"}


def _difference_json(found: Difference) -> dict[str, float | None]:
    return {key: None if math.isnan(value) else round(value, 3) for key, value in found._asdict().items()}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
