"""A few cases of each kind of `benchmarks/fuzz.py`, in this process."""

import importlib.util
import os
from pathlib import Path
from typing import Any

import pytest

PATH = Path(__file__).parents[1] / "benchmarks" / "fuzz.py"


@pytest.fixture(scope="module")
def fuzz() -> Any:
    spec = importlib.util.spec_from_file_location("fuzz", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("images", 40),
        ("tables", 20),
        ("lists", 20),
        ("config.json", 8),
        ("safetensors", 8),
        ("pth", 20),
        ("archives", 20),
    ],
)
def test_damaged_files_are_read_or_refused(
    fuzz: Any, name: str, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, run = fuzz.KINDS[name], list[str]()
    monkeypatch.setattr(os, "system", run.append)
    for number in range(count):
        folder = tmp_path / f"{name}-test-{number}"
        folder.mkdir()
        kind.build(folder)
        how = kind.harm(folder, fuzz.Rng(f"{name} test {number}"))
        before = fuzz.contents(folder)
        outcome, detail = fuzz.outcome_of(kind.work, folder)
        assert outcome in ("read", "refused"), f"{number}, {how}: {detail}"
        assert "\n" not in detail
        assert before == {path: content for path, content in fuzz.contents(folder).items() if path in before}
    assert not run
