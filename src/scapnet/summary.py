"""Tables for the terminal: the scores of a run, the sizes of a data set, the findings of a check."""

import json
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

from rich.table import Column, Table
from torch import Tensor

from scapnet.csvfile import four_digits, write_csv
from scapnet.data.audit.check import Report
from scapnet.data.sample import SPLITS
from scapnet.metrics.following import MOVES
from scapnet.metrics.per_class import class_scores, most_confused
from scapnet.terminal.console import make_console, printable, say

FOLLOWING = 0.5  # a random choice has this; one that keeps its places when a photo moves has less
NEARLY_OPEN = 0.95  # kept share


def score_rows(scores: dict[str, Any]) -> list[tuple[str, str]]:
    """The names and values of a result, as text."""
    rows = []
    names = {
        "accuracy_main": "accuracy of the main branch",
        "accuracy_parts": "accuracy of the parts",
        "accuracy": "accuracy of both together",
        "mean_per_class": "accuracy, mean per class",
        "looked": "photos whose parts were looked at",
        "cost": "multiply-adds, relative to the parts of all photos",
        "kept": "kept share of the grid",
    }
    for key, name in names.items():
        if key in scores and (key != "accuracy" or "accuracy_parts" in scores):
            rows.append((name, f"{scores[key]:.1%}"))
    for key, name in (
        ("unreadable", "unreadable images, left out"),
        ("train_unreadable", "unreadable training images, replaced"),
    ):
        if scores.get(key):
            rows.append((name, f"{scores[key]:.0f}"))
    pairs = {
        f"hit_scale{u}": (f"chosen scale-{u} parts with a mark's centre inside", f"random_scale{u}")
        for u in range(1, 10)
    } | {
        "covered": ("marks whose centre is in a chosen part", "random_covered"),
        "gate_precision": ("share of the kept area inside the object's box", "random_gate_precision"),
        "gate_recall": ("share of the object's box that is kept", "random_gate_recall"),
    }
    if "masked_pixels_accuracy" in scores:
        value = f"{scores['masked_pixels_accuracy']:.1%} (the same answer for {scores['masked_pixels_same']:.1%})"
        rows.append(("accuracy from open pixels alone", value))
    rows += _calibrated_rows(scores)
    rows += [(name, _beside(scores, key, chance)) for key, (name, chance) in pairs.items() if key in scores]
    what = {"gate": "the gate's places", "parts": "the parts' places"}
    for name, move in product(what, MOVES):
        if (key := f"{name}_follows_{move}") in scores:
            moved = "mirrored" if move == "mirror" else "shifted"
            rows.append((f"{what[name]} that move with a {moved} photo", f"{scores[key]:.1%} (random 50.0%)"))
    return rows


def _calibrated_rows(scores: dict[str, Any]) -> list[tuple[str, str]]:
    """How far the probabilities, the prediction sets and "unknown" can be believed, where that was measured."""
    rows = []
    if "calibration_error" in scores:
        tempered = f"{scores['calibration_error_tempered']:.1%}"
        value = f"{scores['calibration_error']:.1%} (at the best temperature {tempered})"
        rows.append(("expected calibration error", value))
        size = f"{scores['set_size']:.1f} classes in the mean"
        value = f"{scores['set_coverage']:.1%} (wanted {1 - scores['error_rate']:.0%}), {size}"
        rows.append(("prediction sets with the true class", value))
    if "set_parent_right" in scores:
        value = f"{scores['set_parent']:.1%}, right in {scores['set_parent_right']:.1%}"
        rows.append(("sets with one coarser class", value))
    if "unknown_auroc" in scores:
        rivals = {"": f"told from {scores['unknown_images']:.0f} photos of other things"}
        rivals |= {"_softmax": "the same by the maximum softmax", "_nearest": "the same by the nearest training photo"}
        for key, name in rivals.items():
            if f"unknown_auroc{key}" in scores:
                value = f"AUROC {scores[f'unknown_auroc{key}']:.1%}, FPR95 {scores[f'unknown_fpr95{key}']:.1%}"
                rows.append((name, value))
    if "unknown_found" in scores:
        rows.append(("of these called unknown at 5% false alarms", f"{scores['unknown_found']:.1%}"))
    return rows


