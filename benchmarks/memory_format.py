"""How much faster a CPU trains with channels last than with channels first.

    python benchmarks/memory_format.py --out results/memory-format

Both are timed in turn in one process on one thread, and the fastest of several steps counts, so that other work on the
machine has little effect. The ratio is the result; the times themselves are not exact.
"""

import argparse
import json
import time
from pathlib import Path

import torch

from scapnet.build import build_model
from scapnet.config import ModelConfig
from scapnet.experiments.environment import environment
from scapnet.experiments.rows import changed
from scapnet.experiments.tables.changes import PLAIN
from scapnet.losses import SCAPNetLoss
from scapnet.network import Network, as_module
from scapnet.presets import demo

NETWORKS = {"test_resnet": (32, 64), "mobilenetv2_100": (16, 96), "resnet50": (8, 64)}  # batch, side of a part


def seconds(model: Network, batch: int, bf16: bool) -> float:
    """Seconds of one training step at 128 px."""
    images, target = torch.randn(batch, 3, 128, 128), torch.zeros(batch, dtype=torch.long)
    started = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        output = model(images)
    SCAPNetLoss()(output, target)["loss"].backward()
    as_module(model).zero_grad()
    return time.perf_counter() - started


def ratio(config: ModelConfig, batch: int, bf16: bool, repeats: int) -> dict[str, float]:
    """The fewest seconds of a step in both formats, and the speed-up of the second."""
    formats = {"first": torch.contiguous_format, "last": torch.channels_last}
    models = {name: build_model(config, 32, 128).to(memory_format=kind).train() for name, kind in formats.items()}
    times = {name: [seconds(model, batch, bf16) for _ in range(2)][1:] for name, model in models.items()}
    for _ in range(repeats):
        for name, model in models.items():
            times[name].append(seconds(model, batch, bf16))
    least = {name: min(values) for name, values in times.items()}
    return {**least, "ratio": least["first"] / least["last"]}


def main() -> None:
    """Time all networks and write both files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("results/memory-format"))
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name, (batch, side) in NETWORKS.items():
        full = changed(demo(), {"model.backbone": name, "model.weights": "none", "model.parts.size": side})
        for kind, config in (("plain", changed(full, PLAIN).model), ("SCAPNet", full.model)):
            for bf16 in (False, True):
                found = ratio(config, batch, bf16, options.repeats)
                rows.append({"network": name, "kind": kind, "precision": "bf16" if bf16 else "float32"} | found)
                print(rows[-1], flush=True)
    head = environment("python benchmarks/memory_format.py")
    options.out.with_suffix(".json").write_text(json.dumps(head | {"rows": rows}, indent=2) + "\n", encoding="utf-8")
    lines = [
        "# Channels last on a CPU",
        "",
        f"`{head['command']}`, {head['hardware']}, one thread, commit {head['commit']}, torch {head['torch']}:",
        "speed-up of a training step at 128 px from weights in the channels-last format.",
        "",
        "| network | | precision | speed-up |",
        "|---|---|---|---|",
        *(f"| {r['network']} | {r['kind']} | {r['precision']} | {r['ratio']:.2f} |" for r in rows),
        "",
    ]
    options.out.with_suffix(".md").write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
