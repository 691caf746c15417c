"""Exported files: their answers, what they say of themselves, fewer bits, and a program without PyTorch."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from samples import NAMES, Refuse, calibrated, finches, make
from scapnet.data.images import to_photo
from scapnet.engine import TorchEngine
from scapnet.export import check, export_model
from scapnet.export.check import Agreement
from scapnet.export.formats import save_openvino
from scapnet.export.precision import half_nodes, inner_convolutions, to_half, to_int8
from scapnet.exported import ExportedGraph, open_graph
from scapnet.metrics.unknowns import evidence, known_score
from scapnet.model import SCAPNet
from scapnet.predict import predict_images, run_views, view_of
from scapnet.prediction import Prediction

EXAMPLE = Path(__file__).parents[2] / "examples" / "onnx_predict.py"
NO_TORCH = """
import runpy, sys
sys.modules["torch"] = sys.modules["torchvision"] = sys.modules["scapnet"] = None  # importing them fails
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture(scope="module")
def model() -> SCAPNet:
    return make()


@pytest.fixture(scope="module")
def birds() -> list[torch.Tensor]:
    """Two drawn birds, and pieces of them in other shapes."""
    first, second = (bird.image for bird in finches(2))
    return [first, second, first[:, 20:], second[:, :, :50]]


def agree(found: dict[str, Any], expected: Prediction, row: int, close: float = 1e-4) -> None:
    values = dict(zip(expected.names, expected.probabilities, strict=True))
    assert NAMES[found["probabilities"][row].argmax()] == expected.names[0]
    np.testing.assert_allclose(found["probabilities"][row], [values[name] for name in NAMES], atol=close)
    np.testing.assert_allclose(found["boxes"][row], [part.box for part in expected.parts], atol=0.01)


def test_photos_of_every_size_and_batches_of_one_size(
    onnx_file: Path, model: SCAPNet, birds: list[torch.Tensor]
) -> None:
    graph = open_graph(onnx_file)
    expected = predict_images(model, birds, ["a"] * 4, top=4)
    for bird, answer in zip(birds, expected, strict=True):
        agree(graph.run(bird[None].numpy()), answer, 0)
    batch = graph.run(torch.stack([birds[0], birds[1], birds[0]]).numpy())
    for row, answer in enumerate((expected[0], expected[1], expected[0])):
        agree(batch, answer, row)


def test_the_file_knows_which_photos_look_familiar(onnx_file: Path, birds: list[torch.Tensor]) -> None:
    model, graph = calibrated(), open_graph(onnx_file)
    assert (graph.calibration, graph.parents) == (model.calibration, model.parents)
    assert model.calibration is not None
    for bird in birds:
        said = run_views(TorchEngine(model), [view_of(bird, "", model.view)], [0])
        seen = evidence(said.probs, said.part_logits, said.features, model.prototypes)
        expected = known_score(seen, model.calibration.weights)
        np.testing.assert_allclose(graph.run(bird[None].numpy())["known"], expected.numpy(), rtol=1e-3, atol=1e-2)


def test_the_file_says_what_it_is(onnx_file: Path, model: SCAPNet) -> None:
    graph = open_graph(onnx_file)
    assert (graph.classes, graph.view, graph.threshold) == (NAMES, model.view, None)
    assert graph.metadata["input"] == "photo"
    onnx = pytest.importorskip("onnx")
    proto = onnx.load(onnx_file)
    (image,) = proto.graph.input
    assert [dim.dim_param or dim.dim_value for dim in image.type.tensor_type.shape.dim] == [
        "batch",
        3,
        "height",
        "width",
    ]


def test_openvino_gives_the_same_answers(
    onnx_file: Path, tmp_path: Path, model: SCAPNet, birds: list[torch.Tensor]
) -> None:
    pytest.importorskip("openvino", reason="needs the extra: pip install scapnet[export]")
    metadata = dict(open_graph(onnx_file).metadata)
    save_openvino(onnx_file, tmp_path / "m.xml", metadata, half=False)
    graph = open_graph(tmp_path / "m.xml")
    assert dict(graph.metadata) == metadata
    for bird, answer in zip(birds[:3], predict_images(model, birds[:3], ["a"] * 3, top=4), strict=True):
        agree(graph.run(bird[None].numpy()), answer, 0)


