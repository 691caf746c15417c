"""The records of a table's rows, and the differences between rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from scapnet.experiments.record import Record, files_of, read_record, unpack
from scapnet.experiments.rows import Row, Table
from scapnet.experiments.stats import Difference, difference


@dataclass(frozen=True)
class RowResults:
    """A row and its records by seed."""

    row: Row
    records: Mapping[int, Record]

    def values(self, score: str, seeds: Sequence[int] | None = None) -> list[float]:
        """A score in percent, seed by seed; a gate that masks nothing has no kept share."""
        chosen = [self.records[seed] for seed in (self.records if seeds is None else seeds)]
        if score in ("kept", "kept_spread"):
            chosen = [record for record in chosen if record.config.model.gate.mask != "none"]
        return [100 * record.scores[score] for record in chosen if score in record.scores]


def read_rows(table: Table, folder: Path, data: str) -> list[RowResults]:
    """The records of each row of a table, from a folder."""
    results = []
    for row in table.rows:
        if row.applies_to(data):
            files = files_of(row.name, folder) if row.name else {}
            results.append(RowResults(row, {seed: read_record(file) for seed, file in files.items()}))
    return results


class Gap(NamedTuple):
    """The difference between two rows in percentage points, with an interval over runs or over test images."""

    difference: Difference | None
    over_runs: bool


def compare(ours: RowResults, theirs: RowResults) -> Gap:
    """Pair the runs of two rows if they share at least three seeds, otherwise the test images of the shared seeds."""
    over_runs = len(ours.records.keys() & theirs.records.keys()) > 2
    return Gap((by_seeds if over_runs else by_images)(ours, theirs), over_runs)


def by_seeds(ours: RowResults, theirs: RowResults) -> Difference | None:
    """The difference over runs, paired by seed; None without a shared seed."""
    seeds = [seed for seed in ours.records if seed in theirs.records]
    return difference(ours.values("accuracy", seeds), theirs.values("accuracy", seeds)) if seeds else None


def by_images(ours: RowResults, theirs: RowResults) -> Difference | None:
    """The difference over the test images of the shared seeds; None without a shared seed.

    Several runs on the same test images are not new evidence: each image counts once, with its mean over the runs.
    """
    seeds = [seed for seed in ours.records if seed in theirs.records]
    same_images: dict[str, list[int]] = {}  # seeds by their test images: those of a fold, or drawn for the seed
    for seed in seeds:
        same_images.setdefault(repr(ours.records[seed].config.data), []).append(seed)
    means: tuple[list[float], list[float]] = ([], [])
    for group in same_images.values():
        sides = [[unpack(results.records[seed].right) for seed in group] for results in (ours, theirs)]
        if [len(run) for run in sides[0]] != [len(run) for run in sides[1]]:
            return None  # an image could not be read, so it is unknown which of the others correspond
        for mean, runs in zip(means, sides, strict=True):
            mean += [100 * fmean(answers) for answers in _by_image(runs)]
    return difference(*means) if seeds else None


def _by_image(runs: Sequence[Sequence[bool]]) -> list[list[bool]]:
    """The answers of the runs, image by image."""
    return [[run[i] for run in runs if i < len(run)] for i in range(max(map(len, runs)))]


def verdicts(table: Table, results: Sequence[RowResults]) -> list[tuple[str, Gap, str]]:
    """Each claim of a table whose rows were both run: the claim, the difference, and whether the claim holds."""
    rows = {result.row.name: result for result in results if result.row.name}
    found = []
    for better, worse in table.claims:
        if better not in rows or worse not in rows:
            continue
        gap = compare(rows[better], rows[worse])
        if gap.difference is not None:
            verdict = "holds" if gap.difference.low > 0 else "does not hold" if gap.difference.high < 0 else "undecided"
            if not gap.over_runs and verdict != "undecided":
                verdict += " in these runs"
            found.append((f"{rows[better].row.label} > {rows[worse].row.label}", gap, verdict))
    return found
