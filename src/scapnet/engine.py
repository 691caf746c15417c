"""What runs a trained network on a batch: PyTorch, or an exported file's own runtime.

B batch, K classes, M parts, N grid, D feature size, S side of the view, S' side of the source.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor
from torchvision.ops import box_convert

from scapnet import __version__
from scapnet.checkpoint import from_pretrained
from scapnet.config import ViewConfig
from scapnet.export import export_model
from scapnet.exported import SUFFIXES, ExportedGraph, open_graph
from scapnet.metrics.skipping import PartsFor, sure_of
from scapnet.network import Network, NetworkOutput, device_of
from scapnet.terminal.console import make_console, say


class Answers(NamedTuple):
    """What a network says of a batch. What it does not have is None."""

    probs: Tensor  # (B, K)
    mask: Tensor | None = None  # (B, N, N) the gate's
    boxes: Tensor | None = None  # (B, M, 4) cxcywh in [0, 1] of the view
    scores: Tensor | None = None  # (B, M) P(keep)
    scales: Tensor | None = None  # (B, M) sides of the parts in units of the grid
    part_logits: Tensor | None = None  # (B, M, K), or (B, 1, K) of a classifier over all parts at once
    features: Tensor | None = None  # (B, D) the main branch's input to its classifier
    looked: Tensor | None = None  # (B,) whose parts were looked at; None where all are, or none can be

    @classmethod
    def of(cls, output: NetworkOutput, features: Tensor | None = None) -> "Answers":
        """The answers in a network's output."""
        mask, parts = None if output.gate is None else output.gate.mask, output.parts
        looked = getattr(output, "looked", None)
        if parts is None:
            return cls(output.probs, mask, features=features, looked=looked)
        return cls(output.probs, mask, parts.boxes, parts.scores, parts.scales, output.part_logits, features, looked)


class Engine(Protocol):
    """A trained network, ready to run."""

    @property
    def view(self) -> ViewConfig:
        """How a photo becomes its input."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the K classes."""

    @property
    def threshold(self) -> float | None:
        """The probability from which on an answer can be trusted; None where it is not known."""

    # An engine that knows them also has ``calibration``, ``prototypes`` and ``parents``, as a `Network` does, or such a
    # network as ``model``.

    def __call__(self, image: Tensor, source: Tensor | None, index: Tensor) -> Answers:
        """Classify a batch.

        Args:
            image: (B, 3, S, S) float32 normalised view, on the CPU.
            source: (B, 3, S', S') the same view in more pixels, where the view has a larger source.
            index: (B,) numbers of the photos, which random parts are drawn by.
        """


@contextmanager
def captured_features(model: Network) -> Iterator[list[Tensor]]:
    """Keep the (B, D) inputs of the main branch's classifier of each forward pass."""
    found = list[Tensor]()
    hook = model.classifier.register_forward_pre_hook(lambda _, inputs: found.append(inputs[0]))
    try:
        yield found
    finally:
        hook.remove()


class TorchEngine:
    """A network on its own device, in evaluation mode.

    Args:
        model: with its ``view``, ``classes`` and ``threshold``.
        parts_for: whose parts it looks at; see `scapnet.Predictor`.

    Raises:
        ValueError: a choice of photos that the model cannot make.
    """

    def __init__(self, model: Network, parts_for: PartsFor = "all") -> None:
        self.model = model
        sure = sure_of(model, parts_for)
        self.options = {} if sure is None else {"sure": sure}  # other networks do not know it

    @property
    def view(self) -> ViewConfig:
        """The model's."""
        return self.model.view

    @property
    def classes(self) -> tuple[str, ...]:
        """The model's."""
        return self.model.classes

    @property
    def threshold(self) -> float | None:
        """The model's."""
        return self.model.threshold

    @torch.inference_mode()
    def __call__(self, image: Tensor, source: Tensor | None, index: Tensor) -> Answers:
        """Run the network; the answers stay on its device."""
        device = device_of(self.model)
        larger = None if source is None else source.to(device)
        with captured_features(self.model) as features:
            output = self.model.eval()(image.to(device), larger, index.to(device), **self.options)
        return Answers.of(output, features[0])


