"""What a run tells: its live bar, the means of its log, and the tables of its scores."""

import json
import sys
import time
from collections import Counter
from types import TracebackType
from typing import Any

import torch
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column, Table
from torch import Tensor

from scapnet.data.check import Report
from scapnet.data.sample import FineGrained, Splits
from scapnet.model import SCAPNetOutput

TERMS = ("loss", "cls", "act", "con", "sub")


class Bar:
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

    def __enter__(self) -> "Bar":
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


class Window:
    """Sums over the steps between two lines of the log; nothing leaves the device before its mean is asked for."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.steps, self.images, self.started = 0, 0, time.monotonic()

    def add(self, terms: dict[str, Tensor], output: SCAPNetOutput, target: Tensor) -> None:
        """Count one step."""
        values = {key: value.detach() for key, value in terms.items()}
        values["accuracy"] = (output.probs.argmax(1) == target).float().mean()
        if output.gate is not None:
            values["kept"] = output.gate.mask.detach().mean()
        for key, value in values.items():
            self.sums[key] = self.sums.get(key, torch.zeros_like(value)) + value
        self.steps += 1
        self.images += len(target)

    def means(self) -> dict[str, float]:
        """Means over the steps."""
        return {key: float(value) / self.steps for key, value in self.sums.items()}

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
    }
    for key, name in names.items():
        if key in scores and (key != "accuracy" or "accuracy_parts" in scores):
            rows.append((name, f"{scores[key]:.1%}"))
    for key in sorted(scores):
        if key.startswith("hit_scale"):
            scale = key.removeprefix("hit_scale")
            value = f"{scores[key]:.1%} (random {scores[f'random_scale{scale}']:.1%})"
            rows.append((f"chosen scale-{scale} units that hold a mark's centre", value))
    return rows


def show_scores(scores: dict[str, Any]) -> None:
    """Print a result as one table."""
    title = f"{scores.get('preset', '')}: {int(scores.get('images', 0))} {scores.get('split', '')} images"
    table = Table(title=title, show_header=False, title_justify="left")
    for name, value in score_rows(scores):
        table.add_row(name, value, style=None)
    Console(file=sys.stdout).print(table)


def show_data(splits: Splits) -> None:
    """Print the sizes of a data set's splits."""
    table = Table("split", "images", "classes", "images of a class")
    for name in Splits._fields:
        data: FineGrained | None = getattr(splits, name)
        if data is not None:
            counts = Counter(data.labels)
            span = f"{min(counts.values())} to {max(counts.values())}"
            table.add_row(name, str(len(data)), str(len(counts)), span)
    Console(file=sys.stdout).print(table)


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
