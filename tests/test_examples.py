"""Every program of `examples` runs, with tiny networks, and stays short."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

import scapnet
from samples import Command, own_photos, painted, photos

EXAMPLES = Path(__file__).parents[1] / "examples"
PROGRAMS = sorted(path.name for path in EXAMPLES.glob("*.py"))


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", PROGRAMS)
def test_it_is_short(name: str) -> None:
    assert len((EXAMPLES / name).read_text(encoding="utf-8").splitlines()) <= 60


@pytest.mark.parametrize("name", PROGRAMS)
def test_it_is_listed_and_tested(name: str) -> None:
    page = (EXAMPLES.parent / "docs" / "examples.md").read_text(encoding="utf-8")
    assert f"(../examples/{name})" in page
    tests = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.rglob("test_*.py"))
    assert name.removesuffix(".py") in tests


def test_gate_in_resnet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    photos(tmp_path, "abcabcab", set())
    load("gate_in_resnet").main([str(tmp_path), "--arch", "resnet18", "--size", "64", "--epochs", "2"])
    assert re.findall(r"kept (\d+)% of the grid", capsys.readouterr().out)[0] != "0"


def test_relation_on_boxes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    painted(60, 80).save(tmp_path / "photo.png")
    weights = load("relation_on_boxes").main(str(tmp_path / "photo.png"), "0,0,40,40", "30,10,70,50", "60,20,80,40")
    assert weights.shape == (3, 3)
    torch.testing.assert_close(weights.sum(1), torch.ones(3))


def test_parts_as_proposals(tmp_path: Path, model_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [str(tmp_path / name) for name in ("a.png", "b.png")]
    for name in names:
        painted(60, 80).save(name)
    load("parts_as_proposals").main(str(model_folder), *names)
    found = json.loads(capsys.readouterr().out)
    assert {window["image_id"] for window in found} == set(names)
    for window in found:
        left, top, width, height = window["bbox"]
        assert left >= -0.01
        assert top >= -0.01
        assert left + width <= 80.01
        assert top + height <= 60.01
        assert 0 < window["score"] < 1


def test_lightning_module(tmp_path: Path) -> None:
    pytest.importorskip("lightning")
    config = own_photos(tmp_path / "photos", epochs=1, stage1_epochs=0)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    out = load("lightning_module").main(
        config, tmp_path / "model", max_epochs=1, accelerator="cpu", enable_checkpointing=False, **quiet
    )
    answer = scapnet.predict_photo(scapnet.from_pretrained(out), next((tmp_path / "photos").rglob("*.jpg")))
    assert answer.answer in ("a", "b", "c")


def test_convnext(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load("convnext").main("test_convnext", "none", str(tmp_path / "model"), 128, 32)
    plain, full = map(float, re.findall(r"([\d.]+) GMACs", capsys.readouterr().out))
    assert 0 <= plain <= full
    assert scapnet.from_pretrained(tmp_path / "model").classes == ("crow", "jay", "rook")


def test_own_dataset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos(tmp_path / "photos", "abcabcab", set())
    load("own_dataset").main(str(tmp_path / "photos"), str(tmp_path / "model"), "test_resnet", "none", 128, 4)
    assert capsys.readouterr().out.count("loss") == 4
    answer = scapnet.predict_photo(scapnet.from_pretrained(tmp_path / "model"), tmp_path / "photos" / "a" / "0.jpg")
    assert set(answer.names) == {"a", "b", "c"}
    assert len(answer.parts) == 6


def test_the_notebook_has_no_outputs() -> None:
    cells = json.loads((EXAMPLES / "tour.ipynb").read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in code)


def test_the_notebook_runs(tmp_path: Path) -> None:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    text = (EXAMPLES / "tour.ipynb").read_text(encoding="utf-8")
    small = text.replace("EPOCHS, TRAIN, TEST = 14, 2000, 1000", "EPOCHS, TRAIN, TEST = 1, 32, 8")
    assert small != text
    notebook = nbformat.reads(small, as_version=4)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert "image/png" in str(notebook.cells[3].outputs)
    assert "scale 3" in str(notebook.cells)


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed: pip install 'ray[data]'")
def test_ray_predict(tmp_path: Path, model_folder: Path, command: Command) -> None:
    (tmp_path / "photos").mkdir()
    for i in range(5):
        painted(50, 60, i).save(tmp_path / "photos" / f"{i}.png")
    (tmp_path / "photos" / "2b.png").write_bytes(b"no photo")
    command("predict", model_folder, tmp_path / "photos", "--batch-size", 1, "--out", tmp_path / "one.json")
    words = [model_folder, tmp_path / "photos", tmp_path / "two.json", "--batch-size", "1", "--workers", "2"]
    program = [sys.executable, str(EXAMPLES / "ray_predict.py"), *map(str, words)]
    place = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"} | {"RAY_USAGE_STATS_ENABLED": "0"}
    done = subprocess.run(program, env=place, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "5 of 6 photos answered by 2 workers" in done.stdout
    assert (tmp_path / "two.json").read_bytes() == (tmp_path / "one.json").read_bytes()
