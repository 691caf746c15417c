"""Many photos over the workers of a Ray cluster, merged to the JSON that `scapnet predict` would have written.

python ray_predict.py runs/photos photos answers.json --workers 2     # pip install "ray[data]"
"""

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import ray

import scapnet

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


class Answer:
    """A worker: it loads the model once, and gets batches of photos."""

    def __init__(self, model: str, batch_size: int) -> None:
        self.predictor = scapnet.Predictor.from_pretrained(model, batch_size=batch_size)

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list[Any]]:
        """The numbers and the answers of the photos of a batch that could be read."""
        numbers = dict(zip(batch["path"].tolist(), batch["number"].tolist(), strict=True))
        found = [one for one in self.predictor(list(numbers)) if isinstance(one, scapnet.Prediction)]  # not `Skipped`
        answers = [json.dumps(one.to_dict(), ensure_ascii=False) for one in found]
        return {"number": [numbers[one.path] for one in found], "answer": answers}


def main(words: Sequence[str] | None = None) -> None:
    """Predict a folder and write the answers in the order of its photos."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("photos", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=16)
    options = parser.parse_args(words)
    paths = sorted(str(path) for path in options.photos.rglob("*") if path.suffix.lower() in SUFFIXES)
    if "RAY_ADDRESS" not in os.environ:  # on this machine; the workers' processors and one for Ray Data itself
        ray.init(num_cpus=options.workers + 1)
    rows = [{"number": i, "path": path} for i, path in enumerate(paths)]
    answers = ray.data.from_items(rows, override_num_blocks=min(options.workers, len(rows))).map_batches(
        Answer,
        fn_constructor_args=(str(Path(options.model).resolve()), options.batch_size),
        batch_size=options.batch_size,
        concurrency=options.workers,
    )
    lines = [row["answer"] for row in sorted(answers.take_all(), key=lambda row: row["number"])]
    options.out.write_text("[" + "\n,".join(lines) + "\n]\n", encoding="utf-8")
    print(f"{options.out}: {len(lines)} of {len(paths)} photos answered by {options.workers} workers")


if __name__ == "__main__":
    main()
