"""Graphs that look at the parts only where the main branch is unsure."""

import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from samples import calibrated, finches
from scapnet.engine import TorchEngine
from scapnet.engine.graph import GraphEngine
from scapnet.export import export_model, without_parts
from scapnet.export.skipping import skip_where_sure
from scapnet.exported import open_graph
from scapnet.predict import run_views, view_of

EXAMPLE = Path(__file__).parents[2] / "examples" / "onnx_predict.py"


@pytest.fixture(scope="module")
def birds() -> list[torch.Tensor]:
    return [bird.image for bird in finches(8)]


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_answers_are_those_of_the_network(
    share: float, onnx_file: Path, tmp_path: Path, birds: list[torch.Tensor], capsys: pytest.CaptureFixture[str]
) -> None:
    onnx, model = pytest.importorskip("onnx"), calibrated()
    views = [view_of(bird, "", model.view) for bird in birds]
    first = run_views(TorchEngine(model, "none"), views, range(8)).probs.amax(1)
    sure = {0.0: 0.01, 0.5: float(first.sort().values[3:5].mean()), 1.0: 1.0}[share]
    proto = onnx.load(onnx_file)
    skip_where_sure(proto, sure)
    onnx.checker.check_model(proto)
    onnx.save(proto, tmp_path / "m.onnx")
    graph = open_graph(tmp_path / "m.onnx")
    expected = run_views(TorchEngine(model, sure), views, range(8))
    assert expected.looked is not None
    assert float(expected.looked.double().mean()) == share
    found = graph.run(torch.stack(birds).numpy())
    assert found["looked"].tolist() == expected.looked.tolist()
    np.testing.assert_allclose(found["probabilities"], expected.probs.numpy(), atol=1e-5)
    assert (np.isnan(found["boxes"]).all((1, 2)) == ~found["looked"]).all()
    assert "known" not in found
    for i in (0, 3):  # alone, a photo takes the branch that it needs
        one = graph.run(birds[i][None].numpy())
        assert one["looked"].tolist() == [bool(expected.looked[i])]
        for key, value in one.items():
            np.testing.assert_allclose(value[0], found[key][i], atol=1e-4, err_msg=key)
    predict = runpy.run_path(str(EXAMPLE))["predict"]
    for i in (0, 3):
        Image.fromarray(birds[i].permute(1, 2, 0).numpy()).save(tmp_path / "x.png")
        predict(pytest.importorskip("onnxruntime").InferenceSession(tmp_path / "m.onnx"), str(tmp_path / "x.png"))
        assert ("part of scale" in capsys.readouterr().out) == bool(expected.looked[i])
    said = GraphEngine(graph)._photos(birds[:2])
    assert said.looked is not None
    assert said.looked.tolist() == expected.looked[:2].tolist()


def test_a_network_runs_its_main_branch_alone_for_a_while(birds: list[torch.Tensor]) -> None:
    model = calibrated()
    views = [view_of(bird, "", model.view) for bird in birds[:2]]
    with without_parts(model):
        said = run_views(TorchEngine(model), views, range(2))
    assert said.boxes is None
    assert torch.equal(said.probs, run_views(TorchEngine(model, "none"), views, range(2)).probs)
    assert run_views(TorchEngine(model), views, range(2)).boxes is not None


def test_formats_without_a_branch_refuse(tmp_path: Path) -> None:
    for suffix, module in ((".pt2", "torch"), (".xml", "openvino")):
        pytest.importorskip(module)
        with pytest.raises(ValueError, match="cannot skip parts for some photos; choose the format onnx"):
            export_model(calibrated(), tmp_path / f"m{suffix}", parts_for=0.9)
    with pytest.raises(ValueError, match="no threshold for skipping the parts"):
        export_model(calibrated(), tmp_path / "m.onnx", parts_for="unsure")
    assert list(tmp_path.iterdir()) == []
