"""The process of one run: what it does with a folder, what it says when it fails, and when it ends."""

import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock, Timeout

from scapnet.config import Config
from scapnet.experiments import worker
from scapnet.experiments.worker import train_or_resume
from scapnet.jsonfile import write_json
from scapnet.serialization import to_dict
from toy_runs import BASE, finished, guesses

Started = list[tuple[str, Path]]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    """Which runs were trained or resumed; nothing is."""
    calls: Started = []

    def train(_: Config, folder: Path) -> Path:
        calls.append(("train", folder))
        return folder

    def resume(folder: Path) -> Path:
        calls.append(("resume", folder))
        return folder

    monkeypatch.setattr(worker, "train", train)
    monkeypatch.setattr(worker, "resume", resume)
    return calls


@pytest.mark.parametrize("left", ["nothing", "an empty folder", "a draft"])
def test_a_run_that_never_began_is_trained(started: Started, tmp_path: Path, left: str) -> None:
    folder = tmp_path / "run"
    if left != "nothing":
        folder.mkdir()
    if left == "a draft":
        (folder / ".config.json.77.draft").write_text("{")
    train_or_resume(folder, BASE)
    assert started == [("train", folder)]
    assert not folder.exists()  # training makes it


def test_a_run_that_was_stopped_is_resumed(started: Started, tmp_path: Path) -> None:
    write_json(tmp_path / "config.json", to_dict(BASE))
    train_or_resume(tmp_path, BASE)
    assert started == [("resume", tmp_path)]


def test_a_finished_run_is_left_as_it_is(started: Started, tmp_path: Path) -> None:
    finished(tmp_path, BASE, guesses(0))
    moved = replace(BASE, data=replace(BASE.data, workers=1, root=Path("x")))
    assert train_or_resume(tmp_path, moved) == tmp_path
    assert started == []


def test_a_run_with_other_settings_is_refused(started: Started, tmp_path: Path) -> None:
    finished(tmp_path, BASE, guesses(0))
    other = replace(BASE, train=replace(BASE.train, lr=0.5))
    with pytest.raises(ValueError, match="other settings; move it away, or choose another --runs folder"):
        train_or_resume(tmp_path, other)
    assert started == []


def test_a_folder_of_something_else_is_not_removed(started: Started, tmp_path: Path) -> None:
    (tmp_path / "mine.jpg").write_text("")
    with pytest.raises(OSError, match="not empty"):
        train_or_resume(tmp_path, BASE)
    assert (tmp_path / "mine.jpg").exists()


@pytest.fixture
def main(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., object]], None]:
    """Run the process's main function with a stand-in for training."""
    monkeypatch.setattr(worker, "_end_with_parent", lambda: None)
    write_json(tmp_path / "a.5-0.json", to_dict(BASE))
    monkeypatch.setattr(sys, "argv", ["worker", str(tmp_path / "a.5-0"), str(tmp_path / "a.5-0.json")])

    def run(work: Callable[..., object]) -> None:
        monkeypatch.setattr(worker, "train_or_resume", work)
        worker.main()

    return run


@pytest.mark.parametrize(("message", "last"), [("a\nthe sentence", "the sentence"), ("", "ValueError")])
def test_the_last_line_says_why_it_failed(
    main: Callable[..., None], capsys: pytest.CaptureFixture[str], message: str, last: str
) -> None:
    def fail(*_: object) -> None:
        raise ValueError(message)

    with pytest.raises(SystemExit) as stop:
        main(fail)
    assert stop.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1] == last


def test_two_processes_do_not_work_in_one_folder(main: Callable[..., None], tmp_path: Path) -> None:
    held: list[Config] = []

    def look(folder: Path, config: Config) -> None:
        assert folder == tmp_path / "a.5-0"
        with pytest.raises(Timeout):
            FileLock(tmp_path / "a.5-0.lock", timeout=0).acquire()
        held.append(config)

    main(look)
    assert held == [BASE]


def test_a_worker_ends_with_its_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = os.pipe()
    monkeypatch.setattr(sys, "argv", ["worker", str(tmp_path / "run"), str(tmp_path / "c.json")])
    write_json(tmp_path / "c.json", to_dict(BASE))
    child = os.fork()
    if not child:
        try:
            os.dup2(ours, 0)
            os.close(theirs)  # the parent alone holds the end that is written to
            monkeypatch.setattr(worker, "train_or_resume", lambda *_: time.sleep(600))
            worker.main()
        finally:
            os._exit(7)
    os.close(ours)
    assert os.waitpid(child, os.WNOHANG) == (0, 0)
    os.close(theirs)
    end, ended, status = time.monotonic() + 20, 0, 0
    while not ended and time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        time.sleep(0.01)
    if not ended:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert ended
    assert os.waitstatus_to_exitcode(status) == 1
