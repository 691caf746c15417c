"""Whether the engines give the answers of eager PyTorch, and at what cost, on the held-out photos of a run.

    python benchmarks/engines.py RUN --root DATA --out results/engines

Every engine answers every batch, by turns, on one thread; exporting is not counted. The share of the photos whose best
class is the same as in eager PyTorch is the result, with accuracies, the largest difference of a probability, and the
CPU time relative to eager PyTorch.
"""

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from scipy.stats import binomtest

from scapnet.backbones.weights import model_folder
from scapnet.bench.timing import Spread, ratios
from scapnet.checkpoint import read_run
from scapnet.data.loaders import eval_loader
from scapnet.data.scored import choose
from scapnet.data.splits import Divisible
from scapnet.engine import ENGINES, Answers, Engine, exported_engine
from scapnet.experiments.environment import environment
from scapnet.processor import bf16_in_hardware, describe


def engines_of(run: Path, names: Sequence[str]) -> dict[str, Engine]:
    """Engines of a run by name; with OpenVINO in bf16, which auto takes, where the processor has it in hardware."""
    folder = model_folder(run)
    found = {name: ENGINES[name](folder, "cpu") for name in ("torch", *names)}
    if bf16_in_hardware():
        found["openvino, bf16"] = exported_engine("openvino", folder, "cpu", half=True)
    return found


def main() -> None:
    """Compare all engines and write both files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("results/engines"))
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--engines", nargs="*", default=["folded", "onnx", "openvino", "int8"])
    parser.add_argument("--photos", type=int, help="evenly spaced ones of the split, by default all")
    options = parser.parse_args()
    torch.set_num_threads(1)
    config = read_run(options.run)
    engines = engines_of(options.run, options.engines)
    classes = engines["torch"].classes
    chosen = choose(options.run, config.data, classes, None, options.root, None)
    if options.photos:
        kept = range(0, len(chosen.data), max(1, len(chosen.data) // options.photos))
        chosen = chosen._replace(data=cast(Divisible, chosen.data).subset(list(kept)))
    answers: dict[str, list[Answers]] = {name: [] for name in engines}
    seconds: dict[str, list[float]] = {name: [] for name in engines}
    targets = []
    for batch in eval_loader(chosen.data, engines["torch"].view, options.batch, 0):
        for name, engine in engines.items():
            started = time.process_time()
            answers[name].append(engine(batch["image"], batch.get("source"), batch["index"]))
            seconds[name].append(time.process_time() - started)
        targets.append(batch["target"])
    target, rows = torch.cat(targets), []
    expected = torch.cat([said.probs for said in answers["torch"]])
    for name in engines:
        probs = torch.cat([said.probs for said in answers[name]])
        same = probs.argmax(1) == expected.argmax(1)
        count = int(same.sum())
        rows.append(
            {
                "engine": name,
                "same": count / len(same),
                "same_interval": tuple(binomtest(count, len(same)).proportion_ci(method="wilson")),
                "accuracy": float((probs.argmax(1) == target).float().mean()),
                "apart": float((probs - expected).abs().max()),
                # The first batch may still prepare something.
                "relative": ratios(seconds[name][1:], seconds["torch"][1:])._asdict(),
                "ms": Spread.of([1000 * one / options.batch for one in seconds[name][1:]])._asdict(),
            }
        )
        print(rows[-1], flush=True)
    head = environment(
        f"python benchmarks/engines.py RUN --root {options.root.name} --engines {' '.join(options.engines)}"
    )
    facts = {
        **head,
        "processor": describe(),
        "photos": len(target),
        "split": chosen.split,
        "backbone": config.model.backbone,
        "size": config.data.size,
        "data": options.root.name,
        "epochs": config.train.epochs,
        "batch": options.batch,
    }
    found = {**facts, "rows": rows}
    options.out.with_suffix(".json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    options.out.with_suffix(".md").write_text(page(facts, rows), encoding="utf-8")


def page(facts: Mapping[str, Any], rows: list[dict[str, Any]]) -> str:
    """The result as a page."""
    lines = [
        "# The engines' answers on real photos",
        "",
        f"`{facts['command']}`, {facts['hardware']} ({facts['processor']}), commit {facts['commit']},",
        f"torch {facts['torch']}: a SCAPNet of {facts['backbone']} at {facts['size']} px, trained for",
        f"{facts['epochs']} epochs on {facts['data']},",
        f"answers the {facts['photos']} photos of its {facts['split']} split in batches of {facts['batch']}, on one "
        "thread. CPU time relative to eager",
        "PyTorch (engine torch) is the median over the batches, which all engines answer by turns.",
        "",
        "| engine | same best class | accuracy | largest difference of a probability | CPU ms a photo | relative |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        lower, upper = row["same_interval"]
        relative = row["relative"]
        lines.append(
            f"| {row['engine']} | {row['same']:.2%} ({lower:.1%} to {upper:.1%}) | {row['accuracy']:.2%} | "
            f"{row['apart']:.2g} | {row['ms']['median']:.1f} | {relative['median']:.3f} ({relative['lower']:.3f} to "
            f"{relative['upper']:.3f}) |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
