"""Memory of `scapnet predict` and of `Predictor` on a small and on a large folder: both stream, so it must not grow.

    python benchmarks/predict_memory.py --out results/predict-memory [--only OUTPUT ...]

The photos and the network are tiny, so that any growth with the number of photos is visible. Each command has its own
process, which prints its peak memory (its largest resident set) when it ends. With ``--only``, the other rows of the
file stay as they are, each with the commit at which it was measured.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from scapnet.build import build_model
from scapnet.checkpoint import save_pretrained
from scapnet.config import ViewConfig
from scapnet.experiments.environment import environment
from scapnet.experiments.rows import changed
from scapnet.presets import demo

SIZE = 64  # side of the view and of a photo
RUN = """
import resource, sys, time
started = time.monotonic()
try:
    {work}
finally:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print("measured", peak / 1024, time.monotonic() - started, file=sys.stderr)
"""
COMMAND = "from scapnet.cli import main; main()"
PYTHON = "import scapnet; [print(p.path) for p in scapnet.Predictor.from_pretrained(*sys.argv[2:3])(sys.argv[3])]"
OUTPUTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "CSV": (COMMAND, ("--out", "answers.csv")),
    "JSON and features": (COMMAND, ("--out", "answers.json", "--features", "features.npy")),
    "table, printed": (COMMAND, ()),
    "`scapnet.Predictor`": (PYTHON, ()),
}


def model_in(folder: Path) -> Path:
    """A small untrained network."""
    torch.manual_seed(0)
    config = changed(demo(), {"model.parts.size": 32})
    model = build_model(config.model, 10, SIZE, start=False)
    model.view, model.classes = ViewConfig(SIZE, SIZE), tuple(f"class {k}" for k in range(10))
    return save_pretrained(model, folder / "model")


def photos_in(folder: Path, count: int) -> Path:
    """A folder of ``count`` different photos."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(count):
        Image.fromarray(rng.integers(0, 255, (SIZE, SIZE, 3), dtype=np.uint8)).save(folder / f"photo {i}.jpg")
    return folder


def measure(work: str, model: Path, photos: Path, options: tuple[str, ...], folder: Path) -> dict[str, float]:
    """Peak MB and seconds of one command, which must answer every photo."""
    words = [sys.executable, "-c", RUN.format(work=work), "predict", str(model), str(photos), *options]
    with (folder / "printed.txt").open("w") as printed:
        done = subprocess.run(words, stdout=printed, stderr=subprocess.PIPE, text=True, check=True, cwd=folder)
    last = done.stderr.splitlines()[-1].split()
    text = (folder / options[1] if options else folder / "printed.txt").read_text()
    assert all(path.name in text for path in photos.iterdir())
    return {"peak_mb": float(last[1]), "seconds": float(last[2])}


def main() -> None:
    """Measure the outputs on both folders and write both files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("results/predict-memory"))
    parser.add_argument("--counts", type=int, nargs=2, default=[200, 20_000])
    parser.add_argument("--only", nargs="+", choices=list(OUTPUTS), default=list(OUTPUTS), metavar="OUTPUT")
    options = parser.parse_args()
    head, file = environment("python benchmarks/predict_memory.py"), options.out.with_suffix(".json")
    before = json.loads(file.read_text(encoding="utf-8"))["rows"] if file.exists() else []
    rows: dict[str, dict[str, Any]] = {row["output"]: row for row in before}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = model_in(folder)
        photos = {count: photos_in(folder / f"photos {count}", count) for count in options.counts}
        for output in options.only:
            found = {str(n): measure(OUTPUTS[output][0], model, photos[n], OUTPUTS[output][1], folder) for n in photos}
            rows[output] = {"output": output, "commit": head["commit"], **found}
            print(rows[output], flush=True)
    found_rows = [rows[output] for output in OUTPUTS if output in rows]
    file.write_text(json.dumps(head | {"rows": found_rows}, indent=2) + "\n", encoding="utf-8")
    options.out.with_suffix(".md").write_text(page(head, found_rows, *map(str, options.counts)), encoding="utf-8")


def page(head: dict[str, Any], rows: list[dict[str, Any]], few: str, many: str) -> str:
    """The result as a page."""
    lines = [
        "# Memory of `scapnet predict` and `scapnet.Predictor`",
        "",
        f"`{head['command']}`, {head['hardware']}, torch {head['torch']}:",
        f"peak memory on folders of {int(few):,} and of {int(many):,} photos of {SIZE} px. Most of it is PyTorch.",
        "Photos per second are comparable within a row only: what else the machine did differed.",
        "",
        f"| output | {int(few):,} photos | {int(many):,} photos | more | photos/s | commit |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        small, large = (row[count]["peak_mb"] for count in (few, many))
        speed = int(many) / row[many]["seconds"]
        figures = f"{small:.0f} MB | {large:.0f} MB | {large - small:.0f} MB | {speed:.0f}"
        lines.append(f"| {row['output']} | {figures} | {row['commit']} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
