"""CPU time of `scapnet predict` on one photo, from nothing, beside `import torch, timm` alone; and the first answer.

    python benchmarks/cold_start.py --out results/cold-start

Each command is a new process on one thread; all take turns, and what counts is the CPU time of the process. The models
have random weights. Graphs of the engine auto are exported once, before anything is timed. The first answer is timed
inside a process that has imported everything: the model or its graph is loaded, and one photo is answered.
"""

import argparse
import json
import os
import re
import resource
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

import torch

from scapnet.bench.photos import noise_photos
from scapnet.bench.subject import network_of
from scapnet.bench.timing import Spread
from scapnet.checkpoint import save_pretrained
from scapnet.experiments.environment import environment

BASE = "import torch, timm"
MODELS = {"tiny": "demo", "ResNet-50 at 448 px": "paper"}
ENGINES = ("torch", "folded", "auto")
MAIN = "from scapnet.cli import main; main()"
FIRST = """
import sys, time
import scapnet.predictor
from scapnet.export import export_model
if sys.argv[3] == "auto":
    import openvino
started = time.process_time(), time.perf_counter()
predictor = scapnet.predictor.Predictor.from_pretrained(sys.argv[1], engine=sys.argv[3], workers=0)
predictor.predict_one(sys.argv[2])
print(time.process_time() - started[0], time.perf_counter() - started[1])
"""


def cpu_seconds(words: list[str], around: Mapping[str, str]) -> tuple[float, str]:
    """CPU seconds of a process and of those that it started, and what it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True, env=dict(around))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def imports_beyond(words: list[str], around: Mapping[str, str]) -> list[tuple[str, float]]:
    """The packages on which a command spends more than 10 ms at import that the base does not load, longest first."""
    found: list[dict[str, float]] = []
    for command in (["-c", BASE], words):
        line = [sys.executable, "-X", "importtime", *command]
        told = subprocess.run(line, capture_output=True, text=True, check=True, env=dict(around)).stderr
        rows = re.findall(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)", told)
        found.append({name: int(own) / 1e6 for own, name in rows})
    packages: dict[str, float] = {}
    for name, seconds in found[1].items():
        if name not in found[0]:
            package = name.partition(".")[0]
            packages[package] = packages.get(package, 0) + seconds
    return sorted(((k, v) for k, v in packages.items() if v > 0.01), key=lambda pair: -pair[1])


def main() -> None:
    """Measure all commands by turns and write both files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("results/cold-start"))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--engines", nargs="+", default=list(ENGINES), choices=ENGINES)
    options = parser.parse_args()
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        around = {**os.environ, "OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(folder / "cache")}
        photo = str(next(noise_photos(folder / "photos", ("a", "b"), 2).glob("a/*.jpg")))
        commands: dict[str, list[str]] = {BASE: ["-c", BASE]}
        firsts: dict[str, list[str]] = {}
        for title in options.models:
            preset = MODELS[title]
            model = str(save_pretrained(network_of(preset, None)[0], folder / preset))
            for engine in options.engines:
                commands[f"{title}, {engine}"] = ["-c", MAIN, "predict", model, photo, "--engine", engine]
                firsts[f"{title}, {engine}"] = ["-c", FIRST, model, photo, engine]
        for words in commands.values():  # exports graphs, and fills the system's cache of files
            cpu_seconds(words, around)
        cpu: dict[str, list[float]] = {title: [] for title in commands}
        answers: dict[str, list[tuple[float, float]]] = {title: [] for title in firsts}
        for _ in range(options.rounds):
            for title, words in commands.items():
                cpu[title].append(cpu_seconds(words, around)[0])
            for title, words in firsts.items():
                spent, clock = map(float, cpu_seconds(words, around)[1].split())
                answers[title].append((spent, clock))
            print({title: round(median(values), 2) for title, values in cpu.items()}, flush=True)
        beyond = imports_beyond(list(commands.values())[1], around)
    rows: list[dict[str, Any]] = []
    for title, values in cpu.items():
        more = Spread.of([one - base for one, base in zip(values, cpu[BASE], strict=True)])
        row = {"command": title, "seconds": Spread.of(values)._asdict(), "more": more._asdict()}
        if title in answers:
            row["first_cpu"] = Spread.of([one[0] for one in answers[title]])._asdict()
            row["first_clock"] = Spread.of([one[1] for one in answers[title]])._asdict()
        rows.append(row)
    head = environment(shlex.join(["python", *sys.argv])) | {"rounds": str(options.rounds)}
    found = {**head, "rows": rows, "imports": dict(beyond)}
    options.out.with_suffix(".json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    options.out.with_suffix(".md").write_text(page(head, rows, beyond), encoding="utf-8")


def page(head: Mapping[str, str], rows: list[dict[str, Any]], beyond: list[tuple[str, float]]) -> str:
    """The result as a page."""
    lines = [
        "# Cold start of `scapnet predict` on one photo",
        "",
        f"`{head['command']}`, {head['hardware']}, commit {head['commit']}, torch {head['torch']},",
        f"timm {head['timm']}:",
        f"CPU seconds of a new process on one thread, medians of {head['rounds']} rounds by turns with quartiles. More",
        f"is the difference to `{BASE}` within a round. The first answer is that of a process which has",
        "imported everything; the model, or its graph from the cache, is loaded in it.",
        "",
        "| command | CPU s | more | first answer, CPU s | first answer, s on a shared machine |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        spreads = [row["seconds"], row["more"], row.get("first_cpu"), row.get("first_clock")]
        lines.append(f"| {row['command']} | {' | '.join(map(_cell, spreads))} |")
    listed = ", ".join(f"{name} {seconds:.2f}" for name, seconds in beyond)
    return "\n".join([*lines, "", f"Seconds at import that the base does not have, by package: {listed}.", ""])


def _cell(spread: Mapping[str, float] | None) -> str:
    return "-" if spread is None else f"{spread['median']:.2f} ({spread['lower']:.2f} to {spread['upper']:.2f})"


if __name__ == "__main__":
    main()
