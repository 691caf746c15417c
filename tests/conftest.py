"""Fixtures of all tests, and one thread for each process: several share the cores.

Fixtures import what they need, because the process that hands the tests out reads this file and needs nothing of it.
"""

import gc
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is loaded; subprocesses inherit it

from scapnet import cli

if TYPE_CHECKING:
    from scapnet.data.sample import Sample
    from scapnet.data.synthetic.finches import Finches

# Containers often forbid compiled files, but here many processes load the same ones.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., str]:
    """Run the command line in an empty folder, which must refuse and write nothing; what it said."""

    def run(*arguments: object) -> str:
        work = tmp_path / "work"
        work.mkdir(exist_ok=True)
        monkeypatch.chdir(work)
        monkeypatch.setattr(sys, "argv", ["scapnet", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        written = capsys.readouterr()
        assert stop.value.code == 2
        assert "Traceback" not in written.err
        assert list(work.iterdir()) == []
        # The layout of the data may be shown before something else is found to be wrong.
        assert all(re.match(r"\d+ classes \(|test: |val: ", line) for line in written.out.splitlines())
        return written.err

    return run


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[str, str]]:
    """Run the command line in this process; what it wrote on stdout and stderr."""

    def run(*arguments: object) -> tuple[str, str]:
        monkeypatch.setattr(sys, "argv", ["scapnet", *map(str, arguments)])
        cli.main()
        written = capsys.readouterr()
        return written.out, written.err

    return run


@pytest.fixture(scope="session", autouse=True)
def drawn_once() -> Iterator["Callable[[Finches, int], Sample]"]:
    """Drawing takes a third of a small run, so a picture is drawn once for all tests; gives the function that draws."""
    from scapnet.data.synthetic.finches import Finches

    draw, drawn = Finches.__getitem__, dict[tuple[object, ...], "Sample"]()

    def remembered(data: Finches, index: int) -> "Sample":
        settings = data.split, data.size, data.seed, data.family, data.mark_scale, data.hide, data.bird_scale
        key = (*settings, data.codes, data.mark_names, len(data), index)
        if key not in drawn:
            drawn[key] = draw(data, index)
        return drawn[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Finches, "__getitem__", remembered)
        yield draw


@pytest.fixture(scope="session", autouse=True)
def collected_later() -> Iterator[None]:
    """Accelerate collects garbage before each stage of a run, which takes longer than a small stage."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("accelerate.utils.memory.clear_device_cache", lambda garbage_collection=False: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def few_pictures() -> Iterator[None]:
    """A finished run shows the parts of two photos instead of eight, whose picture takes a fifth of a small run."""
    from scapnet.training.finish import draw

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(draw, "__defaults__", (2,))
        yield


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network that was never trained, saved."""
    from samples import make
    from scapnet.checkpoint import save_pretrained

    return save_pretrained(make(), tmp_path_factory.mktemp("model") / "model")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The runs of two processes come first, so that they do not hold up the end, when the other tests are done."""
    items.sort(key=lambda item: "test_processes.py" not in item.nodeid)


def pytest_collection_finish() -> None:
    """Imported modules stay to the end, so garbage collections, of which runs make several, can pass them over.

    The others, which are a tenth of what a small run takes, come less often.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
