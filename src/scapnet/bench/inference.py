"""The ways to run a network forward that are timed beside each other.

B batch, S side of the view.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from scapnet.bench.floors import backbones, convolutions, index_of
from scapnet.bench.photos import noise_photos
from scapnet.bench.timing import Row
from scapnet.data.augment import sides
from scapnet.engine import Engine, FoldedEngine, GraphEngine
from scapnet.export import export_model
from scapnet.exported import SUFFIXES, open_graph
from scapnet.network import Network, as_module, device_of
from scapnet.processor import bf16_in_hardware

EAGER, BACKBONES = "eager", "backbones alone"
QUICK = ("backbones", "convolutions", "plain", "channels_first", "bf16", "folded")
SLOW = ("compiled", "onnx", "openvino", "int8")  # each takes a minute or more to prepare


def forward(model: Network, images: Tensor, half: bool = False) -> Callable[[], object]:
    """A forward pass of images (B, 3, S, S), in bf16 autocast if ``half``."""
    index, module, kind = index_of(model, images), as_module(model), device_of(model).type

    @torch.inference_mode()
    def run() -> object:
        with torch.autocast(kind, torch.bfloat16) if half else nullcontext():
            return module(images, None, index)

    return run


def answering(engine: Engine, images: Tensor) -> Callable[[], object]:
    """The answers of an engine for images (B, 3, S, S), from the tensors that `scapnet.Predictor` gives it."""
    side = sides(engine.view)[0]
    source = None if side == images.shape[-1] else torch.randn(len(images), 3, side, side)
    given = images.cpu(), source, torch.arange(len(images))
    return lambda: engine(*given)


def inference_rows(model: Network, images: Tensor, wanted: Sequence[str], scratch: Path) -> Iterator[Row]:
    """Eager PyTorch, and each wanted way beside it.

    Args:
        model: in evaluation mode, with its ``view`` and ``classes``.
        images: (B, 3, S, S) on its device.
        wanted: names of QUICK and SLOW.
        scratch: an empty folder for files, which must last as long as the rows.
    """
    yield Row(EAGER, forward(model, images), "PyTorch in float32")
    if "backbones" in wanted and (alone := backbones(model, images)) is not None:
        yield Row(BACKBONES, torch.inference_mode()(alone), "a floor: views and as many crops, no other module")
    if "convolutions" in wanted:
        run = torch.inference_mode()(convolutions(model, images))
        yield Row("convolutions alone", run, "a floor: on the same tensors")
    if "plain" in wanted:
        backbone, classifier = model.backbone, model.classifier
        run_plain = torch.inference_mode()(lambda: classifier(backbone(images)))
        yield Row("plain backbone", run_plain, "the main branch without gate and parts")
    if "channels_first" in wanted:
        first = copy.deepcopy(model).to(memory_format=torch.contiguous_format)
        yield Row("channels first", forward(first, images), "weights in that order; eager has them channels last")
    if "bf16" in wanted:
        yield Row("bf16", forward(model, images, half=True), "autocast")
    if "folded" in wanted:
        folded = copy.deepcopy(model)
        for half in (False, True):
            engine = FoldedEngine(folded, half=half)
            name, about = ("folded, bf16", "the engine folded with bf16 in hardware") if half else ("folded", "float32")
            yield Row(name, answering(engine, images), about)
    if "compiled" in wanted:
        for half in (False, True):
            compiled = torch.compile(as_module(model))
            quick = forward(cast(Network, compiled), images, half)  # it has the network's attributes
            yield Row("compiled, bf16" if half else "compiled", quick, "torch.compile")
    yield from graph_rows(model, images, wanted, scratch)


def graph_rows(model: Network, images: Tensor, wanted: Sequence[str], scratch: Path) -> Iterator[Row]:
    """Exported graphs in their own runtimes; see `inference_rows`."""
    if not set(wanted) & {"onnx", "openvino", "int8"}:
        return
    threads = torch.get_num_threads()
    model = copy.deepcopy(model).to("cpu")
    for form in ("onnx", "openvino"):
        if form not in wanted:
            continue
        file = scratch / f"graph{SUFFIXES[form]}"
        export_model(model, file, form, pixels="view")
        yield Row(form, answering(GraphEngine(open_graph(file, threads)), images), "float32")
        if form == "openvino" and bf16_in_hardware():
            engine = GraphEngine(open_graph(file, threads, half=True))
            yield Row("openvino, bf16", answering(engine, images), "the engine auto here, if OpenVINO is installed")
    if "int8" in wanted:
        file, photos = scratch / f"int8{SUFFIXES['openvino']}", noise_photos(scratch / "photos", model.classes)
        export_model(model, file, "openvino", "int8", pixels="view", photos=photos)
        yield Row("int8", answering(GraphEngine(open_graph(file, threads)), images), "OpenVINO; calibrated on noise")
