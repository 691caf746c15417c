"""What a model loses in fewer bits: the answers of exported files on a run's held-out photos, beside PyTorch's.

    python benchmarks/export_precision.py RUN [RUN ...] --out results/export

Files take views, int8 is calibrated on the run's training photos, and photos are compared one by one. The network is
traced once.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import onnx

from scapnet.checkpoint import from_pretrained
from scapnet.experiments.environment import environment
from scapnet.export.check import as_input, compare, find_photos, read
from scapnet.export.formats import metadata_of, onnx_model, save_openvino
from scapnet.export.graph import trace
from scapnet.export.precision import to_half, to_int8


def rows_of(run: Path) -> list[dict[str, Any]]:
    """The figures of each file."""
    net = from_pretrained(run)
    known, rows = find_photos(run, net.classes, None), list[dict[str, Any]]()
    print(run, known.note, flush=True)
    program, names = trace(net, "view", "uint8")
    proto = onnx_model(program, names, metadata_of(net, "view", "uint8", "fp32"))
    for precision in ("fp32", "fp16", "int8"):
        metadata = metadata_of(net, "view", "uint8", precision)
        with tempfile.TemporaryDirectory() as folder:
            whole, file, openvino = (Path(folder) / name for name in ("whole.onnx", "m.onnx", "m.xml"))
            onnx.save(proto, whole)
            if precision == "int8":
                photos = read(known.training or known.data, known.calibration, net.view.size)
                to_int8(proto, (as_input(image, net.view, metadata) for image, _ in photos), file)
            else:
                onnx.save(to_half(proto) if precision == "fp16" else proto, file)
            save_openvino(file if precision == "int8" else whole, openvino, metadata, half=precision != "fp32")
            for out, form in ((file, "onnx"), (openvino, "openvino")):
                found = compare(net, out, known)
                size = sum(one.stat().st_size for one in Path(folder).glob("m.o*" if form == "onnx" else "m.[xb]*"))
                rows.append({"format": form, "precision": precision, "megabytes": size / 1e6, **found._asdict()})
                print(f"{form} {precision} {size / 1e6:.1f} MB: {found}", flush=True)
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    values: dict[str, Any] = {**environment(f"python benchmarks/export_precision.py RUN ... --out {options.out}")}
    values["runs"] = []
    for run in options.runs:
        values["runs"].append({"backbone": from_pretrained(run).config.backbone, "rows": rows_of(run)})
        options.out.with_suffix(".json").write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
