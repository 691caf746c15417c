"""How far a long piece of work on a data set is: a live bar on a terminal, plain lines otherwise."""

import time
from types import TracebackType
from typing import Literal

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

PLAIN_SECONDS = 10.0  # between two plain lines


class ProgressBar:
    """A progress bar on stderr, so that what a command prints stays clean.

    Args:
        unit: what is counted; bytes are shown with their speed.
        quiet: say nothing.
    """

    def __init__(self, unit: Literal["bytes", "images"] = "images", quiet: bool = False) -> None:
        self.unit, self.console = unit, Console(stderr=True, quiet=quiet)
        counts = [DownloadColumn(), TransferSpeedColumn()] if unit == "bytes" else [MofNCompleteColumn()]
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            *counts,
            TimeRemainingColumn(),
            console=self.console,
            disable=quiet or not self.console.is_terminal,
        )
        self.task: TaskID | None = None
        self.name, self.done, self.total = "", 0, 0
        self.said = 0.0

    def __enter__(self) -> "ProgressBar":
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()

    def start(self, name: str, total: int | None, done: int = 0) -> None:
        """Begin a piece of work called `name`, with ``done`` of ``total`` units behind it; None is not known."""
        if self.task is not None:
            self.progress.remove_task(self.task)
        self.task = self.progress.add_task(name, total=total, completed=done)
        self.name, self.done, self.total = name, done, total or 0
        self.said = time.monotonic()

    def advance(self, count: int) -> None:
        """Count units of work."""
        if self.task is not None:
            self.progress.advance(self.task, count)
        self.done += count
        if not self.console.is_terminal and time.monotonic() - self.said >= PLAIN_SECONDS:
            self.said = time.monotonic()
            self.note(f"{self.name}: {self.done:,} {f'of {self.total:,} ' if self.total else ''}{self.unit}")

    def note(self, text: str) -> None:
        """A line above the bar."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)
