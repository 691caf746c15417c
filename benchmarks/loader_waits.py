"""How long the steps of a run wait for their data, on the clock: `scapnet train` as it is, with its loader timed.

    python benchmarks/loader_waits.py photos --data.root FOLDER --data.workers 1 --train.epochs 2 --out runs/waits

All arguments are those of ``scapnet train``. The first batch of an epoch, which no step can hide, counts too.
"""

import json
import os
import shlex
import sys
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

from torch.utils.data.dataloader import _BaseDataLoaderIter

from scapnet.cli import main as command_line
from scapnet.data.loaders import cores_here
from scapnet.experiments.environment import environment
from scapnet.processor import describe
from scapnet.training import loop

OUT = Path("results/loader-waits")


def main() -> None:
    """Train, and write both files."""
    waits, epochs = list[float](), list[tuple[float, int, float]]()  # of an epoch: seconds, steps, seconds of waiting
    following, training = _BaseDataLoaderIter.__next__, loop.train_epoch

    def timed_next(loader: Any) -> Any:
        started = time.monotonic()
        try:
            return following(loader)
        finally:
            waits.append(time.monotonic() - started)

    def timed_epoch(run: Any, *rest: Any) -> None:
        waits.clear()
        started = time.monotonic()
        training(run, *rest)
        epochs.append((time.monotonic() - started, run.steps, sum(waits)))
        print(f"{sum(waits):.2f} of {epochs[-1][0]:.1f} s, the longest wait {max(waits):.2f} s", flush=True)

    arguments = sys.argv[1:]
    with (
        patch.object(_BaseDataLoaderIter, "__next__", timed_next),
        patch.object(loop, "train_epoch", timed_epoch),
        patch.object(sys, "argv", ["scapnet", "train", *arguments]),
    ):
        command_line()
    names = [Path(word).name if os.sep in word else word for word in arguments]  # no machine's paths
    head = environment(shlex.join(["python", "benchmarks/loader_waits.py", *names]))
    share = sum(waited for _, _, waited in epochs) / sum(seconds for seconds, _, _ in epochs)
    rows = [{"seconds": seconds, "steps": steps, "waited": waited} for seconds, steps, waited in epochs]
    found = {**head, "processor": describe(), "share": share, "epochs": rows}
    OUT.with_suffix(".json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    lines = [
        "# How long training waits for its data",
        "",
        f"`{head['command']}`,",
        f"{head['hardware']} ({describe()}), {cores_here()} cores that other runs used too,",
        f"commit {head['commit']}, torch {head['torch']}. Seconds on the clock, from the start of an epoch to its last",
        "step.",
        "",
        "| epoch | steps | seconds | of these waiting for a batch |",
        "|---|---|---|---|",
        *(f"| {i} | {n} | {s:.1f} | {w:.2f} ({w / s:.2%}) |" for i, (s, n, w) in enumerate(epochs, 1)),
        "",
        f"Together {share:.2%}.",
        "",
    ]
    OUT.with_suffix(".md").write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