def test_pt2_takes_views_as_floats(tmp_path: Path, model: SCAPNet, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = list[ExportedGraph]()

    def opening(path: Path) -> ExportedGraph:
        opened.append(open_graph(path))
        return opened[-1]

    monkeypatch.setattr(check, "open_graph", opening)  # which takes 3 s, so that the comparison's graph is kept
    assert export_model(model, tmp_path / "m.pt2", pixels="view", kind="float").equal
    assert (tmp_path / "m.pt2").is_file()
    (graph,) = opened
    assert graph.classes == NAMES
    views = torch.rand(3, 3, 96, 96)
    found = graph.run(views.numpy())
    assert found["probabilities"].shape == (3, 4)
    np.testing.assert_allclose(graph.run(views[1:2].numpy())["probabilities"], found["probabilities"][1:2], atol=1e-6)


def test_half_precision_changes_the_backbones_alone(
    onnx_file: Path, tmp_path: Path, model: SCAPNet, birds: list[torch.Tensor]
) -> None:
    onnx = pytest.importorskip("onnx")
    proto = onnx.load(onnx_file)
    kinds = {node.op_type for node in proto.graph.node if node.name in half_nodes(proto)}
    assert {"Conv", "Relu"} <= kinds
    assert not kinds & {"MatMul", "RoiAlign", "TopK", "Gemm"}
    onnx.save(to_half(proto), tmp_path / "half.onnx")
    assert (tmp_path / "half.onnx").stat().st_size < 0.7 * onnx_file.stat().st_size
    (answer,) = predict_images(model, birds[:1], ["a"], top=4)
    agree(open_graph(tmp_path / "half.onnx").run(birds[0][None].numpy()), answer, 0, 0.01)


def test_int8_is_calibrated_on_photos(
    onnx_file: Path, tmp_path: Path, model: SCAPNet, birds: list[torch.Tensor]
) -> None:
    onnx = pytest.importorskip("onnx")
    to_int8(onnx.load(onnx_file), (bird[None].numpy() for bird in birds), tmp_path / "small.onnx")
    assert (tmp_path / "small.onnx").stat().st_size < 0.5 * onnx_file.stat().st_size
    small = onnx.load(tmp_path / "small.onnx").graph
    weights = [onnx.numpy_helper.to_array(one) for one in small.initializer if len(one.dims) == 4]
    whole = [one for one in weights if one.dtype == np.int8]
    assert len(whole) > 10
    # Two products of a weight and an input have room in 16 bits, which is what processors without VNNI add them in.
    assert all(2 * 255 * abs(one.astype(int)).max() < 2**15 for one in whole)
    graph = open_graph(tmp_path / "small.onnx")
    assert graph.classes == NAMES
    (answer,) = predict_images(model, birds[:1], ["a"], top=4)
    agree(graph.run(birds[0][None].numpy()), answer, 0, 0.1)


def test_the_example_predicts_without_torch(onnx_file: Path, tmp_path: Path, birds: list[torch.Tensor]) -> None:
    to_photo(birds[2]).save(tmp_path / "bird.png")
    assert len(EXAMPLE.read_text().splitlines()) <= 40
    done = subprocess.run(
        [sys.executable, "-c", NO_TORCH, str(EXAMPLE), str(onnx_file), str(tmp_path / "bird.png")],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    (answer,) = predict_images(make(), [birds[2]], ["a"], top=4)
    lines = done.stdout.splitlines()
    assert lines[0] == str(tmp_path / "bird.png")
    assert lines[1:5] == [f"  {p:6.1%}  {name}" for name, p in zip(answer.names, answer.probabilities, strict=True)]
    boxes = [json.loads(line.rpartition(" at ")[2]) for line in lines[5:]]
    np.testing.assert_allclose(boxes, [part.box for part in answer.parts], atol=0.51)


def test_what_is_equal() -> None:
    whole = Agreement(10, 0.5, 0.5, 1.0, 1e-5, 0.0)
    assert whole.equal
    for change in ({"same": 0.9}, {"apart": 2e-4}, {"moved": 0.1}):
        assert not Agreement(**{**whole._asdict(), **change}).equal
    assert "accuracy 50.0% in PyTorch and 40.0% exported" in str(whole._replace(exported=0.4))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--out", "m.onx"], "m.onx must end in .onnx, .xml or .pt2"),
        (["--out", "m.onnx", "--format", "pt2"], "m.onnx must end in .pt2"),
        (["--out", "m.pt2", "--precision", "fp16"], "pt2 files are written in fp32; for fp16 choose the format onnx"),
        (["--out", "m.onnx", "--precision", "int8"], "int8 is calibrated on photos, and there are none"),
        (["--out", "m.onnx", "--photos", "gone"], "gone"),
    ],
)
def test_what_cannot_be_is_refused_first(
    refuse: Refuse, model_folder: Path, arguments: list[str], expected: str
) -> None:
    assert expected in refuse("export", model_folder, *arguments)


def test_files_of_others_are_refused(tmp_path: Path, onnx_file: Path) -> None:
    onnx = pytest.importorskip("onnx")
    proto = onnx.load(onnx_file)
    del proto.metadata_props[:]
    onnx.save(proto, tmp_path / "other.onnx")
    (tmp_path / "broken.onnx").write_bytes(b"no graph")
    for name, expected in (
        ("other.onnx", "was not written by scapnet export"),
        ("broken.onnx", "cannot be opened"),
        ("gone.onnx", "there is no file"),
        ("m.tflite", "is not an exported model"),
    ):
        with pytest.raises(ValueError, match=expected):
            open_graph(tmp_path / name)


def test_int8_leaves_pixels_and_outputs_of_convolutions_as_they_are(onnx_file: Path) -> None:
    onnx = pytest.importorskip("onnx")
    proto = onnx.load(onnx_file)
    inner, shapes = inner_convolutions(proto), {one.name: list(one.dims) for one in proto.graph.initializer}
    left = [node for node in proto.graph.node if node.op_type == "Conv" and node.name not in inner]
    assert [shapes[node.input[1]][1] for node in left] == [3, 3]  # the first of each backbone
    assert len(inner) > 10
