"""What a command prints on a terminal while it works: lines, a live bar, and names exactly as they are."""

import time
import unicodedata
from types import TracebackType
from typing import Literal

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

PLAIN_SECONDS = 10.0  # between two plain lines
Unit = Literal["images", "work"]


def printable(text: object) -> str:
    r"""A text, such as a file name, as one line that is safe to print.

    Control characters (including a terminal's escape sequences), line ends, overrides of the writing direction and
    bytes that are not UTF-8 become backslash escapes. Joiners, as in emoji and Persian, stay.

    >>> printable("a[red]\x1b[2J\n") == r"a[red]\x1b[2J\n"
    True
    """
    return "".join(c if _shown(c) else _escape(c) for c in str(text))


def _shown(character: str) -> bool:
    kind = unicodedata.category(character)
    turns = unicodedata.bidirectional(character) in {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    return not turns and kind not in {"Cc", "Cs", "Zl", "Zp"}


def _escape(character: str) -> str:
    number = ord(character)
    if 0xDC80 <= number <= 0xDCFF:  # how Python keeps a byte of a file name that is not UTF-8
        return f"\\x{number - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


def make_console(stderr: bool = False, quiet: bool = False) -> Console:
    """A console that prints text as it is: no markup ("[red]"), no emoji codes (":cat:"), no highlighting."""
    return Console(stderr=stderr, quiet=quiet, markup=False, emoji=False, highlight=False)


def say(text: str, console: Console | None = None) -> None:
    """Print one line; only the terminal wraps it."""
    (console or make_console()).print(printable(text), soft_wrap=True)


class ProgressBar:
    """The progress of a long task: a live bar on a terminal, plain lines elsewhere.

    Args:
        unit: what is counted; work is shown as a percentage.
        quiet: print nothing, as on all processes of a distributed run but the first.
        stderr: keep stdout clean for the command's own output.
        live: False if something else is printed on the same terminal meanwhile.
    """

    def __init__(self, unit: Unit = "images", quiet: bool = False, stderr: bool = True, live: bool = True) -> None:
        self.unit, self.console = unit, make_console(stderr, quiet)
        self.live = live and not quiet and self.console.is_terminal
        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            *_columns(unit),
            console=self.console,
            disable=not self.live,
            redirect_stdout=not stderr,  # else the command's own output would go to stderr
        )
        self.task: TaskID | None = None
        self.name, self.done, self.total = "", 0.0, 0.0
        self.said = 0.0

    def __enter__(self) -> "ProgressBar":
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()

    def start(self, name: str, total: float | None, done: float = 0.0) -> None:
        """Begin a task called ``name`` with ``done`` of ``total`` units already done; None means unknown."""
        if self.task is not None:
            self.progress.remove_task(self.task)
        self.task = self.progress.add_task(printable(name), total=total)
        # Work done earlier says nothing about the speed now, so the bar starts from it without counting it.
        self.progress.reset(self.task, total=total, completed=done)  # type: ignore[arg-type]
        self.name, self.done, self.total = name, done, total or 0
        self.said = time.monotonic()

    def advance(self, count: float) -> None:
        """Count units of work."""
        if self.task is not None:
            self.progress.advance(self.task, count)
        self.done += count
        if not self.live and self.unit != "work" and time.monotonic() - self.said >= PLAIN_SECONDS:
            self.said = time.monotonic()
            self.note(f"{self.name}: {self.done:,.0f} {f'of {self.total:,.0f} ' if self.total else ''}{self.unit}")

    def describe(self, text: str) -> None:
        """Set the text before the bar, if there is one."""
        if self.task is not None and self.live:
            self.progress.update(self.task, description=printable(text))

    def note(self, text: str) -> None:
        """A line above the bar."""
        say(text, self.console)


def _columns(unit: Unit) -> list[ProgressColumn]:
    left = TimeRemainingColumn()
    if unit == "images":
        return [MofNCompleteColumn(), left]
    return [TextColumn("{task.percentage:>3.0f}%"), TimeElapsedColumn(), TextColumn("left"), left]
