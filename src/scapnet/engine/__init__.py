"""What runs a trained network on a batch: PyTorch, or an exported file's own runtime."""

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, NamedTuple

import torch

from scapnet.checkpoint import from_pretrained
from scapnet.engine.base import Answers as Answers
from scapnet.engine.base import Engine as Engine
from scapnet.engine.base import captured_features as captured_features
from scapnet.engine.cached import exported_engine as exported_engine
from scapnet.engine.cached import int8_engine
from scapnet.engine.graph import GraphEngine as GraphEngine
from scapnet.engine.network import FoldedEngine as FoldedEngine
from scapnet.engine.network import TorchEngine as TorchEngine
from scapnet.exported import SUFFIXES, open_graph
from scapnet.processor import bf16_in_hardware
from scapnet.terminal.console import make_console, say

EngineName = Literal["torch", "folded", "onnx", "openvino", "int8", "auto"]


def best_device() -> torch.device:
    """The machine's accelerator, or the CPU."""
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return accelerator or torch.device("cpu")


def place_of(device: torch.device | str | None) -> torch.device:
    """A device, by default the best one.

    Raises:
        ValueError: there is no such device.
    """
    try:
        place = best_device() if device is None else torch.device(device)
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError) as error:  # PyTorch without CUDA asserts
        raise ValueError(f"there is no device {device!r} here; use cpu, or cuda where there is a GPU") from error
    return place


def torch_engine(folder: Path, device: torch.device | str | None) -> TorchEngine:
    """The network of a model folder on a device, by default the best one.

    Raises:
        ValueError: no model there, or no such device.
    """
    place = place_of(device)
    return TorchEngine(from_pretrained(folder).to(place))


def folded_engine(folder: Path, device: torch.device | str | None, half: bool | None = None) -> FoldedEngine:
    """The same with what makes inference faster in PyTorch itself; see `FoldedEngine`.

    Raises:
        ValueError: no model there, no such device, or a network whose batch norms cannot be folded.
    """
    place = place_of(device)
    return FoldedEngine(from_pretrained(folder).to(place), half=half)


class Way(NamedTuple):
    """A way to run a network on a processor."""

    name: str  # in ENGINES
    half: bool  # in bf16
    same: float  # share of real photos whose best class is eager PyTorch's
    needs: tuple[str, ...]  # packages
    what: str


# The fastest first (results/bench.md), with the shares of results/engines.md; those of graphs in float32 are of
# results/export.md.
SAME = 0.995  # auto takes none below
BF16 = " in bf16, which this processor has in hardware"
FOLDED = "PyTorch with batch norm folded into the convolutions"
WAYS = (
    Way("openvino", True, 0.9950, ("openvino", "onnxscript"), f"OpenVINO{BF16}"),
    Way("folded", True, 0.9917, (), f"{FOLDED}{BF16}"),
    Way("onnx", False, 1.0, ("onnxruntime", "onnxscript"), "onnxruntime"),
    Way("openvino", False, 1.0, ("openvino", "onnxscript"), "OpenVINO"),
    Way("folded", False, 1.0, (), FOLDED),
)


def chosen_way(device: torch.device | str | None, graphs: bool = True) -> Way:
    """What "auto" takes: the fastest of WAYS that is here and keeps the answers; folded on an accelerator."""
    if place_of(device).type != "cpu":
        return WAYS[-1]._replace(what=f"{FOLDED}, on the accelerator")
    half = bf16_in_hardware()
    kept = (way for way in WAYS if way.same >= SAME and way.half <= half and (graphs or not way.needs))
    return next(way for way in kept if all(map(find_spec, way.needs)))


def auto_engine(folder: Path, device: torch.device | str | None, graphs: bool = True) -> Engine:
    """The fastest engine here, which is named on stderr; a folded network where the model cannot be exported.

    Args:
        folder: the model folder.
        device: see `place_of`.
        graphs: whether it may be an exported graph, which cannot skip parts.

    Raises:
        ValueError: no model there, or no such device.
    """
    way, console = chosen_way(device, graphs), make_console(stderr=True)
    say(f"engine: {way.what}", console)
    try:
        if way.name == "openvino":
            return exported_engine("openvino", folder, device, half=way.half)
        if way.name == "onnx":
            return exported_engine("onnx", folder, device)
    except ValueError as error:
        made = folded_engine(folder, device, half=False)
        say(f"engine: {FOLDED} instead ({error})", console)
        return made
    return folded_engine(folder, device, half=way.half)


def file_engine(path: Path) -> Engine | None:
    """The engine of an exported file, or None for what is a folder or the name of a model on the hub.

    Raises:
        ValueError: see `scapnet.exported.open_graph`.
    """
    return GraphEngine(open_graph(path)) if path.suffix in SUFFIXES.values() and not path.is_dir() else None


def _int8(folder: Path, device: torch.device | str | None) -> Engine:
    return int8_engine("openvino" if find_spec("openvino") else "onnx", folder, device)


# Makes an engine from a model folder and a device; None is the engine's own choice.
ENGINES: dict[str, Callable[[Path, torch.device | str | None], Engine]] = {
    "torch": torch_engine,
    "folded": folded_engine,
    "onnx": partial(exported_engine, "onnx"),
    "openvino": partial(exported_engine, "openvino"),
    "int8": _int8,
    "auto": auto_engine,
}


def check_engine(name: str) -> None:
    """Check that an engine is known.

    Raises:
        ValueError: it is not.
    """
    if name not in ENGINES:
        raise ValueError(f"there is no engine {name!r}; use {' or '.join(ENGINES)}")
