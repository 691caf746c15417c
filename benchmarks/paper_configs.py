"""Proof that the paper's own rows run: a training step of each network at the paper's size, on made data.

    python benchmarks/paper_configs.py --out results/paper-configs

Each network of each table is built as for CUB (200 classes, ResNet-50 without weights to download, view 448), takes one
training step on random pixels in a process of its own, and tells its parameters, the shapes that come out and the most
memory that the process held. A file that is there already is gone on with: only networks that it lacks are run.
"""

import argparse
import json
import resource
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from scapnet.recipe import make_loss, make_optimizer

from scapnet.build import build_model
from scapnet.config import ModelConfig
from scapnet.experiments.recipes import recipe_of
from scapnet.experiments.record import facts
from scapnet.experiments.tables import TABLES
from scapnet.serialization import from_dict, to_dict

CLASSES = 200


def networks() -> dict[str, tuple[str, dict[str, Any]]]:
    """Every distinct network of the tables by the name of its row, with the tables that have it."""
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    base = recipe_of("cub", None)
    for table in TABLES.values():
        for row in table.rows:
            if row.name and row.average is None and row.belongs("cub"):
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
    loss = make_loss(config.loss, config.model.host)(output, target)["loss"]
    loss.backward()
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
        f"one training step of {found['batch']} random images of 448 px with {CLASSES} classes. Accuracies of these",
        "rows are not yet measured; `scapnet reproduce TABLE --data cub --root FOLDER` runs them.",
        "",
        "| row | tables | parameters | logits | part logits | most memory, GiB |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in found["rows"].items():
        shapes = ["-" if s is None else " x ".join(map(str, s)) for s in (row["logits"], row["part_logits"])]
        cells = [name, row["tables"], f"{row['parameters']:,}", *shapes, str(row["peak_gib"])]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Run what is missing; each network's result is written as it ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("results/paper-configs"))
    parser.add_argument("--batch", type=int, default=2)
    options = parser.parse_args()
    file = options.out.with_suffix(".json")
    about = facts("python benchmarks/paper_configs.py") | {"batch": options.batch, "rows": {}}
    found = json.loads(file.read_text(encoding="utf-8")) if file.exists() else about
    wanted = networks()
    found["rows"] = {name: row for name, row in found["rows"].items() if name in wanted}
    for name, (tables, values) in wanted.items():
        if name not in found["rows"]:
            # A process for each: the most memory that one held is never given back to what is told of it.
            with get_context("spawn" if torch.cuda.is_available() else "fork").Pool(1) as pool:
                found["rows"][name] = {"tables": tables} | pool.apply(step, (values, options.batch))
            print(name, found["rows"][name], flush=True)
        found["rows"][name]["tables"] = tables
        file.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        options.out.with_suffix(".md").write_text(page(found), encoding="utf-8")


if __name__ == "__main__":
    main()
