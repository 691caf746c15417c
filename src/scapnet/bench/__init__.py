"""`scapnet bench`: how fast a network is here, beside its floors, its engines and its peers.

B batch, S side of the view.
"""

import json
import shlex
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from scapnet.bench.findings import findings
from scapnet.bench.floors import products
from scapnet.bench.inference import QUICK as QUICK
from scapnet.bench.inference import SLOW, inference_rows
from scapnet.bench.peers import peer_rows
from scapnet.bench.result import Measured, measured, page
from scapnet.bench.subject import network_of
from scapnet.bench.timing import Row, by_turns, clock_of, peak_of
from scapnet.bench.training import training_rows
from scapnet.build import part_count, title
from scapnet.engine import best_device
from scapnet.experiments.cost import location_parameters, macs_of
from scapnet.experiments.environment import environment
from scapnet.network import as_module
from scapnet.outputs import check_file, writing
from scapnet.processor import describe

LIBRARIES = ("torch", "torchvision", "timm", "onnxruntime", "openvino")
ALL = (*QUICK, *SLOW)


def bench(
    what: str = "paper",
    size: int | None = None,
    batch: int = 1,
    rounds: int = 5,
    threads: int = 1,
    rows: Sequence[str] = QUICK,
    training: bool = True,
    peers: Sequence[str] = (),
    out: Path | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> str:
    """Time a network on the device at hand.

    Args:
        what, size: see `network_of`.
        batch: B.
        rounds: how often each row is timed.
        threads: of the processor; with one the time is this process's CPU time.
        rows: what to time beside eager PyTorch, of ALL.
        training: also time training steps.
        peers: other people's networks, such as "ntsnet=FOLDER".
        out: a .json file for the figures; a page of the same name with .md is written beside it.
        say: receives what is being done.

    Returns:
        The page.

    Raises:
        ValueError: no such network, row or peer, or a number below 1.
    """
    if unknown := [row for row in rows if row not in ALL]:
        raise ValueError(f"there is no row {unknown[0]!r}; use {', '.join(ALL)}")
    if min(batch, rounds, threads) < 1:
        raise ValueError(f"batch {batch}, rounds {rounds} and threads {threads} must all be at least 1")
    out = out and check_file(out, [".json"], ".json")
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    model, config = network_of(what, size)
    device, side = best_device(), model.view.size
    as_module(model).to(device)
    images = torch.randn(batch, 3, side, side, device=device)
    macs = macs_of(model, side)

    def timed(found: Sequence[Row], images: int) -> list[Measured]:
        """Each row's first call for its memory, a second one, and then all by turns; ratios are to the first row."""
        peaks = []
        for row in found:
            say(f"timing {row.name}")
            peaks.append(peak_of(row.run, device))
            row.run()
        seconds = by_turns(found, rounds, clock_of(device, threads))
        base = seconds[found[0].name]
        both = zip(found, peaks, strict=True)
        return [measured(row, seconds[row.name], base, images, peak) for row, peak in both]

    others = list(peer_rows(peers, images))  # refused before anything is timed
    machine = products(device)
    rates = {
        row.name: 1000 * macs_of_one / row.milliseconds.median
        for row, (_, macs_of_one) in zip(timed([row for row, _ in machine], 1), machine, strict=True)
    }
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        forward = timed([*inference_rows(model, images, rows, scratch), *others], batch)
        steps = timed(list(training_rows(model, config, images, scratch)), batch) if training else []
    clock = "CPU seconds of one thread" if device.type == "cpu" and threads == 1 else f"{threads} threads"
    about: dict[str, Any] = {
        **environment(shlex.join(["scapnet", *sys.argv[1:]])),
        "processor": describe(),
        "versions": {name: known for name in LIBRARIES if (known := _version(name))},
        "batch": batch,
        "rounds": rounds,
        "clock": clock,
        "network": {
            "title": title(model.config),
            "backbone": model.config.backbone,
            "size": side,
            "parts": part_count(model.config),
            "gmacs": macs / 1e9,
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "location": location_parameters(model),
        },
        "gmacs_per_second": rates,
        "inference": [row.to_dict() for row in forward],
        "training": [row.to_dict() for row in steps],
        "findings": findings(forward, steps, rates, macs / 1e9),
    }
    text = page(about, [("inference", forward), *([("training", steps)] if steps else [])])
    if out is not None:
        for path, content in ((out, json.dumps(about, indent=2) + "\n"), (out.with_suffix(".md"), text)):
            with writing(path) as draft:
                draft.write_text(content, encoding="utf-8")
    return text


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return ""
