"""Exported graphs in fewer bits: 16-bit floats, or 8-bit integers calibrated on photos.

Only the convolutions are changed. The resize, the gate, the choice of parts and the classifiers stay in 32 bits: they
are cheap, and 16 bits cannot represent a coordinate of 448.3.
"""

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scapnet.export.formats import quiet
from scapnet.exported import needed

Array = NDArray[Any]
# Operations between the convolutions of a backbone; such a node has 16 bits if its input does.
BETWEEN = {"Relu", "Clip", "HardSwish", "HardSigmoid", "Sigmoid", "Mul", "Add", "GlobalAveragePool", "AveragePool"}
BETWEEN |= {"BatchNormalization", "MaxPool", "ReduceMean", "LeakyRelu", "Gelu", "Erf", "Div", "Sub", "Softplus", "Tanh"}
FLOAT, FLOAT16 = 1, 10  # of onnx.TensorProto
HALF = "_half"
PIXEL = 3  # channels
WARNING, ERROR = 2, 3  # of onnxruntime's log; 2 is its default


def convolutions(proto: Any) -> list[str]:
    """Names of the nodes that convolve."""
    return [node.name for node in proto.graph.node if node.op_type == "Conv"]


def inner_convolutions(proto: Any) -> list[str]:
    """The same without those of pixels, which are few operations and lose most in 8 bits."""
    channels = {one.name: one.dims[1] for one in proto.graph.initializer if len(one.dims) == 4}  # in a group
    groups = {node.name: next((one.i for one in node.attribute if one.name == "group"), 1) for node in proto.graph.node}
    found = (node for node in proto.graph.node if node.op_type == "Conv")
    return [node.name for node in found if channels.get(node.input[1], 0) * groups[node.name] != PIXEL]


def half_nodes(proto: Any) -> set[str]:
    """Names of the convolutions and of the nodes between them."""
    found, outputs = set[str](), set[str]()
    for node in proto.graph.node:
        if node.op_type == "Conv" or (node.op_type in BETWEEN and outputs.intersection(node.input)):
            found.add(node.name)
            outputs.update(node.output)
    return found


def to_half(proto: Any) -> Any:
    """A copy of an `onnx.ModelProto` whose backbones have weights and arithmetic of 16-bit floats.

    Casts are inserted only where a value changes precision; inputs and outputs are unchanged.
    """
    onnx = needed("onnx")
    found, chosen = onnx.ModelProto(), half_nodes(proto)
    found.CopyFrom(proto)
    graph, weights = found.graph, {one.name: one for one in proto.graph.initializer if one.data_type == FLOAT}
    produced = {name for node in graph.node if node.name in chosen for name in node.output}
    wanted = {name for node in graph.node if node.name not in chosen for name in node.input}
    wanted |= {value.name for value in graph.output}
    nodes, narrow = list[Any](), set[str]()  # names that exist in 16 bits
    for node in list(graph.node):
        if node.name not in chosen:
            nodes.append(node)
            continue
        for k, name in enumerate(node.input):
            if not name or (k and node.op_type == "ReduceMean"):  # its axes are whole numbers
                continue
            if name not in narrow and name in weights:
                values = onnx.numpy_helper.to_array(weights[name]).astype(np.float16)
                graph.initializer.append(onnx.numpy_helper.from_array(values, name + HALF))
            elif name not in narrow and name not in produced:
                nodes.append(onnx.helper.make_node("Cast", [name], [name + HALF], name + HALF, to=FLOAT16))
            narrow.add(name)
            node.input[k] = name + HALF
        (name,) = node.output
        node.output[0] = name + HALF
        narrow.add(name)
        nodes.append(node)
        if name in wanted:
            nodes.append(onnx.helper.make_node("Cast", [name + HALF], [name], name, to=FLOAT))
    del graph.node[:], graph.value_info[:]
    graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    kept = [one for one in graph.initializer if one.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    return found


def to_int8(proto: Any, photos: Iterable[Array], out: Path, options: Mapping[str, Any] = MappingProxyType({})) -> None:
    """Write a graph whose convolutions have 8-bit weights, by channel, and 8-bit inputs.

    Those of pixels stay in 32 bits, and so do the outputs of all: what follows a convolution, an activation or a sum,
    takes them as they are, and is rounded once, as the next convolution's input.

    Weights go from -64 to 64: a processor without instructions for dot products of 8 bits (VNNI) adds pairs of products
    in 16 bits, where 2 x 127 x 255 does not fit and answers change without a warning.

    Args:
        proto: an `onnx.ModelProto`.
        photos: batches of its input (B, 3, H, W) that calibrate the ranges of the activations.
        out: the ``.onnx`` file.
        options: other arguments for onnxruntime's `quantize_static`, for trials.
    """
    quantization = needed("onnxruntime.quantization")

    name = proto.graph.input[0].name
    left: Iterator[Array] = iter(photos)

    def following(_: object) -> dict[str, Array] | None:
        batch = next(left, None)
        return None if batch is None else {name: np.ascontiguousarray(batch)}

    # The library accepts only subclasses of its reader, and is imported on demand.
    reader = type("Photos", (quantization.CalibrationDataReader,), {"get_next": following})()
    runtime = needed("onnxruntime")
    runtime.set_default_logger_severity(ERROR)  # the photos' batches are of another size than the traced ones
    with quiet(), tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "whole.onnx"
        needed("onnx").save(proto, whole)
        quantization.quantize_static(
            str(whole),
            str(out),
            reader,
            quant_format=quantization.QuantFormat.QDQ,
            **{
                "op_types_to_quantize": ["Conv"],
                "nodes_to_quantize": inner_convolutions(proto),
                "per_channel": True,
                "reduce_range": True,
                "activation_type": quantization.QuantType.QUInt8,
                "extra_options": {"OpTypesToExcludeOutputQuantization": ["Conv"]},
                **options,
            },
        )
    runtime.set_default_logger_severity(WARNING)
