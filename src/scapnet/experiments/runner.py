"""The runner: finds the rows of a table that are missing, runs them side by side, and leaves a file for each."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

from scapnet.config import Config
from scapnet.data.loaders import cores_here
from scapnet.experiments.recipes import for_machine, with_seed
from scapnet.experiments.record import commit, files_of, from_average, from_run, same_run, same_settings
from scapnet.experiments.rows import Row
from scapnet.jsonfile import read_json, write_json
from scapnet.serialization import to_dict

Say = Callable[[str], Any]
SEPARATOR = ", "


class RowRun(NamedTuple):
    """A row with one of its seeds."""

    row: Row
    seed: int
    config: Config

    @property
    def name(self) -> str:
        """Of its files and its run folder."""
        return f"{self.row.name}-{self.seed}"


@dataclass(frozen=True)
class Runner:
    """Where a data set's rows are run and written.

    Args:
        base: the recipe; its preset is the name of the data set.
        out: folder of the results; this data set has one of its name in it.
        runs: folder of the run folders.
        command: what a reader would type, for the records.
        jobs: runs side by side; 0 chooses by the machine.
        say: told what happens, a line at a time.
    """

    base: Config
    out: Path
    runs: Path
    command: str
    jobs: int = 0
    say: Say = print

    def file(self, job: RowRun) -> Path:
        """The record of a job."""
        return self.out / self.base.preset / "rows" / f"{job.name}.json"

    def folder(self, job: RowRun) -> Path:
        """The run folder of a job."""
        return self.runs / self.base.preset / job.name

    def plan(self, rows: Sequence[Row], seeds: Sequence[int]) -> list[RowRun]:
        """Every job of some rows, seed by seed, so that what comes first is a whole table of fewer seeds."""
        mine = [row for row in rows if row.name and row.belongs(self.base.preset)]
        return [self.job(row, seed) for seed in seeds for row in mine]

    def check(self, rows: Sequence[Row]) -> None:
        """Look at the files of some rows, of every seed: a table shows all that there are.

        Raises:
            ValueError: a file that other settings left.
        """
        for row in rows:
            for seed, file in files_of(row.name, self.out / self.base.preset / "rows").items() if row.name else ():
                if not same_run(file, self.job(row, seed).config):
                    raise ValueError(f"{file} is of other settings; move it away, or give another --out folder")

    def job(self, row: Row, seed: int) -> RowRun:
        """A row with one of its seeds."""
        return RowRun(row, seed, row.config(with_seed(self.base, seed)))

    def finished(self, job: RowRun) -> bool:
        """Whether a job's run folder holds its finished run, and not one of other settings."""
        folder = self.folder(job)
        return (folder / "results.json").exists() and same_settings(read_json(folder / "config.json"), job.config)

    def missing(self, jobs: Sequence[RowRun], models: bool = False) -> list[RowRun]:
        """Jobs without a record, or without the model of their run."""
        return [job for job in jobs if not (self.finished(job) if models else self.file(job).exists())]

    def run(self, jobs: Sequence[RowRun], minutes: float | None = None, models: bool = False) -> bool:
        """Carry out what is missing; True when nothing is.

        Args:
            jobs: of `plan`.
            minutes: stop after so long; what was not finished goes on from its last checkpoint the next time.
            models: a job without its trained model is missing, too: a figure needs more than the record.

        Raises:
            ValueError: a run that cannot be made. The others go on to their end first.
        """
        until = time.monotonic() + 60 * minutes if minutes is not None else float("inf")
        waiting = [job for job in self.missing(jobs, models) if job.row.average is None]
        side = side_by_side(self.jobs, len(waiting), self.base.data.size)
        running: list[tuple[RowRun, subprocess.Popen[bytes]]] = []
        errors: list[str] = []
        try:
            while (waiting or running) and time.monotonic() < until:
                while waiting and len(running) < side:
                    job = waiting.pop(0)
                    if self.missing([job], models):  # another runner may have left its record meanwhile
                        running.append((job, self._start(job, max(1, cores_here() // side))))
                for job, process in [pair for pair in running if pair[1].poll() is not None]:
                    errors += self._end(job, process.returncode)
                running = [pair for pair in running if pair[1].returncode is None]
                time.sleep(0.2)
        finally:
            for _, process in running:
                process.kill()
                process.wait()
        self._average(jobs)
        if errors:
            raise ValueError(errors[0])
        return not self.missing(jobs, models)

    def _start(self, job: RowRun, threads: int) -> "subprocess.Popen[bytes]":
        folder = self.folder(job)
        folder.parent.mkdir(parents=True, exist_ok=True)
        file = _beside(folder, ".json")
        write_json(file, to_dict(for_machine(job.config)))
        self.say(f"{job.name}: {'goes on' if folder.exists() else 'starts'}")
        ran, now = _beside(folder, ".commits"), commit()
        known = ran.read_text(encoding="utf-8").split(SEPARATOR) if folder.exists() and ran.exists() else []
        ran.write_text(SEPARATOR.join(dict.fromkeys([*known, now])), encoding="utf-8")
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
        # Its input stays open as long as this process lives, see `job`.
        with _beside(folder, ".log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "scapnet.experiments.worker", str(folder), str(file)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
            )

    def _end(self, job: RowRun, code: int) -> list[str]:
        folder = self.folder(job)
        if code:
            log = _beside(folder, ".log")
            lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            self.say(f"{job.name}: failed; its last words are in {log}")
            killed = f"signal {-code} ended it; where memory is short, use fewer --jobs" if code < 0 else ""
            return [f"{job.name} failed: {killed or (lines or ['it said nothing'])[-1]}"]
        if not self.file(job).exists():  # a figure may have needed the model of a run whose record is kept
            ran = _beside(folder, ".commits")
            known = ran.read_text(encoding="utf-8") if ran.exists() else None
            self._write(job, from_run(job.row.name, job.seed, folder, self.command, known))
        return []

    def _write(self, job: RowRun, record: dict[str, Any]) -> None:
        self.file(job).parent.mkdir(parents=True, exist_ok=True)
        write_json(self.file(job), record)
        self.say(f"{job.name}: {record['scores'].get('accuracy', float('nan')):.1%}")

    def _average(self, jobs: Sequence[RowRun]) -> None:
        """Average what can be: both runs of a job are finished, and their folders are still here."""
        by_name = {job.name: job for job in jobs}
        for job in self.missing(jobs):
            wanted = [f"{name}-{job.seed}" for name in job.row.average or ()]
            pair = [by_name[name] for name in wanted if name in by_name]
            if len(pair) == 2 and all(self.finished(one) for one in pair):
                both = (self.folder(pair[0]), self.folder(pair[1]))
                self._write(job, from_average(job.row.name, job.seed, both, job.config, self.command))
            elif len(pair) == 2 and not self.missing(pair):
                files = " and ".join(str(self.file(one)) for one in pair)
                self.say(
                    f"{job.name} needs the run folders of {' and '.join(wanted)}, which are gone; move {files} away"
                )


def _beside(folder: Path, ending: str) -> Path:
    """A file beside a run folder; `with_suffix` would cut a name with a point, and two runs would share the file."""
    return folder.with_name(folder.name + ending)


def side_by_side(asked: int, jobs: int, size: int) -> int:
    """How many runs go on at once: one for each core, up to 8, for small views; on a GPU one, or four small ones."""
    if torch.cuda.is_available():
        most = min(4, max(1, cores_here() // 4)) if size <= 256 else 1
    else:
        most = min(8, cores_here()) if size <= 256 else 1
    return max(1, min(asked or most, jobs))
