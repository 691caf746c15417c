"""Reading all images of a data set once, in several processes; a second call reuses the stored facts."""

import json
import multiprocessing
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import NamedTuple

from scapnet.data.audit.facts import Facts, Task, missing, read_all
from scapnet.data.loaders import cores_here
from scapnet.data.sample import FineGrained, Splits
from scapnet.errors import reason
from scapnet.terminal.console import ProgressBar

CHUNK = 32  # images per task; killing the process loses at most the current ones
IMAGES_PER_JOB = 1000  # another process pays off from this many images
VERSION = 2  # of the stored facts; images with facts of another version are read again
FILE = "facts.jsonl"


class Entry(NamedTuple):
    """One sample of a split."""

    split: str
    number: int  # in the split
    label: int
    path: str  # relative to the root if below it
    file: Path | None  # None if the sample is not a file


def entries_of(splits: Splits, root: Path | None) -> list[Entry]:
    """All samples of all splits; none is read."""
    found: list[Entry] = []
    for name in ("train", "val", "test"):
        split: FineGrained | None = getattr(splits, name)
        if split is None:
            continue
        files: Sequence[Path] | None = getattr(split, "paths", None)
        for number, label in enumerate(split.labels):
            file = None if files is None else files[number]
            path = f"{name}/{number}" if file is None else short(file, root)
            found.append(Entry(name, number, label, path, file))
    return found


def short(file: Path, root: Path | None) -> str:
    """A file's path, relative to the root if below it."""
    return file.relative_to(root).as_posix() if root is not None and file.is_relative_to(root) else str(file)


class FactCache:
    """Facts stored by earlier calls, one line of JSON per image, found by path, size and modification time."""

    def __init__(self, folder: Path | None) -> None:
        self.file = folder / FILE if folder else None
        self.known: dict[tuple[str, int, int], Facts] = {}
        if self.file and self.file.is_file():
            with self.file.open(encoding="utf-8") as lines:
                self.known = {facts.key: facts for facts in map(_parse, lines) if facts}

    def find(self, entry: Entry) -> Facts | None:
        """The facts about a file that is unchanged or missing; None if it has to be read."""
        assert entry.file is not None
        try:
            stat = os.stat(entry.file)
        except OSError as error:
            return missing(entry.path, error.strerror or reason(error))
        return self.known.get((entry.path, stat.st_size, stat.st_mtime_ns))

    def add(self, found: Iterable[Facts]) -> None:
        """Store facts about files."""
        if self.file is None:
            return
        with self.file.open("a", encoding="utf-8") as lines:
            for facts in found:
                # A killed process may have cut the last line short; an extra empty line does no harm.
                lines.write("\n" + json.dumps({"version": VERSION, **facts._asdict()}))


def _parse(line: str) -> Facts | None:
    try:
        values = json.loads(line)
        if values.pop("version") != VERSION:
            return None
        return Facts(**{**values, "odd": tuple(values["odd"])})
    except (ValueError, KeyError, TypeError, AttributeError):
        return None  # cut short, or of another version: read the image again


def read_facts(
    splits: Splits, entries: Sequence[Entry], folder: Path | None, jobs: int, bar: ProgressBar
) -> tuple[dict[str, Facts], int]:
    """The facts about all entries by path.

    Args:
        splits: the data set.
        entries: its samples.
        folder: the folder of the stored facts; None stores none.
        jobs: processes; 1 reads in this one, 0 uses one per core, and fewer for few images.
        bar: shows the progress.

    Returns:
        Facts by path, and the number of images that this call read or drew.
    """
    cache, facts, new = FactCache(folder), dict[str, Facts](), list[Entry]()
    for path, entry in {entry.path: entry for entry in entries}.items():
        known = cache.find(entry) if entry.file is not None else None
        if known is None:
            new.append(entry)
        else:
            facts[path] = known
    # A process takes a second or two to start.
    jobs = jobs or min(cores_here(), 1 + len(new) // IMAGES_PER_JOB)
    bar.start("reading", len(facts) + len(new), len(facts))
    for found in _run(list(_tasks(splits, new)), jobs):
        cache.add(fact for fact in found if fact.size)
        facts |= {fact.path: fact for fact in found}
        bar.advance(len(found))
    return facts, len(new)


def _tasks(splits: Splits, entries: Sequence[Entry]) -> Iterator[Task]:
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        groups.setdefault("" if entry.file is not None else entry.split, []).append(entry)
    for name, group in groups.items():
        for start in range(0, len(group), CHUNK):
            chunk = group[start : start + CHUNK]
            if name:
                yield getattr(splits, name), [(entry.number, entry.path) for entry in chunk]
            else:
                yield None, [(entry.file, entry.path) for entry in chunk]


def _run(tasks: Sequence[Task], jobs: int) -> Iterator[list[Facts]]:
    """The results of tasks as they finish, with only a few tasks queued at a time."""
    if min(jobs, len(tasks)) < 2:
        yield from map(read_all, tasks)
        return
    # Spawned, not forked: a fork of a process with threads (torch's, the bar's) may hang.
    with ProcessPoolExecutor(min(jobs, len(tasks)), multiprocessing.get_context("spawn")) as pool:
        waiting, rest = set[Future[list[Facts]]](), iter(tasks)
        try:
            for task in rest:
                waiting.add(pool.submit(read_all, task))
                if len(waiting) >= 4 * jobs:
                    done, waiting = wait(waiting, return_when="FIRST_COMPLETED")
                    yield from (future.result() for future in done)
            yield from (future.result() for future in waiting)
        except BrokenProcessPool as error:
            raise ValueError(
                "a process that reads images was killed, perhaps out of memory; repeat the command with --jobs 1"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)
