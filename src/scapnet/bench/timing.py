"""Timing by turns: every candidate once in each round, so that whatever else the machine does meets all of them."""

import ctypes
import gc
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import quantiles
from typing import NamedTuple

import torch

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Row(NamedTuple):
    """Something to time."""

    name: str
    run: Callable[[], object]  # for all images of a batch
    about: str = ""  # what it is


class Spread(NamedTuple):
    """The quartiles of several measurements."""

    lower: float
    median: float
    upper: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """The quartiles of one or more values.

        >>> Spread.of([3.0, 1.0, 2.0])
        Spread(lower=1.5, median=2.0, upper=2.5)
        """
        lower, median, upper = quantiles(values, n=4, method="inclusive") if len(values) > 1 else list(values) * 3
        return cls(lower, median, upper)


def clock_of(device: torch.device, threads: int) -> Callable[[], float]:
    """Seconds: of this process's CPU on one thread, which others on the machine hardly change, else of the clock."""
    if device.type == "cpu":
        return time.process_time if threads == 1 else time.perf_counter

    def seconds() -> float:
        torch.accelerator.synchronize(device)
        return time.perf_counter()

    return seconds


def by_turns(rows: Iterable[Row], rounds: int, clock: Callable[[], float]) -> dict[str, list[float]]:
    """Seconds of each row in each round, by its name; the rows take turns within a round.

    Each row has run before, so that nothing is measured cold.
    """
    rows = list(rows)
    found: dict[str, list[float]] = {row.name: [] for row in rows}
    for _ in range(rounds):
        for row in rows:
            started = clock()
            row.run()
            found[row.name].append(clock() - started)
    return found


def ratios(values: Sequence[float], base: Sequence[float]) -> Spread:
    """The quartiles of the ratio to another row within each round."""
    return Spread.of([value / other for value, other in zip(values, base, strict=True)])


def peak_of(run: Callable[[], object], device: torch.device) -> float | None:
    """Megabytes that a call needs on top of what is held before it; None where the system does not tell.

    Args:
        run: the call. On a processor it should be the first one: a library may keep what it has once taken.
        device: where it runs.
    """
    gc.collect()
    if device.type == "cuda":
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        run()
        return (torch.cuda.max_memory_allocated(device) - before) / 1e6
    trim_memory()
    try:
        RESET.write_text("5", encoding="ascii")  # the peak starts anew: man 5 proc
        before = _kilobytes("VmRSS")
    except OSError:
        run()
        return None
    run()
    return (_kilobytes("VmHWM") - before) * 1024 / 1e6


def trim_memory() -> None:
    """Give memory that was freed back to the system, where the C library is glibc."""
    if sys.platform.startswith("linux"):
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def _kilobytes(field: str) -> int:
    lines = STATUS.read_text(encoding="ascii", errors="replace").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))
