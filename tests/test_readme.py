"""What the README and the lab's page say can be done: the code runs and the commands parse."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from scapnet import cli
from scapnet.experiments.reproduce import FIGURES
from scapnet.experiments.tables import TABLES

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
LAB = (Path(__file__).parents[1] / "docs" / "reproduce.md").read_text(encoding="utf-8")
COMMANDS = [line.split("#")[0].strip() for line in (README + LAB).splitlines() if line.startswith("scapnet ")]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_module_example_runs_in_ten_lines() -> None:
    (code,) = [block for block in blocks("python") if "GridGate" in block]
    names: dict[str, Any] = {}
    exec(code, names)
    assert names["gate"].fc1.weight.grad.abs().sum() > 0
    assert len([line for line in code.splitlines() if line and not line.startswith(("import", "from"))]) <= 10


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_parses(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []
    for function in ("train", "resume", "eval_", "predict", "show", "data_show", "reproduce"):
        original = getattr(cli, function)

        def stand_in(*_: object, name: str = function, **__: object) -> None:
            called.append(name)

        stand_in.__wrapped__ = original  # type: ignore[attr-defined]
        stand_in.__annotations__ = original.__annotations__
        stand_in.__name__ = original.__name__
        monkeypatch.setattr(cli, function, stand_in)
    cli.app().cli(args=shlex.split(command)[1:], config=cli.STYLE)
    assert len(called) == 1


def test_every_link_leads_somewhere() -> None:
    root = Path(__file__).parents[1]
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("http") or (root / target).exists(), target


def test_the_two_commands_are_what_ci_runs() -> None:
    assert "bash bin/demo" in README
    assert "bash bin/test" in README
    assert "bin/test" in (Path(__file__).parents[1] / ".ci" / "run").read_text(encoding="utf-8")


def test_the_documentation_names_everything_that_can_be_reproduced() -> None:
    named = set(re.findall(r"^\| ((?:table|fig)\d+) \|", LAB, re.MULTILINE))
    assert named == {*TABLES, *FIGURES}
