"""A training step of each network of the paper's tables at the paper's size, on random data.

    python benchmarks/paper_configs.py --out results/paper-configs

Each network is built as for CUB (200 classes, ResNet-50 with random weights, 448 px) and takes one training step on
random images in its own process, which records the number of parameters, the shapes of the outputs and the peak memory.
Networks that are already in the results file are not run again.
"""

import argparse
import json
import resource
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from scapnet.build import build_model
from scapnet.config import ModelConfig
from scapnet.experiments.environment import environment
from scapnet.experiments.recipes import recipe_of
from scapnet.experiments.tables import TABLES
from scapnet.serialization import from_dict, to_dict
from scapnet.training.optim import make_optimizer

CLASSES = 200


def networks() -> dict[str, tuple[str, dict[str, Any]]]:
    """Every distinct network of the tables by row name, with the tables that contain it."""
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    base = recipe_of("cub", None)
    for table in TABLES.values():
        for row in table.rows:
            if row.name and row.average is None and row.applies_to("cub"):
                values = to_dict(replace(row.config(base).model, weights="none"))
                tables = f"{found[row.name][0]}, {table.name}" if row.name in found else table.name
                found[row.name] = (tables, values)
    return found


def step(values: dict[str, Any], batch: int) -> dict[str, Any]:
    """One training step of a network, in this process."""
    config = recipe_of("cub", None)
    config = replace(config, model=from_dict(ModelConfig, values))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = build_model(config.model, CLASSES, config.data.size).to(device).train()
    optimizer = make_optimizer(model, config.train)
    images = torch.randn(batch, 3, config.data.size, config.data.size, device=device)
    target = torch.arange(batch, device=device)
    output = model(images)
    loss = model.make_loss(config.loss)(output, target)["loss"]
    torch.autograd.backward(loss)
    optimizer.step()
    held = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak = torch.cuda.max_memory_allocated() if device.type == "cuda" else held
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "logits": list(output.logits.shape),
        "part_logits": None if output.part_logits is None else list(output.part_logits.shape),
        "loss_is_finite": bool(torch.isfinite(loss)),
        "peak_gib": round(peak / 2**30, 2),
    }


def page(found: dict[str, Any]) -> str:
    """The result as Markdown."""
    lines = [
        "# The paper's networks at the paper's size",
        "",
        f"`{found['command']}`, {found['hardware']}, commit {found['commit']}, torch {found['torch']}:",
        f"one training step of {found['batch']} random images of 448 px with {CLASSES} classes. Their accuracies have",
        "not been measured yet: `scapnet reproduce TABLE --data cub --root FOLDER` does that.",
        "",
        "| row | tables | parameters | logits | part logits | peak memory, GiB |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in found["rows"].items():
        shapes = ["-" if s is None else " x ".join(map(str, s)) for s in (row["logits"], row["part_logits"])]
        cells = [name, row["tables"], f"{row['parameters']:,}", *shapes, str(row["peak_gib"])]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Run what is missing, and write each result immediately."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("results/paper-configs"))
    parser.add_argument("--batch", type=int, default=2)
    options = parser.parse_args()
    file = options.out.with_suffix(".json")
    empty: dict[str, Any] = {**environment("python benchmarks/paper_configs.py"), "batch": options.batch, "rows": {}}
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else empty
    wanted = networks()
    found["rows"] = {name: row for name, row in found["rows"].items() if name in wanted}
    for name, (tables, values) in wanted.items():
        if name not in found["rows"]:
            # A process for each, because the peak memory of a process never falls.
            with get_context("spawn" if torch.cuda.is_available() else "fork").Pool(1) as pool:
                found["rows"][name] = {"tables": tables} | pool.apply(step, (values, options.batch))
            print(name, found["rows"][name], flush=True)
        found["rows"][name]["tables"] = tables
        file.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        options.out.with_suffix(".md").write_text(page(found), encoding="utf-8")


if __name__ == "__main__":
    main()