def _beside(scores: dict[str, float], key: str, chance: str) -> str:
    return f"{scores[key]:.1%} (random {scores[chance]:.1%})" if key in scores else ""


def stays(scores: dict[str, Any]) -> str:
    """A warning if the parts, or the gate alone, keep their places when photos are mirrored and shifted, or ""."""
    for name in ("parts", "gate"):
        shares = [scores[key] for move in MOVES if (key := f"{name}_follows_{move}") in scores]
        # A nearly open gate closes too few units for this figure to mean anything.
        if name == "gate" and scores.get("kept", 1.0) >= NEARLY_OPEN:
            return ""
        if shares and sum(shares) / len(shares) < FOLLOWING:
            what = "The parts stay where they are" if name == "parts" else "The gate keeps the same places"
            return f"{what} when photos are mirrored or shifted: they say little about how the classes differ."
        if shares:
            return ""
    return ""


def mark_table(marks: dict[str, dict[str, float]]) -> Table:
    """How often a chosen part contains the centre of each mark, at any scale and at each scale; % (% by chance)."""
    scales = sorted({key.removeprefix("covered_") for row in marks.values() for key in row if "covered_" in key})
    columns = [Column(scale.replace("scale", "scale "), justify="right") for scale in scales]
    title = "marks whose centre is in a chosen part, % (random)"
    table = Table("mark", "in view", Column("any scale", justify="right"), *columns, title=title, title_justify="left")
    for name, row in marks.items():
        pairs = [("covered", "random"), *((f"covered_{scale}", f"random_{scale}") for scale in scales)]
        table.add_row(printable(name), f"{row['marks']:.0f}", *(_share_beside(row, *pair) for pair in pairs))
    return table


def _share_beside(row: dict[str, float], key: str, chance: str) -> str:
    return f"{100 * row[key]:.1f} ({100 * row[chance]:.1f})" if key in row else ""


def _title(scores: dict[str, Any]) -> str:
    """A title that says what was scored."""
    if "images" not in scores:
        return f"{scores.get('preset', '')}: no photos were held out"
    split = "" if scores.get("split") == "all" else f"{scores.get('split', '')} "
    return f"{scores.get('preset', '')}: {int(scores['images'])} {split}images" + (
        f" of {scores['root']}" if "root" in scores else ""
    )


def show_scores(scores: dict[str, Any]) -> None:
    """Print a result as a table, and the marks by name as a second one if there are any."""
    table = Table(title=printable(_title(scores)), show_header=False, title_justify="left")
    for row in score_rows(scores):
        table.add_row(*row)
    console = make_console()
    if table.rows:
        console.print(table)
    else:
        say(_title(scores))
    if sentence := stays(scores):
        say(sentence)
    if scores.get("marks"):
        console.print(mark_table(scores["marks"]))


def show_classes(target: Tensor, probs: Tensor, classes: Sequence[str], most: int = 10) -> None:
    """Print the ``most`` classes with the lowest accuracy, lowest first, and the most frequent confusions.

    Args:
        target: (n,) labels.
        probs: (n, K) answers.
        classes: K names.
        most: classes to print.
    """
    predicted = probs.argmax(1)
    rows = [row for row in class_scores(target, predicted, classes) if row.accuracy is not None]
    rows.sort(key=lambda row: (row.right / row.images, -row.images))
    columns = (
        "class",
        Column("images", justify="right"),
        Column("accuracy", justify="right"),
        "most often mistaken for",
    )
    table = Table(*columns, title="the classes with the lowest accuracy", title_justify="left")
    for row in rows[:most]:
        mistakes = f"{printable(row.mistaken_for)} ({row.mistaken})" if row.mistaken else ""
        table.add_row(printable(row.name), str(row.images), f"{row.right / row.images:.1%}", mistakes)
    make_console().print(table)
    if len(rows) > most:
        best = rows[most]
        say(f"{len(rows) - most} more classes with an accuracy of {best.right / best.images:.1%} or more")
    pairs = [
        f"{name} taken for {answer} ({n} of {all_})"
        for name, answer, n, all_ in most_confused(target, predicted, classes)
    ]
    if pairs:
        say(f"most often confused: {'; '.join(pairs)}")


