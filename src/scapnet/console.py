"""What a run tells: its live bar, the means of its log, and the tables of its scores."""

import json
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column, Table
from torch import Tensor

from scapnet.data.audit.check import Report
from scapnet.data.sample import SPLITS, Splits
from scapnet.data.transforms import Views
from scapnet.jsonfile import read_json, write_json
from scapnet.network import NetworkOutput

TERMS = ("loss", "cls", "act", "con", "sub")
# The share of a gate's choice that the place tells, above which its pictures mislead: it was 13 to 20% on drawn birds,
# where the gate follows them, and 59 to 92% on photographs where it does not (results/mirror.md).
SAME_PLACES = 0.5
NEARLY_OPEN = 0.95  # kept share


class TrainingBar:
    """A live progress bar with the loss terms; where the output is no terminal, plain lines instead.

    Args:
        main: False on the other processes of a distributed run, which stay silent.
    """

    def __init__(self, main: bool = True) -> None:
        self.console = Console(quiet=not main)
        self.live = self.console.is_terminal
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self.console,
            disable=not main or not self.live,
        )
        self.task: TaskID | None = None

    def __enter__(self) -> "TrainingBar":
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()

    def start(self, total: float, done: float = 0.0) -> None:
        """Begin with ``done`` of ``total`` units of work behind it."""
        self.task = self.progress.add_task("training", total=total)
        # Work of an earlier session says nothing about this one's speed: it is moved to, not counted.
        self.progress.reset(self.task, total=total, completed=done)  # type: ignore[arg-type]

    def advance(self, work: float) -> None:
        """Count work."""
        if self.task is not None:
            self.progress.advance(self.task, work)

    def show(self, head: str, line: dict[str, float], last: bool) -> None:
        """Show the means of the last steps; without a terminal, a plain line after the ``last`` ones of an epoch."""
        terms = " ".join(f"{key} {line[key]:.3f}" for key in TERMS if key in line)
        kept = f" kept {line['kept']:.0%}" if "kept" in line else ""
        text = f"{head} {terms} acc {line['accuracy']:.1%}{kept}"
        if self.task is not None and self.live:
            self.progress.update(self.task, description=text)
        elif last:
            self.note(f"{text} {line['images_per_second']:.0f} images/s")

    def note(self, text: str) -> None:
        """A line above the bar."""
        self.console.print(text, highlight=False, soft_wrap=True)


