"""Exported graphs as engines of a predictor."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from samples import calibrated, make, painted
from scapnet.checkpoint import save_pretrained
from scapnet.config import ViewConfig
from scapnet.data.images import to_tensor
from scapnet.engine import SAME, WAYS, GraphEngine, auto_engine, chosen_way, exported_engine, file_engine
from scapnet.engine.cached import MOST, cached_file
from scapnet.engine.network import FoldedEngine
from scapnet.export.formats import metadata_of
from scapnet.export.graph import PixelNetwork
from scapnet.exported import ExportedGraph
from scapnet.model import SCAPNet
from scapnet.predictor import Predictor
from scapnet.processor import bf16_in_hardware, describe, flags
from scapnet.prototypes import prototypes_of


def graph_of(model: SCAPNet, kind: Any = "uint8", pixels: Any = "view") -> ExportedGraph:
    """What `open_graph` returns of an exported file, without the file."""
    network = PixelNetwork(model, pixels)

    def run(photos: Any) -> dict[str, Any]:
        assert photos.dtype == (np.uint8 if kind == "uint8" else np.float32)
        with torch.inference_mode():
            return {name: value.numpy() for name, value in network(torch.from_numpy(photos)).items()}

    metadata: Mapping[str, str] = metadata_of(model, pixels, kind, "fp32")
    return ExportedGraph(run, metadata)


@pytest.mark.parametrize("kind", ["uint8", "float"])
@pytest.mark.parametrize("view", [ViewConfig(64, 72, 96), ViewConfig(64, 72), ViewConfig(64, 64, fit="pad")])
def test_a_graph_answers_as_the_network(kind: str, view: ViewConfig) -> None:
    model = make()
    model.view, model.threshold = view, 0.25
    images = [to_tensor(painted(80 + i, 95, i)) for i in range(3)]
    for tta in (False, True):
        settings: dict[str, Any] = {"top": 4, "batch_size": 2, "tta": tta, "at_least": "auto", "features": True}
        expected = list(Predictor(model, **settings)(images))
        found = list(Predictor(GraphEngine(graph_of(model, kind)), **settings)(images))
        for one, other in zip(found, expected, strict=True):
            assert (one.names, one.answer, one.kept) == (other.names, other.answer, other.kept)
            assert one.probabilities == pytest.approx(other.probabilities, abs=1e-5)
            torch.testing.assert_close(one.features, other.features)
            for part, same in zip(one.parts, other.parts, strict=True):
                assert part.box == pytest.approx(same.box, abs=1e-3)
                assert (part.scale, part.name) == (same.scale, same.name)


@pytest.mark.parametrize("tta", [False, True])
def test_a_graph_of_whole_photos_answers_as_the_network(tta: bool) -> None:
    images = [to_tensor(painted(80 + i, 95, i)) for i in range(3)]
    settings: dict[str, Any] = {"top": 4, "batch_size": 2, "tta": tta}
    found = list(Predictor(GraphEngine(graph_of(make(), pixels="photo")), **settings)(images))
    close = 2e-3 if tta else 1e-5  # the crop of the mirrored photo may lie a pixel aside
    for one, other in zip(found, Predictor(make(), **settings)(images), strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=close)
        assert [part.box for part in one.parts] == [pytest.approx(part.box, abs=1e-3) for part in other.parts]


@pytest.mark.parametrize("pixels", ["view", "photo"])
def test_a_file_decides_as_its_model(pixels: str) -> None:
    model, images = calibrated(), [to_tensor(painted(80 + i, 95, i)) for i in range(6)]
    settings: dict[str, Any] = {"false_alarms": 0.5, "error_rate": 0.3}
    expected = list(Predictor(model, **settings)(images))
    assert len({one.known for one in expected}) > 2
    found = Predictor(GraphEngine(graph_of(model, pixels=pixels)), **settings)(images)
    for one, other in zip(found, expected, strict=True):
        assert (one.answer, one.known, one.among, one.parent) == (other.answer, other.known, other.among, other.parent)
    with pytest.raises(ValueError, match="this model was not calibrated"):
        Predictor(GraphEngine(graph_of(make(), pixels=pixels)), **settings)


def test_what_a_graph_cannot_do_is_refused() -> None:
    with pytest.raises(ValueError, match="runs on the processor"):
        exported_engine("onnx", Path("model"), "cuda")
    assert file_engine(Path("runs/photos")) is None


def test_a_model_is_exported_once(model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = list[Path]()

    def export(model: SCAPNet, out: Path, format: str, pixels: str) -> None:
        made.append(out)
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps([format, pixels]))

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("scapnet.export.export_model", export)
    monkeypatch.setattr("scapnet.engine.cached.open_graph", lambda path, half: graph_of(make()))
    for _ in range(2):
        predictor = Predictor.from_pretrained(model_folder, engine="onnx")
    assert predictor.classes == make().classes
    (file,) = made
    assert (file.parent, file.suffix) == (tmp_path / "scapnet" / "engines", ".onnx")
    assert json.loads(file.read_text()) == ["onnx", "view"]


def test_the_cache_keeps_the_graphs_that_were_used_last(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "scapnet" / "engines"
    cache.mkdir(parents=True)
    for age in range(MOST + 3):  # the older, the higher the number
        for suffix in (".xml", ".bin") if age % 2 else (".onnx",):
            file = cache / f"{age:02d}-0.1.0{suffix}"
            file.touch()
            os.utime(file, (1e9 - age, 1e9 - age))
    (cache / "notes.txt").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("scapnet.export.export_model", lambda model, out, *_, **__: out.touch())
    monkeypatch.setattr("scapnet.engine.cached.open_graph", lambda path, half: graph_of(make()))
    exported_engine("onnx", model_folder, None)
    new = cached_file(model_folder, ".onnx").stem
    expected = {new, "notes", *(f"{age:02d}-0.1.0" for age in range(MOST - 1))}
    assert {file.stem for file in cache.iterdir()} == expected
    for age in range(MOST - 1):  # a graph that is used again stays
        (cache / f"new-{age}.onnx").touch()
    os.utime(cache / f"{new}.onnx", (1e8, 1e8))
    exported_engine("onnx", model_folder, None)
    assert {file.stem for file in cache.glob("*.onnx")} == {new, *(f"new-{age}" for age in range(MOST - 1))}


@pytest.mark.parametrize(
    ("here", "bf16", "name", "half"),
    [
        ({"openvino", "onnxscript", "onnxruntime"}, True, "openvino", True),
        ({"openvino", "onnxscript", "onnxruntime"}, False, "onnx", False),
        ({"openvino", "onnxscript"}, False, "openvino", False),
        ({"onnxscript", "onnxruntime"}, True, "onnx", False),
        ({"openvino"}, False, "folded", False),
        (set(), True, "folded", False),
    ],
)
def test_auto_takes_what_is_here(
    here: set[str], bf16: bool, name: str, half: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scapnet.engine.find_spec", lambda module: module in here or None)
    monkeypatch.setattr("scapnet.engine.bf16_in_hardware", lambda: bf16)
    way = chosen_way("cpu")
    assert (way.name, way.half) == (name, half)
    assert ("bf16" in way.what) == half
    assert chosen_way("cpu", graphs=False) == WAYS[-1]


def test_auto_takes_no_way_that_changes_more_answers_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    worse = tuple(way._replace(same=SAME - 1e-4) if way.half else way for way in WAYS)
    monkeypatch.setattr("scapnet.engine.WAYS", worse)
    monkeypatch.setattr("scapnet.engine.find_spec", lambda module: True)
    monkeypatch.setattr("scapnet.engine.bf16_in_hardware", lambda: True)
    assert not chosen_way("cpu").half
    monkeypatch.setattr("scapnet.engine.WAYS", WAYS)
    assert chosen_way("cpu").half


def test_auto_names_its_choice_and_falls_back(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ValueError("this network cannot be exported")

    way = next(way for way in WAYS if way.name == "openvino" and not way.half)
    monkeypatch.setattr("scapnet.engine.chosen_way", lambda device, graphs: way)
    monkeypatch.setattr("scapnet.engine.exported_engine", refuse)
    assert isinstance(auto_engine(model_folder, "cpu"), FoldedEngine)
    assert capsys.readouterr().err.splitlines() == [
        "engine: OpenVINO",
        "engine: PyTorch with batch norm folded into the convolutions instead (this network cannot be exported)",
    ]
    skipping = Predictor.from_pretrained(model_folder, engine="auto", device="cpu", parts_for="none")
    assert isinstance(skipping.engine, FoldedEngine)
    (one,) = skipping([painted(60, 60)])
    assert one.parts == ()


def test_int8_needs_the_photos_of_a_run(model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(ValueError, match="give the run folder, or write a file"):
        Predictor.from_pretrained(model_folder, engine="int8")


def test_a_graph_knows_what_its_model_folder_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("scapnet.engine.cached.open_graph", lambda path, half: graph_of(make()))
    monkeypatch.setattr("scapnet.export.export_model", lambda *_, **__: None)
    model = make()
    model.parents, model.prototypes = ("a", "a", "b", "b"), prototypes_of(torch.eye(8), torch.arange(8) % 4, 4)
    engine = exported_engine("onnx", save_pretrained(model, tmp_path / "model"), None)
    assert isinstance(engine, GraphEngine)
    assert engine.parents == model.parents
    assert engine.prototypes is not None
    assert engine.prototypes.means.shape == (4, 8)


def test_the_processor_is_described() -> None:
    assert describe().partition(":")[0]
    assert bf16_in_hardware() == any(name in flags() for name in ("amx_bf16", "avx512_bf16", "bf16"))