def show_data(found: dict[str, Any]) -> None:
    """Print the result of `describe`: the sizes of the splits as a table, and the rest below it."""
    table = Table("split", "images", "classes", "images per class")
    for name, sizes in found["splits"].items():
        span = f"{sizes['smallest']} to {sizes['largest']}"
        table.add_row(name, str(sizes["images"]), str(sizes["classes"]), span)
    make_console().print(table)
    for line in data_lines(found):
        say(line)


def data_lines(found: dict[str, Any]) -> list[str]:
    """The result of `describe` without the sizes of the splits, as lines."""
    sizes = [(f"published, {counts['source']}", counts) for counts in found["published"]]
    sizes += [("in the SCAPNet paper, Table II", found["paper"])] if found["paper"] else []
    lines = [f"{found['title']}; {found['get']}"] if found["get"] else [found["title"]]
    lines += [f"{key}: {found[key]}" for key in ("licence", "homepage", "citation") if found[key]]
    for name, counts in sizes:
        figures = (f"{key} {counts[key]:,}" for key in ("classes", *SPLITS) if counts[key] is not None)
        lines.append(f"{name}: {', '.join(figures)}")
    if found["agrees"] is not None:
        lines.append("the sizes " + ("match" if found["agrees"] else "do NOT match") + " the published ones")
    if found["marks"]:
        lines.append(f"annotated, for evaluation only: {', '.join(found['marks'])}")
    return [found["layout"], *lines]


def show_check(report: Report, as_json: bool = False, most: int = 4) -> None:
    """Print the findings of a check, each with its first ``most`` files; the JSON report has them all."""
    if as_json:
        print(json.dumps(report.to_dict(), indent=1))
        return
    say(report.layout)
    console = make_console()
    sizes = Table("split", "images", "classes", "images per class", title=printable(report.name), title_justify="left")
    for name, size in report.splits.items():
        sizes.add_row(name, str(size["images"]), str(size["classes"]), f"{size['fewest']} to {size['most']}")
    console.print(sizes)
    table = Table("", "found", Column("where", overflow="fold"))
    for finding in report.findings:
        groups = [printable(" = ".join(group)) for group in finding.files[:most]]
        groups += [f"... {len(finding.files) - most} more"] if len(finding.files) > most else []
        table.add_row(finding.level, printable(finding.text), "\n".join(groups))
    if report.findings:
        console.print(table)
    errors, warnings = report.count("error"), report.count("warning")
    counts = f"counts: {report.published}; {report.read} images read in {report.seconds:.1f} s"
    say(f"errors: {errors}, warnings: {warnings}; {counts}")


def write_tables(
    folder: Path,
    stem: str,
    target: Tensor,
    probs: Tensor,
    samples: Tensor,
    classes: Sequence[str],
    names: Sequence[str],
) -> None:
    """Write ``STEM-classes.csv`` with one row per class, and ``STEM-photos.csv`` with one row per photo.

    Args:
        folder: the folder of both files.
        stem: the start of their names.
        target: (n,) the true classes.
        probs: (n, K) the answers.
        samples: (n,) the numbers of the photos among the names.
        classes: K names.
        names: the file names of all samples of the split.
    """
    predicted = probs.argmax(1)
    top = probs.float().gather(1, predicted[:, None])[:, 0]
    by_class = [
        (row.name, row.images, four_digits(row.accuracy), four_digits(row.precision), row.mistaken_for, row.mistaken)
        for row in class_scores(target, predicted, classes)
    ]
    header = ("class", "images", "accuracy", "precision", "mistaken_for", "mistaken")
    write_csv(folder / f"{stem}-classes.csv", header, by_class)
    answers = zip(samples.tolist(), target.tolist(), predicted.tolist(), top.tolist(), strict=True)
    photos = [(names[i], classes[k], classes[answer], four_digits(p)) for i, k, answer, p in answers]
    write_csv(folder / f"{stem}-photos.csv", ("file", "true", "predicted", "probability"), photos)