class Meter:
    """Sums over the steps between two lines of the log; nothing leaves the device before its mean is asked for."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.broken: list[Tensor] = []
        self.steps, self.images, self.started = 0, 0, time.monotonic()

    def add(self, terms: dict[str, Tensor], output: NetworkOutput, batch: Views) -> None:
        """Count one step."""
        target = batch["target"]
        values = {key: value.detach() for key, value in terms.items()}
        values["accuracy"] = (output.probs.argmax(1) == target).float().mean()
        if output.gate is not None:
            values["kept"] = output.gate.mask.detach().mean()
        for key, value in values.items():
            self.sums[key] = self.sums.get(key, torch.zeros_like(value)) + value
        self.broken.append(torch.where(batch["broken"], batch["index"], -1))
        self.steps += 1
        self.images += len(target)

    def means(self) -> dict[str, float]:
        """Means over the steps."""
        return {key: float(value) / self.steps for key, value in self.sums.items()}

    def broken_indices(self) -> Tensor:
        """(n,) index of each image that could not be read, -1 for the others; as many on every process."""
        return torch.cat(self.broken)

    def speed(self) -> float:
        """Images per second."""
        return self.images / max(time.monotonic() - self.started, 1e-9)


def score_rows(scores: dict[str, Any]) -> list[tuple[str, str]]:
    """Names and values of a result, as a person reads them."""
    rows = []
    names = {
        "accuracy_main": "accuracy of the main branch",
        "accuracy_parts": "accuracy of the parts",
        "accuracy": "accuracy of both together",
        "kept": "kept share of the grid",
        "gate_by_place": "of the gate's choice, told by the place alone",
    }
    for key, name in names.items():
        if key in scores and (key != "accuracy" or "accuracy_parts" in scores):
            rows.append((name, f"{scores[key]:.1%}"))
    for key, name in (
        ("unreadable", "unreadable images, left out"),
        ("train_unreadable", "unreadable training images, replaced"),
    ):
        if scores.get(key):
            rows.append((name, f"{scores[key]:.0f}"))
    pairs = {
        f"hit_scale{u}": (f"chosen scale-{u} units that hold a mark's centre", f"random_scale{u}") for u in range(1, 10)
    } | {
        "covered": ("marks whose centre a chosen part holds", "random_covered"),
        "gate_precision": ("kept area that lies in the object's box", "random_gate_precision"),
        "gate_recall": ("the object's box that is kept", "random_gate_recall"),
    }
    rows += [(name, _beside(scores, key, chance)) for key, (name, chance) in pairs.items() if key in scores]
    return rows


def _beside(scores: dict[str, float], key: str, chance: str) -> str:
    return f"{scores[key]:.1%} (random {scores[chance]:.1%})" if key in scores else ""


def mark_table(marks: dict[str, dict[str, float]]) -> Table:
    """How often a chosen part holds the centre of a mark of each name, at any and at each scale; % (% by chance)."""
    scales = sorted({key.removeprefix("covered_") for row in marks.values() for key in row if "covered_" in key})
    columns = [Column(scale.replace("scale", "scale "), justify="right") for scale in scales]
    title = "marks whose centre a chosen part holds, % (random)"
    table = Table("mark", "in view", Column("any scale", justify="right"), *columns, title=title, title_justify="left")
    for name, row in marks.items():
        pairs = [("covered", "random"), *((f"covered_{scale}", f"random_{scale}") for scale in scales)]
        table.add_row(name, f"{row['marks']:.0f}", *(_share_beside(row, *pair) for pair in pairs))
    return table


def _share_beside(row: dict[str, float], key: str, chance: str) -> str:
    return f"{100 * row[key]:.1f} ({100 * row[chance]:.1f})" if key in row else ""


def show_scores(scores: dict[str, Any]) -> None:
    """Print a result as one table, and a second one by the names of the marks where there are any."""
    title = f"{scores.get('preset', '')}: {int(scores.get('images', 0))} {scores.get('split', '')} images"
    table = Table(title=title, show_header=False, title_justify="left")
    for name, value in score_rows(scores):
        table.add_row(name, value, style=None)
    console = Console(file=sys.stdout)
    console.print(table)
    # A gate that is nearly open closes too little for its places to mean anything.
    if scores.get("gate_by_place", 0.0) > SAME_PLACES and scores.get("kept", 1.0) < NEARLY_OPEN:
        console.print(
            "The gate keeps much the same places whatever an image shows: "
            "its pictures, and parts that its scores chose, say little about what tells the classes apart.",
            highlight=False,
            soft_wrap=True,
        )
    if scores.get("marks"):
        console.print(mark_table(scores["marks"]))


def show_data(found: dict[str, Any]) -> None:
    """Print what `describe` tells of a data set: the sizes of its splits as a table, and the rest below it."""
    table = Table("split", "images", "classes", "images of a class")
    for name, sizes in found["splits"].items():
        span = f"{sizes['smallest']} to {sizes['largest']}"
        table.add_row(name, str(sizes["images"]), str(sizes["classes"]), span)
    console = Console(file=sys.stdout)
    console.print(table)
    for line in data_lines(found):
        console.print(line, highlight=False, soft_wrap=True, markup=False)


def data_lines(found: dict[str, Any]) -> list[str]:
    """What `describe` tells beside sizes, a line each."""
    sizes = [(f"published, {counts['source']}", counts) for counts in found["published"]]
    sizes += [("in the SCAPNet paper, Table II", found["paper"])] if found["paper"] else []
    lines = [f"{found['title']}; {found['get']}"] if found["get"] else [found["title"]]
    lines += [f"{key}: {found[key]}" for key in ("licence", "homepage", "citation") if found[key]]
    for name, counts in sizes:
        figures = (f"{key} {counts[key]:,}" for key in ("classes", *SPLITS) if counts[key] is not None)
        lines.append(f"{name}: {', '.join(figures)}")
    if found["agrees"] is not None:
        lines.append("what is here has " + ("" if found["agrees"] else "NOT ") + "the published sizes")
    if found["marks"]:
        lines.append(f"annotated, for evaluation only: {', '.join(found['marks'])}")
    if found["drawn"]:
        lines.append("held out here: " + ", ".join(f"{key} {value}" for key, value in found["drawn"].items()))
    return [*lines, *found["notes"]]


def keep_split(folder: Path, splits: Splits) -> None:
    """Write down in a run folder which photos were held out; a resumed run must hold out the same ones.

    Raises:
        ValueError: photos were added, removed or renamed since the run began.
    """
    file = folder / "split.json"
    if splits.drawn is None:
        return
    if not file.exists():
        write_json(file, splits.drawn)
    elif read_json(file) != splits.drawn:
        raise ValueError(
            f"the photos are not those that this run began with: another split than that of {file} came out; "
            f"put them back, or train anew"
        )


def show_check(report: Report, as_json: bool = False, most: int = 4) -> None:
    """Print what a check found, with the first ``most`` files of each finding; the JSON report has them all."""
    if as_json:
        print(json.dumps(report.to_dict(), indent=1))
        return
    console = Console(file=sys.stdout)
    sizes = Table("split", "images", "classes", "images of a class", title=report.name, title_justify="left")
    for name, size in report.splits.items():
        sizes.add_row(name, str(size["images"]), str(size["classes"]), f"{size['fewest']} to {size['most']}")
    console.print(sizes)
    table = Table("", "found", Column("where", overflow="fold"))
    for finding in report.findings:
        groups = [" = ".join(group) for group in finding.files[:most]]
        groups += [f"... {len(finding.files) - most} more"] if len(finding.files) > most else []
        # A file's name may look like rich's markup.
        table.add_row(finding.level, escape(finding.text), escape("\n".join(groups)))
    if report.findings:
        console.print(table)
    errors, warnings = report.count("error"), report.count("warning")
    counts = f"counts: {report.published}; {report.read} images read in {report.seconds:.1f} s"
    console.print(f"errors: {errors}, warnings: {warnings}; {escape(counts)}", highlight=False, soft_wrap=True)
