"""Writing a traced graph as ONNX, OpenVINO or pt2, with the information that a program needs in the file itself."""

import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from scapnet import __version__
from scapnet.export.graph import Kind, Pixels
from scapnet.exported import PT2_METADATA, needed
from scapnet.network import Network
from scapnet.serialization import to_dict


def metadata_of(model: Network, pixels: Pixels, kind: Kind, precision: str) -> dict[str, str]:
    """The metadata of the file; classes, view, threshold, parents and calibration are JSON."""
    calibration = None if model.calibration is None else to_dict(model.calibration)
    return {
        "classes": json.dumps(list(model.classes), ensure_ascii=False),
        "view": json.dumps(to_dict(model.view)),
        "threshold": json.dumps(model.threshold),
        "parents": json.dumps(list(model.parents), ensure_ascii=False),
        "calibration": json.dumps(calibration),
        "input": pixels,
        "pixels": kind,
        "precision": precision,
        "scapnet": __version__,
    }


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the exporters' own messages."""
    names = ("torch.onnx", "torch.export", "onnxscript", "onnx_ir", "root")
    loggers = [logging.getLogger(name) for name in names]
    before = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, before, strict=True):
                logger.setLevel(level)


def onnx_model(program: ExportedProgram, outputs: list[str], metadata: Mapping[str, str]) -> Any:
    """An `onnx.ModelProto`.

    Args:
        program: from `scapnet.export.graph.trace`.
        outputs: names of the outputs, in order.
        metadata: becomes ``metadata_props``.

    Raises:
        ValueError: the extra ``export`` is not installed.
    """
    for module in ("onnxscript", "onnx"):
        needed(module)
    with quiet():
        made = torch.onnx.export(program, dynamo=True, verbose=False, input_names=["image"], output_names=outputs)
    assert made is not None
    proto = made.model_proto
    _name_dimensions(proto)
    # For a vision transformer the exporter gives dimensions of different size one name, and ONNX Runtime shares memory
    # by these names; it infers the shapes itself.
    del proto.graph.value_info[:]
    for key, value in metadata.items():
        proto.metadata_props.add(key=key, value=value)
    return proto


def _name_dimensions(proto: Any) -> None:
    """Name the input's free dimensions batch, height and width, which the exporter only numbers."""
    shape = proto.graph.input[0].type.tensor_type.shape.dim
    names = {dim.dim_param: name for dim, name in zip(shape, ("batch", "", "height", "width"), strict=True)}
    for value in (*proto.graph.input, *proto.graph.output):
        for dim in value.type.tensor_type.shape.dim:
            if names.get(dim.dim_param):
                dim.dim_param = names[dim.dim_param]


def save_openvino(onnx_file: Path, path: Path, metadata: Mapping[str, str], half: bool) -> None:
    """Write an ONNX file as OpenVINO's ``.xml`` and the ``.bin`` of its weights.

    Args:
        onnx_file: the file to convert.
        path: the ``.xml`` file.
        metadata: becomes ``rt_info`` below "scapnet".
        half: store the weights as 16-bit floats.
    """
    openvino = needed("openvino")
    model = openvino.convert_model(onnx_file)
    for key, value in metadata.items():
        model.set_rt_info(value, ["scapnet", key])
    openvino.save_model(model, path, compress_to_fp16=half)


def save_pt2(program: ExportedProgram, path: Path, metadata: Mapping[str, str]) -> None:
    """Write a graph that `torch.export.load` reads, with the metadata as an extra file."""
    with quiet():
        torch.export.save(program, path, extra_files={PT2_METADATA: json.dumps(metadata)})
