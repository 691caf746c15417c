"""The runner: finds the missing runs of rows, trains several at a time, and writes a record of each."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

from scapnet.checkpoint import read_run
from scapnet.config import Config
from scapnet.data.loaders import cores_here
from scapnet.experiments.cascade import from_cascade
from scapnet.experiments.environment import present_commit
from scapnet.experiments.identity import same_settings
from scapnet.experiments.recipes import for_machine, with_seed
from scapnet.experiments.record import Record, files_of, from_average, from_run, read_record, write_record
from scapnet.experiments.rows import Row
from scapnet.jsonfile import write_json
from scapnet.serialization import to_dict

WORKER = ("-m", "scapnet.experiments.worker")
POLL = 0.2  # seconds
SEPARATOR = ", "  # of several commits


class RowRun(NamedTuple):
    """One run of a row."""

    row: Row
    seed: int  # 0, 1, ...
    config: Config

    @property
    def name(self) -> str:
        """The name of its record and of its run folder."""
        return f"{self.row.name}-{self.seed}"


Running = tuple[RowRun, "subprocess.Popen[bytes]"]


@dataclass(frozen=True)
class Runner:
    """Trains and records the rows of a data set.

    Args:
        base: the recipe; its preset is the name of the data set.
        out: folder of the results, with a subfolder for each data set.
        runs: folder of the run folders.
        command: the command for the records.
        jobs: number of runs to train at the same time; 0 lets the machine decide.
        report: called with a line of text at each event.
    """

    base: Config
    out: Path
    runs: Path
    command: str
    jobs: int = 0
    report: Callable[[str], Any] = print

    def record_file(self, run: RowRun) -> Path:
        """The record of a run."""
        return self.out / self.base.preset / "rows" / f"{run.name}.json"

    def run_folder(self, run: RowRun) -> Path:
        """The run folder of a run."""
        return self.runs / self.base.preset / run.name

    def plan(self, rows: Sequence[Row], seeds: Sequence[int]) -> list[RowRun]:
        """All runs of some rows, seed by seed, so that a table with fewer seeds is complete early."""
        named = [row for row in rows if row.name and row.applies_to(self.base.preset)]
        return [self.run_of(row, seed) for seed in seeds for row in named]

    def run_of(self, row: Row, seed: int) -> RowRun:
        """The run of a row with a seed."""
        return RowRun(row, seed, row.config(with_seed(self.base, seed)))

    def check(self, rows: Sequence[Row]) -> None:
        """Check the records of some rows for all seeds, since a table shows all of them.

        Raises:
            ValueError: a record has other settings.
        """
        for row in (row for row in rows if row.name and row.applies_to(self.base.preset)):
            files = files_of(row.name, self.out / self.base.preset / "rows")
            for seed, file in files.items():
                if not same_settings(read_record(file).config, self.run_of(row, seed).config):
                    raise ValueError(f"{file} has other settings; move it away, or choose another --out folder")

    def finished(self, run: RowRun) -> bool:
        """Whether a run's folder holds the finished run with these settings."""
        folder = self.run_folder(run)
        return (folder / "results.json").exists() and same_settings(read_run(folder), run.config)

    def missing(self, runs: Sequence[RowRun], models: bool = False) -> list[RowRun]:
        """Runs without a record; with ``models``, runs whose trained model is missing."""
        return [run for run in runs if not (self.finished(run) if models else self.record_file(run).exists())]

    def run(self, runs: Sequence[RowRun], minutes: float | None = None, models: bool = False) -> bool:
        """Train what is missing; True if nothing is missing afterwards.

        Args:
            runs: from `plan`.
            minutes: stop after this time; the next call continues unfinished runs from their last checkpoint.
            models: also repeat runs with a record but no model, because a figure needs the model.

        Raises:
            ValueError: a run failed (raised after the others have finished).
        """
        end = time.monotonic() + 60 * minutes if minutes is not None else float("inf")
        waiting = [run for run in self.missing(runs, models) if not run.row.needs]
        slots = parallel_runs(self.jobs, len(waiting), self.base.data.size)
        running: list[Running] = []
        errors: list[str] = []
        try:
            while (waiting or running) and time.monotonic() < end:
                while waiting and len(running) < slots:
                    run = waiting.pop(0)
                    if self.missing([run], models):  # another runner may have finished it meanwhile
                        running.append((run, self._start(run, max(1, cores_here() // slots))))
                for run, process in [pair for pair in running if pair[1].poll() is not None]:
                    errors += self._end(run, process.returncode)
                running = [pair for pair in running if pair[1].returncode is None]
                time.sleep(POLL)
        finally:
            for _, process in running:
                process.kill()
                process.wait()
        self._combine(runs)
        if errors:
            raise ValueError(errors[0])
        return not self.missing(runs, models)

    def _start(self, run: RowRun, threads: int) -> "subprocess.Popen[bytes]":
        folder = self.run_folder(run)
        folder.parent.mkdir(parents=True, exist_ok=True)
        file = _beside(folder, ".json")
        write_json(file, to_dict(for_machine(run.config)))
        self.report(f"{run.name}: {'continues' if folder.exists() else 'starts'}")
        commits, now = _beside(folder, ".commits"), present_commit()
        earlier = commits.read_text(encoding="utf-8").split(SEPARATOR) if folder.exists() and commits.exists() else []
        commits.write_text(SEPARATOR.join(dict.fromkeys([*earlier, now])), encoding="utf-8")
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
        with _beside(folder, ".log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, *WORKER, str(folder), str(file)],
                stdin=subprocess.PIPE,  # stays open as long as this process lives, see `worker`
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
            )

    def _end(self, run: RowRun, code: int) -> list[str]:
        """Record a run whose process has ended; returns what went wrong, if anything."""
        folder = self.run_folder(run)
        if code:
            log = _beside(folder, ".log")
            lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            self.report(f"{run.name}: failed; see the end of {log}")
            killed = f"it was ended by signal {-code}; if memory is short, use fewer --jobs" if code < 0 else ""
            return [f"{run.name} failed: {killed or (lines or ['it printed nothing'])[-1]}"]
        if not self.record_file(run).exists():  # it exists if a figure needed the model of a recorded run
            commits = _beside(folder, ".commits")
            commit = commits.read_text(encoding="utf-8") if commits.exists() else None
            self._write(run, from_run(run.row.name, run.seed, folder, self.command, commit))
        return []

    def _write(self, run: RowRun, record: Record) -> None:
        self.record_file(run).parent.mkdir(parents=True, exist_ok=True)
        write_record(self.record_file(run), record)
        self.report(f"{run.name}: {record.scores.get('accuracy', float('nan')):.1%}")

    def _combine(self, runs: Sequence[RowRun]) -> None:
        """Record the rows that combine the answers of others, if those are finished and their folders exist."""
        by_name = {run.name: run for run in runs}
        for run in self.missing(runs):
            wanted = [f"{name}-{run.seed}" for name in run.row.needs]
            others = [by_name[name] for name in wanted if name in by_name]
            if not others or len(others) < len(wanted):
                continue
            if all(self.finished(one) for one in others):
                self._write(run, self._combined(run, {one.row.name: self.run_folder(one) for one in others}))
            elif not self.missing(others):
                files = " and ".join(str(self.record_file(one)) for one in others)
                number = "both" if len(others) > 1 else "it"
                self.report(
                    f"{run.name} needs the run folders of {' and '.join(wanted)}, which are missing; move {files} away "
                    f"to train {number} again"
                )

    def _combined(self, run: RowRun, folders: dict[str, Path]) -> Record:
        row = run.row
        if row.cascade:
            return from_cascade(row.name, run.seed, row.cascade, folders, run.config, self.command)
        first, second = folders.values()
        return from_average(row.name, run.seed, (first, second), run.config, self.command)


def _beside(folder: Path, ending: str) -> Path:
    """A file beside a run folder; `with_suffix` would cut a name with a dot, so that two runs shared the file."""
    return folder.with_name(folder.name + ending)


def parallel_runs(asked: int, runs: int, size: int) -> int:
    """How many of ``runs`` runs to train at a time.

    On a CPU one per core, up to 8, if views are at most 256 px; on a GPU one, or up to four with such views.
    """
    small = size <= 256
    if torch.cuda.is_available():
        most = min(4, max(1, cores_here() // 4)) if small else 1
    else:
        most = min(8, cores_here()) if small else 1
    return max(1, min(asked or most, runs))
