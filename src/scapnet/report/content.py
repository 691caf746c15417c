"""What the templates of a page are filled with."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from scapnet import __version__
from scapnet.build import part_count, title
from scapnet.config import Config
from scapnet.data.scored import Chosen
from scapnet.metrics.per_class import most_confused
from scapnet.network import Network
from scapnet.report.answered import Answered
from scapnet.report.collect import ClassRow, Score, class_rows, scores
from scapnet.report.curves import Curves, read_curves
from scapnet.report.gallery import Photo, side_of
from scapnet.terminal.console import printable

MOST_CLASSES = 2_000  # rows of the table
SPLITS = {"test": "test", "val": "validation", "train": "training", "all": ""}


@dataclass(frozen=True)
class Material:
    """What a report is made from."""

    run: Path
    config: Config
    model: Network
    chosen: Chosen
    found: Answered
    names: list[str]  # of all photos of the split

    @property
    def split(self) -> str:
        """The split, as a word before "photos"; empty where photos are in none."""
        return SPLITS[self.chosen.split]


@dataclass(frozen=True)
class Tile:
    """A figure at the top of the page."""

    name: str
    value: str
    note: str


def content(material: Material, photos: Sequence[Photo]) -> dict[str, Any]:
    """The names that the templates use."""
    found, classes = material.found, [printable(name) for name in material.model.classes]
    accuracies, rows = scores(found), class_rows(found, material.model.classes)
    curves = read_curves(material.run / "log.jsonl")
    network = f"{title(material.model.config)} with {material.model.config.backbone}"
    held_out = "photos that it was trained on" if material.chosen.split == "train" else f"{material.split} photos"
    options = sorted({(k, classes[k]) for photo in photos for k in (photo.true, photo.answer)}, key=lambda one: one[1])
    return {
        "title": printable(material.run.resolve().name),
        "subtitle": f"{network}: {len(classes):,} classes, {len(found.target):,} {held_out}",
        "sections": SECTIONS,
        "tiles": [Tile(one.name, f"{100 * one.value:.1f}%", interval(one)) for one in accuracies],
        "scores": accuracies,
        "accuracy_text": "; ".join(f"{one.name} {100 * one.value:.1f}% ({interval(one)})" for one in accuracies),
        "findings": findings(material, rows),
        "curves": curves,
        "curve_groups": curve_groups(curves),
        "classes": rows[:MOST_CLASSES],
        "class_text": class_text(rows),
        "has_parts": found.parts is not None,
        "photos": [
            {
                "uri": photo.uri,
                "right": photo.right,
                "answer": classes[photo.answer],
                "truth": classes[photo.true],
                "confidence": photo.confidence,
            }
            for photo in photos
        ],
        "side": side_of(len(photos)),
        "class_options": options,
        "gallery_text": gallery_text(material, photos),
        "facts": facts(material),
        "notes": material.chosen.notes,
        "data": {"classes": classes, "photos": [photo.values for photo in photos]},
    }


SECTIONS = (
    ("summary", "Summary"),
    ("training", "Training"),
    ("classes", "Classes"),
    ("gallery", "Photos"),
    ("about", "About"),
)


def interval(score: Score) -> str:
    """A score's interval in words."""
    return f"{100 * score.low:.1f} to {100 * score.high:.1f}%"


def findings(material: Material, rows: Sequence[ClassRow]) -> list[str]:
    """The report in a few sentences."""
    found, classes = material.found, material.model.classes
    right, count = int(found.right.sum()), len(found.target)
    lines = [f"Right on {right:,} of {count:,} {material.split} photos."]
    if material.chosen.split == "train":
        lines.append("These are training photos: the figures say nothing about new ones.")
    pairs = most_confused(found.target, found.predicted, classes, 3)
    for one in pairs:
        times = f"{one.times} of {one.images}"
        lines.append(f"{printable(one.name)} is taken for {printable(one.answer)} ({times} photos).")
    low = [row for row in rows if row.accuracy is not None and row.accuracy < 0.5]
    if low:
        lines.append(f"{len(low)} of {sum(row.images > 0 for row in rows)} classes are right less than half the time.")
    if found.kept is not None:
        lines.append(f"The gate keeps {float(found.kept.mean()):.0%} of a photo on average.")
    if found.unreadable:
        lines.append(f"{found.unreadable} photos cannot be read and are left out.")
    return lines


def curve_groups(curves: Curves) -> list[tuple[str, Any, bool]]:
    """Title, curves and whether they are shares, of the groups that there are."""
    groups = [("Accuracy", curves.accuracy, True), ("Losses", curves.losses, False)]
    groups += [("Share of the grid that the gate keeps", curves.kept, True)]
    return [group for group in groups if group[1]]


def class_text(rows: Sequence[ClassRow]) -> str:
    """What the table of classes holds."""
    if len(rows) <= MOST_CLASSES:
        return f"All {len(rows):,} classes, the lowest accuracy first."
    return f"The {MOST_CLASSES:,} classes with the lowest accuracy, of {len(rows):,}."


def gallery_text(material: Material, photos: Sequence[Photo]) -> str:
    """Which photos are shown."""
    count = len(material.found.target)
    point = "Point at a photo to see its parts, and open it to see why."
    if len(photos) >= count:
        return f"All {count:,} {material.split} photos. {point}"
    wrong, all_wrong = sum(not photo.right for photo in photos), int((~material.found.right).sum())
    mistakes = f"all {all_wrong:,}" if wrong == all_wrong else f"{wrong:,} of the {all_wrong:,}"
    chosen = f"{mistakes} mistakes, and right ones of every class in turn"
    return f"{len(photos):,} of {count:,} {material.split} photos, as many as fit the page: {chosen}. {point}"


def facts(material: Material) -> list[tuple[str, str]]:
    """How the run was made."""
    config, model = material.config, material.model
    data = config.data
    where = material.chosen.other or data.root or data.hub or data.name
    rows = [
        ("Network", title(model.config)),
        ("Backbone", model.config.backbone),
        (
            "View",
            f"{model.view.size} px" + (f", parts from {model.view.source_size} px" if model.view.source_size else ""),
        ),
        ("Parts", str(part_count(model.config) or "none")),
        ("Preset", config.preset),
        ("Epochs", str(config.train.epochs)),
        ("Seed", str(config.train.seed)),
        ("Data", f"{data.name}: {where}" if str(where) != data.name else data.name),
        ("Photos", f"{len(material.found.target):,} {material.split}"),
        ("Written", f"{date.today().isoformat()} by scapnet {__version__}"),
    ]
    return rows
