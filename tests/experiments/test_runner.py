"""The runner: what is trained, what is not trained again, what a kill or a failure costs, and what is refused."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from scapnet.config import Config
from scapnet.experiments import runner as module
from scapnet.experiments.identity import same_settings
from scapnet.experiments.recipes import for_machine
from scapnet.experiments.record import read_record, unpack, write_record
from scapnet.experiments.rows import Row
from scapnet.experiments.runner import RowRun, Runner, parallel_runs
from scapnet.experiments.tables import TABLES
from scapnet.jsonfile import read_json
from scapnet.serialization import from_dict
from toy_runs import BASE, ROWS, answers, finished, guesses, record

BAD = Row("bad", "cannot be", {"model.gate.grid": 9})
Worker = Callable[[str], None]


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLL", 0.01)
    monkeypatch.setattr(module, "present_commit", lambda: "abc1234")


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Worker:
    """Let runs be a script, which gets the run folder and the file with the settings."""

    def stand_in(script: str) -> None:
        monkeypatch.setattr(module, "WORKER", ("-S", "-c", "import os, sys, time\n" + script))

    return stand_in


def make(folder: Path, base: Config = BASE, jobs: int = 2) -> tuple[Runner, list[str]]:
    """A runner and the lines that it reports."""
    said: list[str] = []
    return Runner(base, folder / "out", folder / "runs", "make toys", jobs, said.append), said


def finish(runner: Runner, *runs: RowRun) -> None:
    """Leave the folders of finished runs."""
    for i, run in enumerate(runs):
        finished(runner.run_folder(run), run.config, guesses(i))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


# --- What runs leave ---


def test_a_run_is_trained_and_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLL", 0.2)
    runner, said = make(tmp_path)
    (run,) = runner.plan(ROWS[:1], [3])
    assert runner.run([run])
    assert said[0] == "plain-0.5-3: starts"
    assert said[1].startswith("plain-0.5-3: ")
    assert said[1].endswith("%")
    found = read_record(runner.record_file(run))
    assert (found.row, found.seed, found.command, found.commit) == ("plain-0.5", 3, "make toys", "abc1234")
    assert same_settings(found.config, run.config)
    assert (found.config.data.seed, found.config.train.seed) == (1003, 1003)
    assert len(found.curve) == BASE.train.epochs
    assert found.scores["images"] == BASE.data.synthetic.test_length == len(unpack(found.right))
    assert sum(unpack(found.right)) / len(unpack(found.right)) == pytest.approx(found.scores["accuracy"])
    assert runner.finished(run)


def test_a_run_that_fails_stops_no_other(tmp_path: Path, worker: Worker) -> None:
    worker("sys.exit('no such grid' if '/bad-0' in sys.argv[1] else 0)")
    runner, _ = make(tmp_path)
    runs = runner.plan((BAD, *ROWS), [0])
    finish(runner, *runs[1:3])
    with pytest.raises(ValueError, match=r"^bad-0 failed: no such grid$"):
        runner.run(runs)
    assert names(tmp_path / "out" / "toys" / "rows") == ["plain-0.5-0.json", "plain-b-0.json", "two-0.json"]
    two = read_record(runner.record_file(runs[3]))
    assert two.curve == []
    assert two.scores["accuracy"] == pytest.approx(sum(unpack(two.right)) / 40)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("print('first'); print('the last line'); sys.exit(3)", "plain-0.5-0 failed: the last line"),
        ("sys.exit(2)", "it printed nothing"),
        ("print('epoch 1', flush=True); os.kill(os.getpid(), 9)", "it was ended by signal 9; if memory is short"),
    ],
)
def test_the_last_line_of_a_failed_run_is_its_reason(tmp_path: Path, worker: Worker, script: str, words: str) -> None:
    worker(script)
    runner, said = make(tmp_path, jobs=1)
    runs = runner.plan(ROWS, [0, 1])
    with pytest.raises(ValueError, match=words) as error:
        runner.run(runs)
    assert "\n" not in str(error.value)
    assert len([line for line in said if line.endswith("starts")]) == 4  # each of them had its turn
    assert runner.missing(runs) == runs


# --- What is not run again ---


def test_what_is_there_is_not_run_again(tmp_path: Path, worker: Worker) -> None:
    worker("")
    runner, said = make(tmp_path)
    runs = runner.plan(ROWS, [0])
    finish(runner, *runs[:2])
    assert runner.run(runs)
    assert runner.missing(runs) == []
    before = {file: file.read_bytes() for file in (tmp_path / "out").rglob("*.json")}
    said.clear()
    assert runner.run(runs)
    assert runner.run(runs[:2], models=True)
    assert said == []
    assert before == {file: file.read_bytes() for file in (tmp_path / "out").rglob("*.json")}
    assert [run.name for run in runner.missing(runner.plan(ROWS, [1]))] == ["plain-0.5-1", "plain-b-1", "two-1"]


def test_a_run_that_another_runner_finished_meanwhile_is_not_started(tmp_path: Path, worker: Worker) -> None:
    runner, said = make(tmp_path, jobs=1)
    runs = runner.plan(ROWS[:2], [0])
    finish(runner, runs[0])
    runner.record_file(runs[1]).parent.mkdir(parents=True)
    worker(f"open({str(runner.record_file(runs[1]))!r}, 'w').close()")  # the first run leaves the second's record
    assert runner.run(runs)
    assert "plain-b-0: starts" not in said


def test_a_figure_needs_the_model_and_keeps_the_record(tmp_path: Path, worker: Worker) -> None:
    runner, _ = make(tmp_path)
    (run,) = runner.plan(ROWS[1:2], [0])
    write_record_of(runner, run)
    before = runner.record_file(run).read_bytes()
    assert runner.missing([run]) == []
    assert runner.missing([run], models=True) == [run]
    worker("")
    assert runner.run([run], models=True) is False  # this worker trained nothing
    finish(runner, run)
    assert runner.run([run], models=True)
    assert runner.record_file(run).read_bytes() == before


def write_record_of(runner: Runner, run: RowRun) -> None:
    runner.record_file(run).parent.mkdir(parents=True, exist_ok=True)
    write_record(runner.record_file(run), record(run.seed, answers(3), config=run.config))


def test_a_record_with_other_settings_is_refused(tmp_path: Path) -> None:
    runner, _ = make(tmp_path)
    write_record_of(runner, runner.run_of(ROWS[0], 5))  # of a seed that was not asked for, too
    elsewhere = replace(ROWS[0], changes={"model.network": "scapnet"}, only=("grocery",))
    runner.check((*ROWS, elsewhere))  # a row of the same name for another data set
    other, _ = make(tmp_path, replace(BASE, train=replace(BASE.train, lr=0.5)))
    with pytest.raises(ValueError, match=r"plain-0\.5-5\.json has other settings; move it away"):
        other.check(ROWS)
    runner.record_file(runner.run_of(ROWS[0], 5)).write_text("{}")
    with pytest.raises(ValueError, match=r"plain-0\.5-5\.json cannot be read"):
        runner.check(ROWS)


def test_a_folder_with_other_settings_is_not_a_finished_run(tmp_path: Path) -> None:
    runner, _ = make(tmp_path)
    (run,) = runner.plan(ROWS[:1], [0])
    finish(runner, run)
    assert runner.finished(run)
    assert not runner.finished(run._replace(config=replace(run.config, train=replace(run.config.train, lr=0.5))))


# --- Kills and time limits ---


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_a_killed_runner_leaves_nothing_running_and_the_run_continues(tmp_path: Path, worker: Worker) -> None:
    # As the real worker does: it works until its standard input ends.
    worker("os.mkdir(sys.argv[1]); print(os.getpid(), flush=True); os.read(0, 1); print('ended', flush=True)")
    runner, said = make(tmp_path)
    (run,) = runner.plan(ROWS[:1], [0])
    log = runner.run_folder(run).with_name("plain-0.5-0.log")
    parent = os.fork()
    if not parent:
        try:
            runner.run([run])
        finally:
            os._exit(0)
    try:
        until(lambda: log.exists() and log.read_text().strip())
        child = int(log.read_text())
        assert alive(child)
    finally:
        os.kill(parent, signal.SIGKILL)
        os.waitpid(parent, 0)
    until(lambda: not alive(child))
    assert log.read_text() == f"{child}\nended\n"
    assert runner.missing([run]) == [run]
    worker("")
    finish(runner, run)
    assert runner.run([run])
    assert said[0] == "plain-0.5-0: continues"


def test_minutes_stop_all_runs(tmp_path: Path, worker: Worker) -> None:
    worker("print(os.getpid(), flush=True); time.sleep(99)")
    runner, said = make(tmp_path)
    runs = runner.plan(ROWS, [0, 1])
    assert runner.run(runs, minutes=0) is False
    assert said == []
    assert runner.run(runs, minutes=0.005) is False
    assert said == ["plain-0.5-0: starts", "plain-b-0: starts"]
    pids = [int(log.read_text()) for log in (tmp_path / "runs" / "toys").glob("*.log") if log.read_text()]
    assert not any(map(alive, pids))


# --- Averages ---


def test_an_average_waits_for_both_runs(tmp_path: Path) -> None:
    runner, said = make(tmp_path)
    runs = runner.plan(ROWS, [0])
    for run in runs[:2]:
        runner._combine(runs)
        assert said == []
        finish(runner, run)
    runner._combine(runs[2:])  # neither of the two was asked for
    assert said == []
    runner._combine(runs)
    assert runner.record_file(runs[2]).exists()
    runner.record_file(runs[2]).unlink()
    (runner.run_folder(runs[1]) / "results.json").unlink()  # as a kill leaves it
    runner._combine(runs)
    assert not runner.record_file(runs[2]).exists()


def test_an_average_of_runs_whose_folders_are_gone_says_what_to_do(tmp_path: Path) -> None:
    runner, said = make(tmp_path)
    runs = runner.plan(ROWS, [0])
    for run in runs[:2]:
        write_record_of(runner, run)
    assert runner.run(runs) is False
    (line,) = said
    assert line.startswith("two-0 needs the run folders of plain-0.5-0 and plain-b-0, which are missing; move ")
    assert line.endswith("rows/plain-b-0.json away to train both again")


def test_a_row_of_one_others_answers(tmp_path: Path) -> None:
    runner, _ = make(tmp_path)
    runs = runner.plan((ROWS[0], Row("alone", "alone", cascade=("plain-0.5",))), [0])
    runner._combine(runs)
    assert not runner.record_file(runs[1]).exists()
    finish(runner, runs[0])
    runner._combine(runs)
    assert read_record(runner.record_file(runs[1])).scores["images"] > 0


# --- How runs are started ---


def test_every_run_gets_its_own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(subprocess, "Popen", lambda words, **_: started.append(words))
    runner, _ = make(tmp_path, replace(BASE, preset="finches"))
    runs = [run for name in ("table12", "fig9") for run in runner.plan(TABLES[name].rows, [0, 1])]
    assert {(run.seed, run.config.train.seed) for run in runs} == {(0, 1000), (1, 1001)}
    for run in runs:
        runner._start(run, 1)
    for run, words in zip(runs, started, strict=True):
        assert words[:3] == [sys.executable, "-m", "scapnet.experiments.worker"]
        assert Path(words[-2]) == runner.run_folder(run)
        assert from_dict(Config, read_json(Path(words[-1]))) == for_machine(run.config)
    assert len({words[-1] for words in started}) == len(runs) == 28


def test_a_run_remembers_all_its_commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, worker: Worker) -> None:
    worker("sys.exit(2)")
    runner, _ = make(tmp_path)
    (run,) = runner.plan(ROWS[:1], [0])
    commits = iter(("a", "b", "b", "c"))
    monkeypatch.setattr(module, "present_commit", lambda: next(commits))
    for _ in range(3):
        with pytest.raises(ValueError, match="it printed nothing"):
            runner.run([run])
        runner.run_folder(run).mkdir(exist_ok=True)  # its process wrote something
    worker("")
    finish(runner, run)
    runner.run([run])
    assert read_record(runner.record_file(run)).commit == "a, b, c"


@pytest.mark.parametrize(
    ("gpu", "cores", "asked", "runs", "size", "expected"),
    [
        (False, 16, 0, 20, 128, 8),
        (False, 16, 0, 3, 128, 3),
        (False, 16, 0, 20, 448, 1),
        (False, 2, 0, 20, 128, 2),
        (False, 16, 5, 20, 448, 5),
        (False, 16, 5, 2, 448, 2),
        (False, 16, 0, 0, 128, 1),
        (True, 2, 0, 20, 128, 1),
        (True, 16, 0, 20, 128, 4),
        (True, 16, 0, 20, 448, 1),
    ],
)
def test_how_many_runs_at_a_time(
    monkeypatch: pytest.MonkeyPatch, gpu: bool, cores: int, asked: int, runs: int, size: int, expected: int
) -> None:
    monkeypatch.setattr(module, "cores_here", lambda: cores)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    assert parallel_runs(asked, runs, size) == expected
