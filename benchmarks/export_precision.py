"""What a model loses in fewer bits: the answers of exported files on a run's held-out photos, beside PyTorch's.

    python benchmarks/export_precision.py RUN --out results/export

Files take views, int8 is calibrated on the run's training photos, and photos are compared one by one. Settings of int8
are compared on one half of the held-out photos, and the default ones are judged on the other. Times are the CPU time of
one thread, by turns. The network is traced once. Where the run's data is named by a relative path, call it from there.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnxruntime.quantization import CalibrationMethod

from scapnet.checkpoint import from_pretrained
from scapnet.experiments.environment import environment
from scapnet.export.check import CALIBRATION, agreement, answers, as_input, find_photos, read
from scapnet.export.formats import metadata_of, onnx_model, save_openvino
from scapnet.export.graph import trace
from scapnet.export.precision import inner_convolutions, to_half, to_int8
from scapnet.exported import open_graph
from scapnet.network import Network

TIMED = 40  # photos
DEFAULT = ("fp32", "fp16", "int8")
KEPT = {"OpTypesToExcludeOutputQuantization": ["Conv"]}


def int8_variants(proto: Any) -> dict[str, dict[str, Any]]:
    """Settings of int8 by name, beside the default ones."""
    groups = {node.name: next((one.i for one in node.attribute if one.name == "group"), 1) for node in proto.graph.node}
    dense = [name for name in inner_convolutions(proto) if groups[name] == 1]
    percentile = {"calibrate_method": CalibrationMethod.Percentile, "extra_options": KEPT | {"CalibPercentile": 99.99}}
    return {
        "int8, weights of 8 bits": {"reduce_range": False},
        "int8, depthwise in float": {"nodes_to_quantize": dense},
        "int8, ranges of 99.99% of the values": percentile,
    }


def write_files(net: Network, run: Path, folder: Path) -> Iterator[tuple[str, str, Path]]:
    """Precision, format and file of each export."""
    known = find_photos(run, net.classes, None)
    program, names = trace(net, "view", "uint8")
    proto = onnx_model(program, names, metadata_of(net, "view", "uint8", "fp32"))
    whole, variants = folder / "whole.onnx", int8_variants(proto)
    onnx.save(proto, whole)
    for i, name in enumerate([*DEFAULT, *variants]):
        metadata = metadata_of(net, "view", "uint8", name)
        file, openvino = folder / f"{i}.onnx", folder / f"{i}.xml"
        if "int8" in name:
            photos = read(known.training or known.data, known.calibration, net.view.size)
            to_int8(proto, (as_input(one, net.view, metadata) for one, _ in photos), file, variants.get(name, {}))
        else:
            onnx.save(to_half(proto) if name == "fp16" else proto, file)
        save_openvino(file if "int8" in name else whole, openvino, metadata, half=name != "fp32")
        yield name, "onnx", file
        yield name, "openvino", openvino


def measure(run: Path, folder: Path, rows: list[dict[str, Any]], keep: Callable[[], None]) -> None:
    """Append the figures of each file to ``rows``, and call ``keep`` after each."""
    net = from_pretrained(run)
    known = find_photos(run, net.classes, None)
    assert known.data is not None, known.note
    compared = set(known.compared)
    others = [i for i in range(len(known.data)) if i not in compared]
    halves = {
        name: list(answers(net, known.data, indices, False))
        for name, indices in (("chosen on", known.compared), ("judged on", others))
    }
    graphs = []
    for name, form, file in write_files(net, run, folder):
        graph = open_graph(file, threads=1)
        graphs.append(graph)
        size = sum(one.stat().st_size for one in [file, *([file.with_suffix(".bin")] if form == "openvino" else [])])
        row: dict[str, Any] = {"precision": name, "format": form, "megabytes": size / 1e6}
        for half, expected in halves.items():
            if half == "chosen on" or name in DEFAULT:
                row[half] = agreement(graph, net.view, expected)._asdict()
        rows.append(row)
        print(row, flush=True)
        keep()
    seconds: list[list[float]] = [[] for _ in graphs]
    for one in halves["judged on"][:TIMED]:
        for graph, spent in zip(graphs, seconds, strict=True):
            pixels = as_input(one.image, net.view, graph.metadata)
            started = time.process_time()
            graph.run(pixels)
            spent.append(time.process_time() - started)
    for row, spent in zip(rows, seconds, strict=True):
        row["milliseconds"] = 1e3 * float(np.median(spent))
    keep()


def instructions() -> list[str]:
    """What the processor has for products of 8-bit integers."""
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    return [name for name in ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "amx_int8") if name in flags]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    command = f"python benchmarks/export_precision.py RUN --out results/{options.out.name}"
    values: dict[str, Any] = {**environment(command), "instructions": instructions(), "calibration": CALIBRATION}
    values["backbone"] = from_pretrained(options.run).config.backbone
    values["rows"] = []

    def keep() -> None:
        options.out.with_suffix(".json").write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")

    with tempfile.TemporaryDirectory() as name:
        measure(options.run, Path(name), values["rows"], keep)
