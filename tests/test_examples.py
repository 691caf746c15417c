"""Every program of `examples` runs, with tiny networks, and stays short."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
import torch

from samples import painted, photos

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
