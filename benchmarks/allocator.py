"""The cost of new memory pages in a training step on a CPU: `scapnet.allocator.keep_memory` on versus off.

    python benchmarks/allocator.py --out results/allocator

Each setting has its own process, because allocator settings cannot be undone; the two alternate. A step is measured in
CPU seconds on one thread, which other work on the machine changes little, and the fastest of several steps counts. The
ratio is the result.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from scapnet.allocator import keep_memory
from scapnet.build import build_model
from scapnet.config import Config
from scapnet.experiments.environment import environment
from scapnet.experiments.recipes import grocery
from scapnet.experiments.rows import changed
from scapnet.network import as_module
from scapnet.presets import demo, paper

RUNS = {  # a recipe and its batch size
    "test_resnet, 128 px": (demo, 32),
    "mobilenetv2_100, 128 px": (grocery, 16),
    "resnet50, 448 px": (paper, 2),
}


def steps(config: Config, batch: int, repeats: int) -> dict[str, float]:
    """The fewest CPU seconds of a step of the whole network, its page faults, and the process's peak memory in MB."""
    torch.set_num_threads(1)
    model = build_model(config.model, 50, config.data.size).train()
    losses = model.make_loss(config.loss)
    size, target = config.data.source_size or config.data.size, torch.zeros(batch, dtype=torch.long)
    seconds, faults = [], []
    for _ in range(repeats + 1):
        image, source = torch.randn(batch, 3, config.data.size, config.data.size), torch.randn(batch, 3, size, size)
        before, started = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, time.process_time()
        as_module(model).zero_grad()
        torch.autograd.backward(losses(model(image, source), target)["loss"])
        seconds.append(time.process_time() - started)
        faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": min(seconds[1:]), "faults": sorted(faults[1:])[repeats // 2], "peak_mb": peak}


def measure(name: str, keep: bool, repeats: int) -> dict[str, float]:
    """`steps` in its own process."""
    words = [sys.executable, __file__, "--one", name, "--repeats", str(repeats), *(["--keep"] if keep else [])]
    found: dict[str, float] = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    return found


def compare(name: str, repeats: int, turns: int) -> dict[str, Any]:
    """Both settings in turn, and the speed-up from keeping memory."""
    found: dict[bool, list[dict[str, float]]] = {False: [], True: []}
    for _ in range(turns):
        for keep, several in found.items():
            several.append(measure(name, keep, repeats))
    off, on = (min(several, key=lambda one: one["seconds"]) for several in found.values())
    return {"network": name, "batch": RUNS[name][1], "off": off, "on": on, "ratio": off["seconds"] / on["seconds"]}


def main() -> None:
    """Measure all networks and write both files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("results/allocator"))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--one", choices=list(RUNS))
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    if options.one:
        if options.keep:
            keep_memory()
        recipe, batch = RUNS[options.one]
        config = changed(recipe(), {"model.weights": "none"})
        print(json.dumps(steps(config, batch, options.repeats)))
        return
    head = environment("python benchmarks/allocator.py")
    rows = []
    for name in RUNS:
        rows.append(compare(name, options.repeats, options.turns))
        print(json.dumps(rows[-1]), flush=True)
    options.out.with_suffix(".json").write_text(json.dumps({**head, "rows": rows}, indent=2) + "\n", encoding="utf-8")
    lines = [
        "# Memory kept between training steps",
        "",
        f"`{head['command']}`, {head['hardware']}, one thread, commit {head['commit']}, torch {head['torch']}:",
        "a training step of SCAPNet with and without `scapnet.allocator.keep_memory`, which the command line calls.",
        "",
        "| network | batch | speed-up | page faults per step, without | with | peak MB, without | with |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        off, on = row["off"], row["on"]
        lines.append(
            f"| {row['network']} | {row['batch']} | {row['ratio']:.2f} | {off['faults']:,.0f} | {on['faults']:,.0f} "
            f"| {off['peak_mb']:,.0f} | {on['peak_mb']:,.0f} |"
        )
    options.out.with_suffix(".md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
