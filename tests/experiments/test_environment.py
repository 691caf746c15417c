"""The commit of a record is the package's own."""

import subprocess
from pathlib import Path

import pytest
import torch

from scapnet import __version__
from scapnet.experiments import environment
from scapnet.experiments.environment import present_commit


def test_the_commit_is_that_of_the_packages_own_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*words: str) -> None:
        author = ("-c", "user.name=a", "-c", "user.email=a@b.example")
        subprocess.run(["git", *author, *words], cwd=tmp_path, check=True, capture_output=True)

    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    package = tmp_path / "src" / "scapnet"
    package.mkdir(parents=True)
    monkeypatch.setattr(environment, "PACKAGE", package)
    (package / "__init__.py").write_text("")
    (package / "model.py").write_text("")
    assert present_commit() == f"scapnet {__version__}"
    git("init", "-q")
    (tmp_path / "other.txt").write_text("")
    git("add", "other.txt")
    git("commit", "-qm", "another project's repository, with the package installed below it")
    assert present_commit() == f"scapnet {__version__}"
    git("add", ".")
    git("commit", "-qm", "the package's own")
    clean = present_commit()
    assert len(clean) >= 7
    assert not clean.endswith("+")
    (tmp_path / "other.txt").write_text("results are no code")
    assert present_commit() == clean
    (package / "model.py").write_text("changed = True")
    assert present_commit() == clean + "+"
    monkeypatch.setenv("PATH", "")
    assert present_commit() == f"scapnet {__version__}"


def test_what_a_reader_needs_to_repeat_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    found = environment.environment("type this", "abc, def")
    assert (found["command"], found["commit"], found["torch"]) == ("type this", "abc, def", torch.__version__)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    monkeypatch.setattr(environment, "present_commit", lambda: "now")
    found = environment.environment("c")
    assert (found["hardware"], found["commit"]) == ("a GPU", "now")
