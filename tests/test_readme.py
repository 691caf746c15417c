"""What the README and the pages of `docs` say can be done: code runs, commands parse, links and names exist."""

import re
import shlex
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import tyro

from samples import TINY, photo
from scapnet import cli
from scapnet.build import build_model
from scapnet.checkpoint import save_pretrained
from scapnet.cli.train import PresetConfig
from scapnet.config import Config, ViewConfig
from scapnet.experiments.reproduce import FIGURES
from scapnet.experiments.rows import changed
from scapnet.experiments.tables import TABLES
from scapnet.presets import paper

ROOT = Path(__file__).parents[1]
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
}
CURRENT = {name: text for name, text in PAGES.items() if name != "docs/lab-notebook.md"}  # which keeps old spellings
NEEDS_A_SERVER = ("docs/download.md",)
README, LAB, CODE = (PAGES[name] for name in ("README.md", "docs/reproduce.md", "docs/paper-to-code.md"))
COMMANDS = sorted(
    {line for text in CURRENT.values() for line in re.findall(r"^scapnet [^#\n]*[^#\s]", text, re.MULTILINE)}
)
COMMAND_FUNCTIONS = ["train", "resume", "eval_", "predict", "show", "explain", "export", "serve", "report"]
COMMAND_FUNCTIONS += ["merge", "probe", "bench", "reproduce", "data_show", "data_check"]


def blocks(text: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


@pytest.mark.parametrize("page", [name for name, text in PAGES.items() if blocks(text) and name not in NEEDS_A_SERVER])
def test_code_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One block after the other, in a folder with a trained run and a photo."""
    model = build_model(TINY.model, 3, 64)
    model.view, model.classes = ViewConfig(64, 72), ("crow", "jay", "rook")
    save_pretrained(model, tmp_path / "runs" / "photos" / "model")
    photo(tmp_path / "photo.jpg", side=80)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": page}
    for code in blocks(PAGES[page]):
        exec(code, names)


def test_the_module_of_the_readme_trains_in_ten_lines() -> None:
    (code,) = [block for block in blocks(README) if "GridGate" in block]
    names: dict[str, Any] = {}
    exec(code, names)
    assert names["gate"].fc1.weight.grad.abs().sum() > 0
    assert len([line for line in code.splitlines() if line and not line.startswith(("import", "from"))]) <= 10


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_parses(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []
    for function in COMMAND_FUNCTIONS:
        original = getattr(cli, function)

        def stand_in(*_: object, name: str = function, **__: object) -> None:
            called.append(name)

        stand_in.__wrapped__ = original  # type: ignore[attr-defined]
        stand_in.__annotations__ = original.__annotations__
        stand_in.__name__ = original.__name__
        monkeypatch.setattr(cli, function, stand_in)
    arguments = shlex.split(command.replace("name NAME", "name cub"))[1:]
    cli.app().cli(args=arguments, config=cli.STYLE)
    assert len(called) == 1


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    found = re.findall(r"\]\(([^)#]+)\)", PAGES[page]) + re.findall(r'src="([^"]+)"', PAGES[page])
    for target in found:
        assert target.startswith("http") or (ROOT / page).parent.joinpath(target).exists(), target


def test_the_two_commands_are_what_ci_runs() -> None:
    assert "bash bin/demo" in README
    assert "bash bin/test" in README
    assert "bin/test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 115


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, waiting = set[Path](), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        links = re.findall(r"\]\(([^)#]+\.md)\)", page.read_text(encoding="utf-8"))
        found = {(page.parent / link).resolve() for link in links if not link.startswith("http")}
        waiting += found - reached - set(waiting)
    assert {ROOT / name for name in PAGES} <= reached


def test_the_documentation_names_everything_that_can_be_reproduced() -> None:
    named = set(re.findall(r"^\| ((?:table|fig)\d+|frontier) \|", LAB, re.MULTILINE))
    assert named == {*TABLES, *FIGURES, "frontier"}


def resolve(name: str) -> object:
    """What a dotted name below `scapnet` stands for."""
    module, *rest = name.split(".")
    found: object = import_module(f"scapnet.{module}")
    for part in rest:
        path = getattr(found, "__name__", "")
        found = getattr(found, part) if hasattr(found, part) else import_module(f"{path}.{part}")
    return found


def test_the_names_of_code_are_there() -> None:
    names = re.findall(r"`((?:modules|losses|model|training|presets|baselines|backbones)\.[\w.]+)`", CODE)
    assert len(set(names)) > 25
    for name in names:
        assert resolve(name) is not None, name


def settings(section: str) -> Mapping[str, Config]:
    """The config of each row of a table of settings, as changes of the preset paper."""
    text = CODE.split(f"\n## {section}", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| ([^|]+) \| (?:`([^`|]*)`)? ?\|", text, re.MULTILINE)
    kind: Any = PresetConfig
    return {
        name: tyro.cli(kind, args=["paper", *shlex.split(flags)], config=cli.STYLE)
        for name, flags in rows
        if name not in ("row", "---")
    }


@pytest.mark.parametrize(
    ("section", "table", "renamed", "count"),
    [
        ("Table IV", TABLES["table4"], {"ResNet-50": "backbone"}, 8),
        ("Table X", TABLES["table10"], {"GCN-based": "graph convolution"}, 6),
        ("Other papers' networks", TABLES["table3"], {}, 4),
    ],
    ids=["IV", "X", "III"],
)
def test_the_settings_of_a_row_are_those_that_reproduce_uses(
    section: str, table: Any, renamed: dict[str, str], count: int
) -> None:
    rows = {row.label.lower(): row for row in table.rows}
    found = settings(section)
    assert len(found) == count
    for name, config in found.items():
        changes = {
            key: value for key, value in rows[renamed.get(name, name).lower()].changes.items() if key != "loss.sub"
        }
        assert config == changed(paper(), changes), name
