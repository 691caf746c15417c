"""What `scapnet eval` measured beside the scores: prediction sets, photos of other things, and explanations."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scapnet.faithfulness.explanations import NAMES
from scapnet.jsonfile import read_json

RIVALS = {
    "": "the score of predict --false-alarms",
    "_softmax": "maximum softmax",
    "_nearest": "nearest training photo",
}
DRAWN = {
    "preservation": "preserved",
    "deletion": "deleted",
    "data_check": "data check",
    "distractibility": "distractibility",
    "single_deletion": "one by one",
    "target_sensitivity": "target sensitivity",
    "mean": "mean",
}
PHOTOS = {
    "deletion": "deletion (low)",
    "insertion": "insertion (high)",
    "difference": "difference",
    "points_in_box": "points in the box",
    "energy_in_box": "energy in the box",
    "points_in_marks": "points at a mark",
    "energy_in_marks": "energy at marks",
}
SLOTS = {
    "consistency": "consistency",
    "stability": "stability",
    "nmi": "NMI",
    "ari": "ARI",
    "kp": "Kp (low)",
}
PIXELS = (
    "Deletion is the mean probability of the answer without the most important pixels, insertion with nothing else."
)
PLACES = "Points say how often the maximum, and energy how much of the importance, lies in the box or at the marks."
BEST = "Parts are worth something as an explanation where they are ahead of random and fixed boxes."
KEPT = (
    "Consistency: the share of parts that show the same point in most photos of a class; stability: that keep it when "
    "noise is added. NMI, ARI and Kp compare the parts with the annotated points."
)


@dataclass(frozen=True)
class Figures:
    """A table of figures."""

    title: str
    columns: tuple[str, ...]  # the first is that of the rows' names
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def measured(run: Path, split: str, mine: bool = True) -> list[Figures]:
    """The tables of what was measured on a split, which may be none.

    Args:
        run: the run folder.
        split: "test", "val" or "train".
        mine: whether the photos are the run's own; those of other folders have other files.
    """
    if not mine:
        return []
    scores, explained = _read(run, split), _read(run, f"{split}-explain")
    return [*sets(scores), *unknowns(scores), *explanations(explained)]


def _read(run: Path, stem: str) -> Mapping[str, Any]:
    """A file of `scapnet eval`, or for the scores what training wrote; empty where there is neither."""
    with contextlib.suppress(ValueError, OSError):
        return read_json(run / f"eval-{stem}.json")
    with contextlib.suppress(ValueError, OSError):
        found: Mapping[str, Any] = read_json(run / "results.json")
        return found if found.get("split") == stem else {}
    return {}


def sets(scores: Mapping[str, Any]) -> list[Figures]:
    """How well prediction sets hold the true class."""
    keys = ("error_rate", "set_coverage", "set_size", "set_single", "false_alarms")
    if not _all_numbers(scores, keys):
        return []
    rate, coverage, size, single, alarms = (float(scores[key]) for key in keys)
    rows = [
        ("sets with the true class", f"{coverage:.1%} (wanted {1 - rate:.0%})"),
        ("classes in a set, on average", f"{size:.2f}"),
        ("sets of one class", f"{single:.1%}"),
    ]
    if _all_numbers(scores, ("set_parent", "set_parent_right")):
        right = scores["set_parent_right"]
        rows.append(("answered with a coarser class", f"{scores['set_parent']:.1%}, right in {right:.1%}"))
    rows.append(("photos called unknown where 5% are allowed", f"{alarms:.1%}"))
    note = "What predict --error-rate and --false-alarms promise by the validation photos, and what they keep here."
    return [Figures(f"Prediction sets at an error rate of {rate:.0%}", ("Figure", "Value"), tuple(rows), note)]


def unknowns(scores: Mapping[str, Any]) -> list[Figures]:
    """How well photos of none of the classes are told apart."""
    rows = []
    for key, name in RIVALS.items():
        figures = f"unknown_auroc{key}", f"unknown_fpr95{key}"
        if _all_numbers(scores, figures):
            rows.append((name, *(f"{scores[figure]:.1%}" for figure in figures)))
    if not rows or not _all_numbers(scores, ("unknown_images",)):
        return []
    note = "AUROC: how often a photo of a class scores higher than another one. FPR95: the share of other photos that "
    note += "pass where 95% of the photos of the classes do."
    if _all_numbers(scores, ("unknown_found",)):
        note += f" At 5% false alarms, {scores['unknown_found']:.1%} of the other photos are called unknown."
    title = f"Told from {scores['unknown_images']:,.0f} photos of none of the classes"
    return [Figures(title, ("Score", "AUROC", "FPR95"), tuple(rows), note)]


def explanations(found: Mapping[str, Any]) -> list[Figures]:
    """How faithful the explanations are; see `scapnet.faithfulness`."""
    tables = []
    for key, columns, title, note in (
        ("drawn", DRAWN, "Explanations of drawn birds with marks removed", f"1 is best. {BEST}"),
        ("photos", PHOTOS, "Explanations when pixels are removed or added", f"{PIXELS} {BEST}"),
        ("slots", SLOTS, "Whether a part is the same part on every photo", KEPT),
    ):
        given = found.get(key)
        rows = given.get("explanations") if isinstance(given, Mapping) else None
        if not isinstance(given, Mapping) or not isinstance(rows, Mapping):
            continue
        used = {name: text for name, text in columns.items() if any(_number(row, name) for row in rows.values())}
        lines = tuple((NAMES.get(name, str(name)), *(_cell(row, one) for one in used)) for name, row in rows.items())
        count = given.get("images")
        of = f" Measured on {count:,} photo{'' if count == 1 else 's'}." if isinstance(count, int) else ""
        of = (f" {PLACES}" if any(name.endswith(("_box", "_marks")) for name in used) else "") + of
        if used and lines:
            tables.append(Figures(title, ("Explanation", *used.values()), lines, f"{note}{of}"))
    return tables


def _number(row: Any, name: str) -> bool:
    return isinstance(row, Mapping) and isinstance(row.get(name), int | float)


def _all_numbers(scores: Mapping[str, Any], names: Sequence[str]) -> bool:
    return all(_number(scores, name) for name in names)


def _cell(row: Any, name: str) -> str:
    return f"{float(row[name]):.2f}".replace("-", "−") if _number(row, name) else "–"
