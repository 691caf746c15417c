"""The time of `scapnet data check`, relative to decoding every image once with Pillow in one process.

PYTHONPATH=src python benchmarks/data_check.py grocery ROOT results
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from PIL import Image

ROUNDS = 5
CORES = len(os.sched_getaffinity(0))


def timed(call: Callable[[], Any]) -> tuple[tuple[float, float], Any]:
    """Wall-clock and CPU seconds, with those of child processes, and the result."""
    start, before = time.perf_counter(), sum(os.times()[:4])
    result = call()
    return (time.perf_counter() - start, sum(os.times()[:4]) - before), result


def decode_all(splits: Any) -> None:
    for split in filter(None, (splits.train, splits.val, splits.test)):
        for path in split.paths:
            with Image.open(path) as photo:
                photo.load()


def main(name: str, root: Path, results: Path) -> None:
    # Not at the top, because the processes that read images also import this file.
    from scapnet.config import DataConfig
    from scapnet.data.audit.check import Report, check_data
    from scapnet.data.load import load_data

    splits = load_data(DataConfig(name, root))  # type: ignore[arg-type]
    published = splits.info.counts if splits.info else ()
    times: dict[str, list[tuple[float, float]]] = {"decode": [], "one process": [], "all cores": [], "second call": []}
    report: Report
    for _ in range(ROUNDS):  # in turn, because the machine's load changes
        times["decode"].append(timed(lambda: decode_all(splits))[0])
        for jobs, kind in ((1, "one process"), (CORES, "all cores")):
            with tempfile.TemporaryDirectory() as folder:
                out = Path(folder)
                taken, report = timed(lambda: check_data(splits, name, root, out, jobs, published, True))  # noqa: B023
                times[kind].append(taken)
                second = timed(lambda: check_data(splits, name, root, out, jobs, published, True))  # noqa: B023
                assert second[1].read == 0
        times["second call"].append(second[0])
    summary: dict[str, Any] = {"report": report.to_dict() | {"seconds": None}, "cores": CORES, "rounds": ROUNDS}
    for place, clock in enumerate(("clock", "processor")):
        seconds = {kind: [value[place] for value in values] for kind, values in times.items()}
        ratios = {
            kind: [round(own / plain, 3) for own, plain in zip(values, seconds["decode"], strict=True)]
            for kind, values in seconds.items()
            if kind != "decode"
        }
        summary[clock] = {
            "seconds": {kind: [round(value, 2) for value in values] for kind, values in seconds.items()},
            "ratio to decoding once": ratios,
            "median ratio": {kind: median(values) for kind, values in ratios.items()},
        }
    path = results / f"data-check-{name}.json"
    path.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({clock: summary[clock]["median ratio"] for clock in ("clock", "processor")}, indent=1))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
