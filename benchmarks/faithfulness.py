"""What the explanations of trained runs are worth, beside random boxes, fixed boxes and the published figures.

    python benchmarks/faithfulness.py RUN [RUN ...] --out results/faithfulness [--split val] [--root PHOTOS]
        [--points CUB_200_2011] [--slots]

Each run is measured on its test split, or on val where there is no test, or on ``--split``. ``--points`` gives photos
in class folders the part points of the photos of CUB-200-2011 that have the same names. With ``--slots``, parts
as slots are measured alone. What is measured is added to what the file of ``--out`` already holds.
"""

import argparse
import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from scapnet.checkpoint import from_pretrained, read_run
from scapnet.data.datasets.cub import load_cub
from scapnet.data.photos import PhotoList
from scapnet.data.sample import FineGrained
from scapnet.data.scored import choose
from scapnet.experiments.environment import environment
from scapnet.faithfulness.explanations import NAMES
from scapnet.faithfulness.measure import measure, without_nan
from scapnet.faithfulness.slots import measure_slots
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
        parts.append(f"## {name}, {found['split']} images")
        for section, keys in (("drawn", DRAWN), ("photos", PHOTOS), ("slots", SLOTS)):
            if found.get(section):
                rows = dict(found[section]["explanations"])
                if area := found[section].get("area"):
                    rows["by chance"] = {
                        f"{what}_in_{key}": v for key, v in area.items() for what in ("points", "energy")
                    }
                parts.append(
                    f"{section}, {found[section]['images']} images\n\n" + table(rows | PUBLISHED[section], keys)
                )
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
    parser.add_argument("--slots", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    file = options.out.with_suffix(".json")
    rows: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    for run in options.runs:
        config, model = read_run(run), from_pretrained(run)
        data = choose(run, config.data, model.classes, options.split, options.root, None)
        train = choose(run, config.data, model.classes, "train", options.root, None).data
        photos = data.data
        if options.points:
            photos = with_points(photos, options.points)
            train = with_points(train, options.points)
        with ProgressBar() as bar:
            if options.slots:
                found = without_nan({"slots": measure_slots(model, photos, train, options.images, bar)})
            else:
                found = without_nan(measure(model, photos, train, options.images, bar))
        asked = f"{run} --images {options.images}" + " --slots" * options.slots
        head = environment(f"python benchmarks/faithfulness.py {asked}") | {"split": data.split}
        rows[run.name] = head | {"settings": to_dict(config), "classes": model.classes} | found
        file.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
        print(page({run.name: rows[run.name]}))


if __name__ == "__main__":
    main()
