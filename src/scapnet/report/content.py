"""What the templates of a page are filled with."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from scapnet import __version__
from scapnet.build import part_count, title
from scapnet.metrics.per_class import most_confused
from scapnet.report.collect import ClassRow, Score, class_rows, scores
from scapnet.report.curves import Curves, read_curves
from scapnet.report.findings import DoctorPage
from scapnet.report.gallery import Photo, side_of
from scapnet.report.material import Material
from scapnet.report.pairs import Side
from scapnet.terminal.console import printable

MOST_CLASSES = 2_000  # rows of the table


@dataclass(frozen=True)
class Tile:
    """A figure at the top of the page."""

    name: str
    value: str
    note: str


def content(
    material: Material, photos: Sequence[Photo], doctor: DoctorPage | None, most: int = MOST_CLASSES
) -> dict[str, Any]:
    """The names that the templates use.

    Args:
        material: the report.
        photos: of the gallery.
        doctor: the findings on the data.
        most: rows of the table of classes, at most.
    """
    found, classes = material.found, [printable(name) for name in material.model.classes]
    accuracies, rows = scores(found), class_rows(found, material.model.classes)
    curves = read_curves(material.run / "log.jsonl")
    network = f"{title(material.model.config)} with {material.model.config.backbone}"
    held_out = "photos that it was trained on" if material.chosen.split == "train" else f"{material.split} photos"
    options = sorted({(k, classes[k]) for photo in photos for k in (photo.true, photo.answer)}, key=lambda one: one[1])
    return {
        "title": printable(material.run.resolve().name),
        "subtitle": f"{network}: {len(classes):,} classes, {len(found.target):,} {held_out}",
        "sections": sections(material),
        "tiles": [
            *(Tile(one.name, f"{100 * one.value:.1f}%", interval(one)) for one in accuracies),
            Tile(
                "calibration error",
                f"{material.calibration.error:.1%}",
                f"{material.calibration.error_after:.1%} tempered",
            ),
        ],
        "scores": accuracies,
        "accuracy_text": "; ".join(f"{one.name} {100 * one.value:.1f}% ({interval(one)})" for one in accuracies),
        "findings": findings(material, rows),
        "curves": curves,
        "curve_groups": curve_groups(curves),
        "measured": material.measured,
        "measured_text": measured_text(material),
        "classes": rows[:most],
        "class_text": class_text(rows, most),
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
        "calibration": material.calibration,
        "calibration_text": calibration_text(material),
        "worth": material.worth,
        "skipping": [(one.looked, one.accuracy) for one in material.worth.skipping] if material.worth else [],
        "pairs": material.pairs,
        "pair_most": max((abs(v) for p in material.pairs for s in p.sides for _, v in share_rows(s)), default=1.0),
        "share_rows": share_rows,
        "places": {photo.sample: place for place, photo in enumerate(photos)},
        "doctor": doctor,
        "side": side_of(len(photos)),
        "class_options": options,
        "gallery_text": gallery_text(material, photos),
        "facts": facts(material),
        "notes": material.chosen.notes,
        "data": {"classes": classes if photos else [], "photos": [photo.values for photo in photos]},
    }


def sections(material: Material) -> list[tuple[str, str]]:
    """The page's sections: anchors and names."""
    return [
        ("summary", "Summary"),
        ("training", "Training"),
        ("calibration", "Calibration"),
        *([("worth", "Parts")] if material.worth else []),
        *([("measured", "Measured")] if material.measured else []),
        ("classes", "Classes"),
        ("pairs", "Confused pairs"),
        ("gallery", "Photos"),
        *([("doctor", "Data doctor")] if material.doctor else []),
        ("about", "About"),
    ]


def share_rows(side: Side) -> list[tuple[str, float]]:
    """Names and mean shares of one class of a pair."""
    scales = sorted(side.means.scale_shares.items())
    return [("whole picture", side.means.whole_share), *((f"a part of scale {u}", share) for u, share in scales)]


def calibration_text(material: Material) -> str:
    """Whether the answers are too sure, in words."""
    one = material.calibration
    gap = one.confidence - one.accuracy
    how = "about as sure as they are right" if abs(gap) < 0.02 else "too sure" if gap > 0 else "not sure enough"
    figures = f"their mean probability is {one.confidence:.1%}, and {one.accuracy:.1%} are right"
    change = one.error_after - one.error
    does = "hardly changes" if abs(change) < 0.0005 else "lowers" if change < 0 else "does not lower"
    return f"The answers are {how}: {figures}. A temperature {does} the expected calibration error (ECE)."


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
    if material.worth:
        lines.append(material.worth.verdict)
    low = [row for row in rows if row.accuracy is not None and row.accuracy < 0.5]
    if low:
        lines.append(f"Classes with an accuracy below 50%: {len(low)} of {sum(row.images > 0 for row in rows)}.")
    if found.kept is not None:
        lines.append(f"The gate keeps {float(found.kept.mean()):.0%} of a photo on average.")
    if material.doctor and material.doctor.labels:
        count = len(material.doctor.labels)
        what = "1 label of a held-out photo deserves" if count == 1 else f"{count} labels of held-out photos deserve"
        lines.append(f"{what} a look.")
    if found.unreadable:
        lines.append(f"{found.unreadable} photos cannot be read and are left out.")
    return lines


def curve_groups(curves: Curves) -> list[tuple[str, Any, bool]]:
    """Title, curves and whether they are shares, of the groups that there are."""
    groups = [("Accuracy", curves.accuracy, True), ("Losses", curves.losses, False)]
    groups += [("Share of the grid that the gate keeps", curves.kept, True)]
    return [group for group in groups if group[1]]


def class_text(rows: Sequence[ClassRow], most: int) -> str:
    """What the table of classes holds."""
    if len(rows) <= most:
        return f"All {len(rows):,} classes, the lowest accuracy first."
    fit = "" if most == MOST_CLASSES else ", as many as fit the page; eval-…-classes.csv in the run folder has all"
    return f"The {most:,} classes with the lowest accuracy, of {len(rows):,}{fit}."


def measured_text(material: Material) -> str:
    """Where the figures of the section come from; its command follows."""
    more = "" if len(material.measured) > 2 else ", which measures more with all its options"
    return f"Measured on {material.split} photos by this command{more}:"


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
