"""What the explanations of trained runs are worth, beside random boxes, fixed boxes and the published figures.

    python benchmarks/faithfulness.py RUN [RUN ...] --out results/faithfulness

The runs behind results/faithfulness.md were trained by

    scapnet train demo --out runs/finches
    scapnet train photos --data.name cub --data.root CUB_200_2011 --data.folds 5 --data.fold 4 --data.seed 1000
        --model.backbone tf_efficientnet_lite0 --model.weights tf_efficientnet_lite0.imagenet.safetensors
        --data.size 128 --data.resize 144 --data.source-size 224 --model.parts.size 96 --train.epochs 3
        --train.stage1-epochs 1 --train.part-start main --loss.act-ramp 1 2 --train.seed 4 --out runs/cub100

Each run is measured on its test split, or on val where there is no test.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from scapnet.evaluate import score_run
from scapnet.experiments.environment import environment
from scapnet.faithfulness.explanations import NAMES
from scapnet.faithfulness.measure import explain_run

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--images", type=int, default=200)
    options = parser.parse_args()
    torch.set_num_threads(1)
    head = environment("python benchmarks/faithfulness.py " + " ".join(map(str, options.runs)))
    rows: dict[str, Any] = {}
    for run in options.runs:
        score = score_run(run)
        rows[run.name] = score.result | explain_run(score, options.images)
        text = json.dumps(head | {"runs": rows}, indent=1) + "\n"
        options.out.with_suffix(".json").write_text(text, encoding="utf-8")
        print(page({run.name: rows[run.name]}))


if __name__ == "__main__":
    main()
