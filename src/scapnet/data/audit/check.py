"""Checks of a data set: published sizes, unreadable files, labels, duplicates and unusual images."""

import dataclasses
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from scapnet.config import DataConfig
from scapnet.data.audit.facts import ODD, Facts
from scapnet.data.audit.reading import Entry, entries_of, read_facts, short
from scapnet.data.info import PublishedSizes
from scapnet.data.layout import layout
from scapnet.data.load import load_data
from scapnet.data.sample import Splits
from scapnet.jsonfile import write_json
from scapnet.outputs import check_folder
from scapnet.terminal.console import ProgressBar

HINT = "give a folder for the report with --out"
FOLDER = ".scapnet-check"  # in the root; hidden, so that it is not read as a class
SIZES = ("classes", "train", "val", "test")


@dataclass(frozen=True)
class Finding:
    """One kind of problem."""

    kind: str
    level: Literal["error", "warning"]
    text: str  # a sentence
    files: tuple[tuple[str, ...], ...] = ()  # the affected files; those in one tuple are duplicates of each other


@dataclass(frozen=True)
class Report:
    """The result of a check."""

    name: str
    layout: str  # the classes, the splits with their sources, and what is not used, in one line
    splits: dict[str, dict[str, int]]  # images, classes, and the fewest and most images of a class
    images: dict[str, Any]  # kinds, and the ranges of widths and heights
    published: str  # the source that the counts were compared with
    read: int  # images that this call read; the others were read by earlier calls
    seconds: float
    findings: tuple[Finding, ...] = field(default=())

    def count(self, level: str) -> int:
        """The number of findings of a level."""
        return sum(finding.level == level for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values for JSON."""
        return {**dataclasses.asdict(self), "errors": self.count("error"), "warnings": self.count("warning")}


def check_named(data: DataConfig, out: Path | None = None, jobs: int = 0) -> Report:
    """Check the data set of a config; see `check_data`."""
    if out is not None:
        check_folder(out, HINT)  # before listing the data set, which may take a while
    splits = load_data(data)
    return check_data(splits, data.name, data.root, out, jobs, splits.info.counts)


def check_data(
    splits: Splits,
    name: str,
    root: Path | None = None,
    out: Path | None = None,
    jobs: int = 0,
    published: Sequence[PublishedSizes] = (),
    quiet: bool = False,
) -> Report:
    """Read every image of a data set once and report what is wrong or unusual.

    Args:
        splits: the data set.
        name: its name.
        root: its folder, which reported paths are relative to.
        out: the folder of ``report.json`` and of the facts that a second call reuses; by default
            ``.scapnet-check`` in the root, and nothing is written without a root.
        jobs: processes that read; 0 is one per core, and fewer for few images.
        published: its published sizes; the best match is used.
        quiet: show no progress bar.

    Raises:
        ValueError: a folder that cannot be written, a negative number of jobs.
    """
    if jobs < 0:
        raise ValueError(f"jobs is {jobs} and must be at least 1, or 0 for one per core")
    folder = out or (root / FOLDER if root is not None else None)
    if folder is not None:
        check_folder(folder, HINT)
        folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    entries = entries_of(splits, root)
    with ProgressBar(quiet=quiet) as bar:
        facts, read = read_facts(splits, entries, folder, jobs, bar)
    said, findings = _compare(splits, published)
    findings += _labels(splits, entries) + _unread(entries, facts) + _doubles(entries, facts) + _oddities(facts)
    findings += _skipped_findings(splits, root)
    findings.sort(key=lambda finding: finding.level)  # errors first
    seconds = round(time.monotonic() - started, 2)
    report = Report(name, layout(splits), _sizes(splits), _images(facts), said, read, seconds, tuple(findings))
    if folder is not None:
        write_json(folder / "report.json", report.to_dict())
    return report


def _sizes(splits: Splits) -> dict[str, dict[str, int]]:
    sizes: dict[str, dict[str, int]] = {}
    for name in ("train", "val", "test"):
        if split := getattr(splits, name):
            counts = Counter(split.labels)
            fewest, most = min(counts.values(), default=0), max(counts.values(), default=0)
            sizes[name] = {"images": len(split), "classes": len(counts), "fewest": fewest, "most": most}
    return sizes


def _images(facts: dict[str, Facts]) -> dict[str, Any]:
    good = [fact for fact in facts.values() if fact.width]
    return {
        "files": len(facts),
        "megabytes": round(sum(fact.size for fact in good) / 1e6, 1),
        "width": [min((f.width for f in good), default=0), max((f.width for f in good), default=0)],
        "height": [min((f.height for f in good), default=0), max((f.height for f in good), default=0)],
        "kinds": dict(Counter(fact.kind for fact in good).most_common()),
    }


def _compare(splits: Splits, published: Sequence[PublishedSizes]) -> tuple[str, list[Finding]]:
    """Compare with the source that matches best, since sources disagree."""
    if not published:
        return "no published counts are known", []
    found = {name: len(split) for name in SIZES[1:] if (split := getattr(splits, name)) is not None}
    found["classes"] = len(splits.train.classes)

    def wrong(statement: PublishedSizes) -> list[str]:
        sizes = {name: getattr(statement, name) for name in SIZES}
        return [name for name in SIZES if sizes[name] is not None and found.get(name, sizes[name]) != sizes[name]]

    best = min(published, key=lambda statement: len(wrong(statement)))
    findings = [
        Finding("counts", "error", f"{name}: {found[name]:,} here, {getattr(best, name):,} in {best.source}")
        for name in wrong(best)
    ]
    absent = [name for name in SIZES if name not in found and getattr(best, name)]
    findings += [
        Finding("counts", "warning", f"{name}: not here, {getattr(best, name):,} in {best.source}") for name in absent
    ]
    return best.source, findings


def _labels(splits: Splits, entries: Sequence[Entry]) -> list[Finding]:
    classes, findings = splits.train.classes, list[Finding]()
    outside = [entry for entry in entries if not 0 <= entry.label < len(classes)]
    if outside:
        text = f"labels outside 0 to {len(classes) - 1}: {len(outside)}"
        findings.append(Finding("labels", "error", text, tuple((entry.path,) for entry in outside)))
    for name, level in (("train", "error"), ("val", "warning"), ("test", "warning")):
        split = getattr(splits, name)
        empty = [] if split is None else sorted(set(range(len(classes))) - set(split.labels))
        if empty:
            shown = ", ".join(str(classes[label]) for label in empty[:5]) + (", ..." if len(empty) > 5 else "")
            text = f"{len(empty)} of {len(classes)} classes have no {name} image: {shown}"
            findings.append(Finding("classes", "error" if level == "error" else "warning", text))
    return findings


def _unread(entries: Sequence[Entry], facts: dict[str, Facts]) -> list[Finding]:
    paths = dict.fromkeys(entry.path for entry in entries)
    bad = [(f"{path} ({facts[path].error})",) for path in paths if facts[path].error]
    return [Finding("unreadable", "error", f"images that cannot be read: {len(bad)}", tuple(bad))] if bad else []


def _doubles(entries: Sequence[Entry], facts: dict[str, Facts]) -> list[Finding]:
    """Duplicates by their pixels, or by their bytes if they cannot be decoded."""
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        digest = facts[entry.path].pixels or facts[entry.path].content
        if digest:
            groups.setdefault(digest, []).append(entry)
    kinds: dict[str, list[tuple[str, ...]]] = {"across": [], "labels differ": [], "within": []}
    for group in groups.values():
        if len(group) > 1:
            across = len({entry.split for entry in group}) > 1
            differ = len({entry.label for entry in group}) > 1
            kind = "across" if across else "labels differ" if differ else "within"
            kinds[kind].append(tuple(f"{entry.split}: {entry.path}" for entry in group))
    texts = {
        "across": "pictures in more than one split",
        "labels differ": "pictures in more than one class of a split",
        "within": "pictures more than once in a class",
    }
    return [
        Finding(
            f"duplicates {kind}",
            "warning" if kind == "within" else "error",
            f"{texts[kind]}: {len(found)}",
            tuple(found),
        )
        for kind, found in kinds.items()
        if found
    ]


def _oddities(facts: dict[str, Facts]) -> list[Finding]:
    findings = []
    for word, meaning in ODD.items():
        found = tuple((path,) for path, fact in facts.items() if word in fact.odd)
        if found:
            findings.append(Finding(word, "warning", f"images with {meaning}: {len(found)}", found))
    return findings


def _skipped_findings(splits: Splits, root: Path | None) -> list[Finding]:
    """Files that are not used, which training and prediction skip too."""
    kinds: dict[str, list[tuple[str, ...]]] = {}
    for path, why in splits.skipped:
        kinds.setdefault(why, []).append((short(path, root),))
    return [
        Finding("skipped", "warning", f"not used, {why}: {len(files)}", tuple(files)) for why, files in kinds.items()
    ]
