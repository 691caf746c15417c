"""Whether training in bf16 costs accuracy: SCAPNet on the finches in float32 and in bf16, seed by seed.

    python benchmarks/precision.py --runs runs/precision --out results/precision

For a processor that multiplies bf16 in hardware. Runs that are finished in the folder of runs are not trained again,
and both files are written after each run.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Literal

from scapnet.config import Config
from scapnet.experiments.environment import environment, hardware
from scapnet.experiments.recipes import finches, with_seed
from scapnet.experiments.stats import difference, spread
from scapnet.experiments.worker import train_or_resume
from scapnet.jsonfile import read_json
from scapnet.processor import bf16_in_hardware

Precision = Literal["no", "bf16"]
PRECISIONS: dict[Precision, str] = {"no": "float32", "bf16": "bf16"}
Rows = dict[Precision, dict[str, dict[str, float]]]  # precision, then seed, then what was measured


def config_of(precision: Precision, seed: int, root: Path) -> Config:
    """SCAPNet as `scapnet reproduce --data finches` trains it, in a precision; its pictures are kept in ``root``."""
    base = with_seed(finches(), seed)
    return replace(base, data=replace(base.data, root=root, workers=0), train=replace(base.train, precision=precision))


def page(rows: Rows, head: dict[str, str]) -> str:
    """The results as Markdown."""
    lines = [
        "# Accuracy after training in bf16 and in float32",
        "",
        f"`{head['command']}`, {head['hardware']}, commit {head['commit']},",
        f"torch {head['torch']}: full SCAPNet on the finches, 5,000 test pictures. Parameters, optimizer and losses",
        "are float32 in both; bf16 is autocast's (`--train.precision bf16`).",
        "",
        "| seed | float32 | bf16 | bf16 - float32 |",
        "|---|---|---|---|",
    ]
    seeds = [seed for seed in rows["no"] if seed in rows["bf16"]]
    single, half = ([100 * rows[name][seed]["accuracy"] for seed in seeds] for name in PRECISIONS)
    for seed, one, other in zip(seeds, single, half, strict=True):
        lines.append(f"| {seed} | {one:.1f}% | {other:.1f}% | {other - one:+.1f} |")
    if len(seeds) > 1:
        found = difference(half, single)
        lines += [
            "",
            f"The mean difference is {found.mean:+.1f} points ({found.low:+.1f} to {found.high:+.1f}, the 95% interval "
            f"over seeds). Between seeds the accuracy has a standard deviation of {spread(single):.1f} points in "
            f"float32 and {spread(half):.1f} in bf16.",
        ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    if not bf16_in_hardware():
        raise SystemExit("this processor has no bf16 in hardware, and emulating it takes many times as long")
    head = environment(f"python benchmarks/precision.py --seeds {options.seeds}") | {"hardware": hardware()}
    rows: Rows = {name: {} for name in PRECISIONS}
    for seed in range(options.seeds):
        for name, label in PRECISIONS.items():
            config = config_of(name, seed, options.runs / "pictures")
            results = read_json(train_or_resume(options.runs / f"{label}-{seed}", config) / "results.json")
            rows[name][str(seed)] = {key: results[key] for key in ("accuracy", "accuracy_main", "train_seconds")}
            options.out.with_suffix(".json").write_text(json.dumps(head | {"rows": rows}, indent=1) + "\n", "utf-8")
            options.out.with_suffix(".md").write_text(page(rows, head), encoding="utf-8")


if __name__ == "__main__":
    main()
