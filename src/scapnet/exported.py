"""Exported graphs, opened with the library of their format.

B batch, H W size of a photo.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scapnet.calibration import Calibration
from scapnet.config import ViewConfig
from scapnet.errors import reason
from scapnet.serialization import from_dict

Arrays = dict[str, NDArray[Any]]
SUFFIXES = {"onnx": ".onnx", "openvino": ".xml", "pt2": ".pt2"}
EXTRA = "{} is not installed; install it with: pip install scapnet[export]"
PT2_METADATA = "scapnet.json"


class ExportedGraph(NamedTuple):
    """A file that `scapnet.export_model` wrote, ready to run."""

    run: Callable[[NDArray[Any]], Arrays]  # photos or views (B, 3, H, W) to what `scapnet.export.graph.OUTPUTS` lists
    metadata: Mapping[str, str]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the K classes."""
        return tuple(json.loads(self.metadata["classes"]))

    @property
    def view(self) -> ViewConfig:
        """How photos become views."""
        return from_dict(ViewConfig, json.loads(self.metadata["view"]))

    @property
    def threshold(self) -> float | None:
        """The lowest probability at which an answer can be trusted."""
        found: float | None = json.loads(self.metadata["threshold"])
        return found

    @property
    def parents(self) -> tuple[str, ...]:
        """The coarser class of each class, "" for none; empty without a hierarchy."""
        return tuple(json.loads(self.metadata.get("parents", "[]")))

    @property
    def calibration(self) -> Calibration | None:
        """What the validation split says of the answers; None where it is not known."""
        found = json.loads(self.metadata.get("calibration", "null"))
        return None if found is None else from_dict(Calibration, found)

    @property
    def pixels(self) -> str:
        """What the graph takes, "photo" or "view"."""
        return self.metadata["input"]


def needed(module: str) -> Any:
    """A module of the extra ``export``.

    Raises:
        ValueError: it is not installed.
    """
    from importlib import import_module

    try:
        return import_module(module)
    except ImportError as error:
        raise ValueError(EXTRA.format(module.partition(".")[0])) from error


def open_graph(path: Path, threads: int = 0, half: bool = False) -> ExportedGraph:
    """Open an exported file.

    Args:
        path: an ``.onnx``, ``.xml`` (OpenVINO) or ``.pt2`` file.
        threads: number of CPU threads; 0 lets the library decide.
        half: let OpenVINO compute in bf16, where the processor does so in hardware; the other libraries cannot.

    Raises:
        ValueError: the file is missing, of another kind or not written by scapnet, or its library is not installed.
    """
    openers = {".onnx": _open_onnx, ".xml": _open_openvino, ".pt2": _open_pt2}
    if path.suffix not in openers:
        raise ValueError(f"{path} is not an exported model; its name must end in .onnx, .xml (OpenVINO) or .pt2")
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    try:
        graph = openers[path.suffix](path, threads, half)
    except ValueError:
        raise
    except Exception as error:  # each library has its own errors, with the same meaning
        raise ValueError(f"{path} cannot be opened ({reason(error)})") from error
    missing = [key for key in ("classes", "view", "threshold", "input", "pixels") if key not in graph.metadata]
    if missing:
        raise ValueError(f"{path} was not written by scapnet export (its metadata has no {missing[0]})")
    return graph


def _open_onnx(path: Path, threads: int, half: bool) -> ExportedGraph:
    runtime = needed("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = runtime.InferenceSession(str(path), options, providers=runtime.get_available_providers())
    (image,), names = session.get_inputs(), [output.name for output in session.get_outputs()]

    def run(photos: NDArray[Any]) -> Arrays:
        return dict(zip(names, session.run(names, {image.name: photos}), strict=True))

    return ExportedGraph(run, session.get_modelmeta().custom_metadata_map)


def _open_openvino(path: Path, threads: int, half: bool) -> ExportedGraph:
    openvino = needed("openvino")
    core = openvino.Core()
    model = core.read_model(path)
    names = [output.get_any_name() for output in model.outputs]
    found = model.get_rt_info("scapnet").value if model.has_rt_info("scapnet") else {}
    metadata = {key: value if isinstance(value, str) else str(value.astype(str)) for key, value in found.items()}
    half = half and "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    hints = {"INFERENCE_PRECISION_HINT": "bf16" if half else "f32"} | (
        {"INFERENCE_NUM_THREADS": threads} if threads else {}
    )
    compiled = core.compile_model(model, "CPU", hints)

    def run(photos: NDArray[Any]) -> Arrays:
        found = compiled(photos)
        return {name: found[i].copy() for i, name in enumerate(names)}

    return ExportedGraph(run, metadata)


def _open_pt2(path: Path, threads: int, half: bool) -> ExportedGraph:
    import torch

    extra = {PT2_METADATA: ""}
    module = torch.export.load(path, extra_files=extra).module()

    def run(photos: NDArray[Any]) -> Arrays:
        with torch.inference_mode():
            found = module(torch.from_numpy(np.ascontiguousarray(photos)))
        return {name: value.numpy() for name, value in found.items()}

    return ExportedGraph(run, json.loads(extra[PT2_METADATA] or "{}"))
