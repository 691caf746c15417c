"""What the explanations of trained runs are worth, beside random boxes, fixed boxes and the published figures.

    python benchmarks/faithfulness.py RUN [RUN ...] --out results/faithfulness [--split val] [--root PHOTOS]
        [--points CUB_200_2011]

Each run is measured on its test split, or on val where there is no test, or on ``--split``. ``--points`` gives photos
in class folders the part points of the photos of CUB-200-2011 that have the same names. What is measured is added to
what the file of ``--out`` already holds.
"""

import argparse
import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from scapnet.checkpoint import read_run
from scapnet.data.datasets.cub import load_cub
from scapnet.data.photos import PhotoList
from scapnet.data.sample import FineGrained
from scapnet.evaluate import score_run
from scapnet.experiments.environment import environment
from scapnet.faithfulness.explanations import NAMES
from scapnet.faithfulness.measure import measure, train_photos, without_nan
from scapnet.serialization import to_dict
from scapnet.terminal.console import ProgressBar

DRAWN = (
    *("preservation", "deletion", "single_deletion", "distractibility", "background_independence"),
    *("target_sensitivity", "data_check", "completeness", "mean"),
)
PHOTOS = ("deletion", "insertion", "difference", "points_in_marks", "energy_in_marks", "points_in_box", "energy_in_box")
SLOTS = ("consistency", "stability", "consistency_by_order", "stability_by_order", "nmi", "ari", "kp")
# ResNet-50 with Input x Gradient on FunnyBirds, as its authors print it; PDiscoFormer on NABirds.
PUBLISHED = {
    "drawn": {
        "FunnyBirds, ResNet-50, Input x Gradient": {
            "preservation": 0.602,
            "deletion": 0.532,
            "single_deletion": 0.546,
            "distractibility": 0.544,
            "background_independence": 0.998,
            "target_sensitivity": 0.806,
            "data_check": 0.735,
            "completeness": 0.583,
            "mean": 0.645,
        }
    },
    "slots": {"NABirds, PDiscoFormer": {"nmi": 0.720, "ari": 0.634, "kp": 0.084}},
    "photos": {},
}


def table(rows: Mapping[str, Mapping[str, float | None]], keys: tuple[str, ...]) -> str:
    """A Markdown table of the figures that any row has."""
    used = [key for key in keys if any(row.get(key) is not None for row in rows.values())]
    lines = [
        "| explanation | " + " | ".join(key.replace("_", " ") for key in used) + " |",
        "|---" * (len(used) + 1) + "|",
    ]
    for name, row in rows.items():
        cells = ("-" if (value := row.get(key)) is None else f"{value:.3f}" for key in used)
        lines.append(f"| {NAMES.get(name, name)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def page(runs: Mapping[str, Any]) -> str:
    """All tables of all runs."""
    parts = []
    for name, found in runs.items():
        parts.append(f"## {name}: {found['images']} {found['split']} images, accuracy {found['accuracy']:.1%}")
        for section, keys in (("drawn", DRAWN), ("photos", PHOTOS), ("slots", SLOTS)):
            if section in found:
                rows = dict(found[section]["explanations"])
                if area := found[section].get("area"):
                    rows["by chance"] = {
                        f"{what}_in_{key}": v for key, v in area.items() for what in ("points", "energy")
                    }
                parts.append(
                    f"{section}, {found[section]['images']} images\n\n" + table(rows | PUBLISHED[section], keys)
                )
        parts.append(json.dumps({key: found[key] for key in found if "follows" in key or key == "gate_by_place"}))
    return "\n\n".join(parts)


def with_points(photos: FineGrained, root: Path) -> FineGrained:
    """The same photos with the boxes and points that CUB-200-2011 has for their names."""
    assert isinstance(photos, PhotoList)
    splits = [split for split in load_cub(root)[:3] if isinstance(split, PhotoList)]
    rows = {path.name: (split, i) for split in splits for i, path in enumerate(split.paths)}
    found = copy.copy(photos)
    marks, boxes = [], []
    for path in photos.paths:
        split, i = rows[path.name]
        assert split.marks is not None
        assert split.boxes is not None
        marks.append(split.marks[i])
        boxes.append(split.boxes[i])
    found.marks, found.boxes = torch.stack(marks), torch.stack(boxes)
    found.mark_names = splits[0].mark_names
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--split")
    parser.add_argument("--root", type=Path)
    parser.add_argument("--points", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    file = options.out.with_suffix(".json")
    rows: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    for run in options.runs:
        score = score_run(run, options.split, options.root)
        data, train = score.data, train_photos(score, options.root, None)
        if options.points:
            data = with_points(data, options.points)
            train = with_points(train, options.points) if train is not None else None
        with ProgressBar() as bar:
            found = without_nan(measure(score.model, data, train, options.images, bar))
        head = environment(f"python benchmarks/faithfulness.py {run}")
        rows[run.name] = head | {"settings": to_dict(read_run(run)), "classes": score.classes} | score.result | found
        file.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
        print(page({run.name: rows[run.name]}))


if __name__ == "__main__":
    main()
