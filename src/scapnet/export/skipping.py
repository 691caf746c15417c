"""A graph that looks at the parts only where the main branch is unsure: everything after it moves into an `If`.

B batch, K classes.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from scapnet.exported import needed

MAIN = ("embedding", "logits", "gate")  # outputs of the main branch
ANSWER = "probabilities"
LOOKED = "looked"


def skip_where_sure(proto: Any, sure: float) -> None:
    """Change a graph in place, so that a batch skips the parts where the main branch is sure of every photo.

    Photos whose main branch gives its answer at least the probability ``sure`` have its answer, as in
    `scapnet.SCAPNet`; the other outputs of the parts are NaN for them, or 0 where they are whole numbers. A new output,
    "looked" (B,), tells which photos are not among them. A score "known" that rests on the parts is left out.

    Args:
        proto: an `onnx.ModelProto` of a network with parts.
        sure: from 0 to 1.
    """
    helper, graph = needed("onnx").helper, proto.graph
    outputs = {value.name: value for value in graph.output}
    main = [name for name in MAIN if name in outputs]
    if "known" in outputs:
        beyond = _needed_for(graph.node, ["part_logits"]) - _needed_for(graph.node, main)
        if beyond & _needed_for(graph.node, ["known"]):
            del outputs["known"]
        else:
            main.append("known")
    first = _needed_for(graph.node, main)
    later = _needed_for(graph.node, outputs) - first
    before = [node for i, node in enumerate(graph.node) if i in first]
    after = [node for i, node in enumerate(graph.node) if i in later]
    skipped = {name: value for name, value in outputs.items() if name not in main}
    for node in after:
        node.output[:] = [f"{name}_of_parts" if name in skipped else name for name in node.output]
        node.input[:] = [f"{name}_of_parts" if name in skipped else name for name in node.input]
    _constants(graph, {"sure_from": np.float32(sure), "last_axis": np.array([1], np.int64)})
    decide = [
        helper.make_node("Softmax", ["logits"], ["main_answer"], axis=-1),
        helper.make_node("ReduceMax", ["main_answer", "last_axis"], ["main_best"], keepdims=0),
        helper.make_node("Less", ["main_best", "sure_from"], [LOOKED]),
        helper.make_node("Cast", [LOOKED], ["looked_numbers"], to=needed("onnx").TensorProto.INT32),
        helper.make_node("ReduceMax", ["looked_numbers"], ["looked_most"], keepdims=0),
        helper.make_node("Cast", ["looked_most"], ["looked_any"], to=needed("onnx").TensorProto.BOOL),
    ]
    names = list(skipped)
    chosen = _branch("look", [*after, *_rows_of_unsure(graph, skipped)], skipped, "_where_unsure")
    rest = _branch("skip", _no_rows(graph, skipped), skipped, "_skipped")
    branch = helper.make_node("If", ["looked_any"], names, then_branch=chosen, else_branch=rest)
    del graph.node[:]
    graph.node.extend([*before, *decide, branch])
    del graph.output[:]
    dim = outputs[ANSWER].type.tensor_type.shape.dim[0].dim_param or "batch"
    looked = helper.make_tensor_value_info(LOOKED, needed("onnx").TensorProto.BOOL, [dim])
    graph.output.extend([*outputs.values(), looked])


def _needed_for(nodes: Iterable[Any], names: Iterable[str]) -> set[int]:
    """The places of the nodes that some tensors are computed from; ``nodes`` are in an order of computation."""
    wanted, found = set(names), set[int]()
    for i, node in reversed(list(enumerate(nodes))):
        if wanted.intersection(node.output):
            found.add(i)
            wanted.update(node.input)
    return found


def _constants(graph: Any, values: Mapping[str, Any]) -> None:
    numpy_helper = needed("onnx").numpy_helper
    graph.initializer.extend(numpy_helper.from_array(np.asarray(value), name) for name, value in values.items())


def _branch(name: str, nodes: list[Any], outputs: Mapping[str, Any], ending: str) -> Any:
    """A branch of an `If`; its outputs need names of their own."""
    onnx = needed("onnx")
    found = []
    for output in outputs.values():
        value = onnx.ValueInfoProto()
        value.CopyFrom(output)
        value.name += ending
        found.append(value)
    return onnx.helper.make_graph(nodes, name, [], found)


def _empty(graph: Any, name: str, value: Any) -> str:
    """The constant that rows of an output have where no part was looked at, with as many dimensions; its name."""
    onnx = needed("onnx")
    kind = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
    shape = [1] * len(value.type.tensor_type.shape.dim)
    constant = f"{name}_without_parts"
    known = {initializer.name for initializer in graph.initializer}
    if constant not in known:
        fill = np.nan if np.issubdtype(kind, np.floating) else 0
        _constants(graph, {constant: np.full(shape, fill, kind)})
    return constant


def _rows_of_unsure(graph: Any, outputs: Mapping[str, Any]) -> list[Any]:
    """Nodes that keep the rows of the photos whose parts were looked at."""
    helper, nodes = needed("onnx").helper, []
    for name, value in outputs.items():
        rank = len(value.type.tensor_type.shape.dim)
        _constants(graph, {f"{name}_axes": np.arange(1, rank, dtype=np.int64)})
        other = "main_answer" if name == ANSWER else _empty(graph, name, value)
        column = [helper.make_node("Unsqueeze", [LOOKED, f"{name}_axes"], [f"{name}_rows"])]
        chosen = [f"{name}_rows", f"{name}_of_parts", other]
        nodes += [*column, helper.make_node("Where", chosen, [f"{name}_where_unsure"])]
    return nodes


def _no_rows(graph: Any, outputs: Mapping[str, Any]) -> list[Any]:
    """Nodes for a batch without any part that was looked at."""
    helper, nodes = needed("onnx").helper, [needed("onnx").helper.make_node("Shape", ["main_best"], ["photos"])]
    for name, value in outputs.items():
        if name == ANSWER:
            nodes.append(helper.make_node("Identity", ["main_answer"], [f"{name}_skipped"]))
            continue
        sides = [dim.dim_value for dim in value.type.tensor_type.shape.dim[1:]]
        _constants(graph, {f"{name}_sides": np.array(sides, np.int64)})
        shape = helper.make_node("Concat", ["photos", f"{name}_sides"], [f"{name}_shape"], axis=0)
        given = [_empty(graph, name, value), f"{name}_shape"]
        nodes += [shape, helper.make_node("Expand", given, [f"{name}_skipped"])]
    return nodes