def best_device() -> torch.device:
    """The machine's accelerator, or the CPU."""
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return accelerator or torch.device("cpu")


def torch_engine(folder: Path, device: torch.device | str | None) -> TorchEngine:
    """The network of a model folder on a device, by default the best one.

    Raises:
        ValueError: no model there, or no such device.
    """
    try:
        place = best_device() if device is None else torch.device(device)
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError) as error:  # PyTorch without CUDA asserts
        raise ValueError(f"there is no device {device!r} here; use cpu, or cuda where there is a GPU") from error
    return TorchEngine(from_pretrained(folder).to(place))


class GraphEngine:
    """An exported graph of views. It gets the pixels that the normalised views came from, and so the same answers.

    Args:
        graph: from `scapnet.exported.open_graph`.

    Raises:
        ValueError: the graph takes whole photos.
    """

    def __init__(self, graph: ExportedGraph) -> None:
        if graph.pixels != "view":
            raise ValueError(
                "this exported file takes whole photos; to predict with it here, export the model with --input view"
            )
        self.graph, self.view = graph, graph.view
        self.classes, self.threshold = graph.classes, graph.threshold
        values = torch.tensor([self.view.mean, self.view.std])[:, :, None, None]
        self.mean, self.std = values[0], values[1]

    def __call__(self, image: Tensor, source: Tensor | None, index: Tensor) -> Answers:
        """Run the graph; ``index`` is not used, since graphs draw no random parts."""
        pixels = ((image if source is None else source) * self.std + self.mean).mul(255).round().clamp(0, 255)
        whole = self.graph.metadata["pixels"] == "uint8"
        given = pixels.to(torch.uint8) if whole else pixels / 255
        found = {name: torch.from_numpy(value) for name, value in self.graph.run(given.numpy()).items()}
        boxes = found.get("view_boxes")
        if boxes is not None:
            boxes = box_convert(boxes / pixels.shape[-1], "xyxy", "cxcywh")
        scores, scales, parts = (found.get(name) for name in ("scores", "scales", "part_logits"))
        return Answers(found["probabilities"], found.get("gate"), boxes, scores, scales, parts, found["embedding"])


def exported_engine(format: Literal["onnx", "openvino"], folder: Path, device: torch.device | str | None) -> Engine:
    """A model folder in another runtime. It is exported once, into the user's cache.

    Raises:
        ValueError: no model there, a device other than the processor, a missing library, or a network that cannot be
            exported.
    """
    if device is not None and str(device) != "cpu":
        raise ValueError(f"the engine {format} runs on the processor; leave the device {device} out")
    content = (folder / "config.json").read_bytes() + (folder / "model.safetensors").read_bytes()
    name = f"{blake2b(content, digest_size=12).hexdigest()}-{__version__}{SUFFIXES[format]}"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "scapnet" / "engines"
    if not (cache / name).exists():
        say(f"exporting {folder} for {format}, once; this takes a minute or two", make_console(stderr=True))
        export_model(from_pretrained(folder), cache / name, format, pixels="view")
    return GraphEngine(open_graph(cache / name))


def file_engine(path: Path) -> Engine | None:
    """The engine of an exported file, or None for what is a folder or the name of a model on the hub.

    Raises:
        ValueError: see `scapnet.exported.open_graph` and `GraphEngine`.
    """
    return GraphEngine(open_graph(path)) if path.suffix in SUFFIXES.values() and not path.is_dir() else None


# Makes an engine from a model folder and a device; None is the engine's own choice.
ENGINES: dict[str, Callable[[Path, torch.device | str | None], Engine]] = {
    "torch": torch_engine,
    "onnx": partial(exported_engine, "onnx"),
    "openvino": partial(exported_engine, "openvino"),
}


def check_engine(name: str) -> None:
    """Check that an engine is known.

    Raises:
        ValueError: it is not.
    """
    if name not in ENGINES:
        raise ValueError(f"there is no engine {name!r}; use {' or '.join(ENGINES)}")
