"""The runner: what a run leaves, what is not run twice, what a kill or a failure costs, and what is refused."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import is_dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import torch
from filelock import FileLock, Timeout
from safetensors.torch import load_file, save_file

from samples import Refuse, sentence
from scapnet import __version__, cli
from scapnet.config import Config, DataConfig, LossConfig, ModelConfig, PartsConfig, SyntheticConfig, TrainConfig
from scapnet.experiments import record, reproduce, worker
from scapnet.experiments import runner as lab_module
from scapnet.experiments.recipes import for_machine, recipe_of, with_seed
from scapnet.experiments.record import essence, files_of, from_average, from_run, pack, same_run, unpack
from scapnet.experiments.reproduce import FIGURES, Request
from scapnet.experiments.rows import Row, changed
from scapnet.experiments.runner import RowRun, Runner, side_by_side
from scapnet.experiments.tables import PLAIN, TABLES
from scapnet.experiments.worker import carry_out
from scapnet.jsonfile import read_json, write_json
from scapnet.serialization import from_dict, to_dict

BASE = Config(
    "toys",
    DataConfig(
        "finches",
        size=64,
        resize=64,
        workers=0,
        synthetic=SyntheticConfig(num_classes=4, train_length=64, test_length=12),
    ),
    ModelConfig("test_resnet", "none", parts=PartsConfig(size=32)),
    LossConfig(),
    TrainConfig(epochs=3, batch_size=8, log_every=2, checkpoint_steps=2),
)
ROWS = (
    Row("plain-0.5", "bare", PLAIN),
    Row("plain-b", "again", {**PLAIN, "train.seed": 7}),
    Row("two", "both", PLAIN, average=("plain-0.5", "plain-b")),
)
BAD = Row("bad", "cannot be", {"model.gate.grid": 9})


def make(folder: Path, base: Config = BASE, jobs: int = 2, say: Callable[[str], Any] = lambda _: None) -> Runner:
    return Runner(base, folder / "out", folder / "runs", "make toys", jobs, say)


class Done(NamedTuple):
    """A runner that ran a table with a row that cannot be run."""

    folder: Path
    jobs: list[RowRun]  # bad, plain-0.5, plain-b, two
    said: list[str]
    error: str

    def file(self, name: str) -> Path:
        return self.folder / "out" / "toys" / "rows" / f"{name}.json"


class Fake(Runner):
    """A runner whose runs are scripts that are told the name of their job."""

    script = ""
    started: list[str]

    def _start(self, job: RowRun, threads: int) -> "subprocess.Popen[bytes]":
        self.started.append(job.name)
        log = self.folder(job).with_name(f"{job.name}.log")
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as file:
            return subprocess.Popen([sys.executable, "-S", "-c", self.script, job.name], stdout=file, stderr=file)


def fake(folder: Path, script: str, jobs: int = 2, say: Callable[[str], Any] = lambda _: None) -> Fake:
    runner = Fake(BASE, folder / "out", folder / "runs", "make toys", jobs, say)
    object.__setattr__(runner, "script", script)
    object.__setattr__(runner, "started", [])
    return runner


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder = tmp_path_factory.mktemp("lab")
    said: list[str] = []
    runner = fake(folder, "import sys; sys.exit('no such grid' if sys.argv[1] == 'bad-0' else 0)", say=said.append)
    jobs = runner.plan((BAD, *ROWS), [0])
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for job in jobs[1:3]:
        carry_out(runner.folder(job), job.config)
    torch.set_num_threads(threads)
    with pytest.raises(ValueError, match="bad-0 failed") as error:
        runner.run(jobs)
    return Done(folder, jobs, said, str(error.value))


# --- Records ---


@pytest.mark.parametrize("count", [1, 2, 7, 5000])
def test_answers_survive_packing(count: int) -> None:
    for right in (torch.zeros(count), torch.ones(count), torch.arange(count) % 3 == 1):
        text = pack(right.bool())
        assert unpack(text) == right.bool().tolist()
        assert text.startswith(f"{count}:")
    assert pack(torch.tensor([False, False, True])) == "3:9"  # 1 001
    assert len(pack(torch.zeros(5000).bool())) < 1300


def leaves(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Each setting by its name with the names of its sections."""
    found: dict[str, Any] = {}
    for name, value in vars(tree).items():
        found |= leaves(value, f"{prefix}{name}.") if is_dataclass(value) else {prefix + name: value}
    return found


def essence_with(**changes: Any) -> dict[str, Any]:
    """The essence of BASE with settings changed; two underscores stand for a dot."""
    return essence(changed(BASE, {name.replace("__", "."): value for name, value in changes.items()}))


IGNORED = {
    *("preset", "data.root", "data.workers", "data.download"),
    *("train.precision", "train.log_every", "train.checkpoint_steps"),
}


def test_essence_ignores_place_and_pace_alone() -> None:
    whole = essence(BASE)
    for name in leaves(BASE):
        other = deepcopy(BASE)
        section: Any = other
        *sections, setting = name.split(".")
        for part in sections:
            section = getattr(section, part)
        # Past the checks of settings, of which each would need a value of its own kind.
        object.__setattr__(section, setting, "rra" if name == "model.network" else "other")
        assert (essence(other) == whole) == (name in IGNORED), name
    deep, flat = essence_with(model__weights="a/b/w.pth"), essence_with(model__weights="c/w.pth")
    assert deep == flat != whole


def test_essence_leaves_out_what_the_network_does_not_have() -> None:
    bare = {"model__parts__enabled": False, "model__relation__enabled": False}
    assert essence_with(**bare, model__parts__keep=(1,), loss__con=9.0) == essence_with(**bare) != essence(BASE)
    assert essence_with(**bare, loss__act=9.0) != essence_with(**bare)
    bare["model__gate__enabled"] = False
    assert essence_with(**bare, loss__act=9.0, model__gate__grid=3) == essence_with(**bare)
    assert essence_with(model__network="plain", model__parts__size=99) == essence_with(**bare)
    assert essence_with(**bare, train__lr=9.0) != essence_with(**bare)
    nts, rra = (essence_with(model__network=name, model__gate__enabled=False) for name in ("nts", "rra"))
    assert nts != rra


def test_a_record_from_before_a_setting_was_made_is_still_the_same_run(tmp_path: Path) -> None:
    values = json.loads(json.dumps(to_dict(BASE)))
    write_json(tmp_path / "r.json", {"config": values})
    assert same_run(tmp_path / "r.json", BASE)
    for section, name in (("model", "relation"), ("data", "fold_by"), ("loss", "smoothing")):
        older = json.loads(json.dumps(values))
        del older[section][name]
        write_json(tmp_path / "r.json", {"config": older})
        assert same_run(tmp_path / "r.json", BASE)
    values["train"]["epochs"] = 9
    write_json(tmp_path / "r.json", {"config": values})
    assert not same_run(tmp_path / "r.json", BASE)


RESULTS = Path(__file__).parents[2] / "results" / "reproduce"


@pytest.mark.parametrize("data", sorted(folder.parent.name for folder in RESULTS.glob("*/rows")))
def test_every_committed_record_is_a_run_of_todays_row(data: str) -> None:
    rows = {row.name: row for table in TABLES.values() for row in table.rows if row.name and row.belongs(data)}
    files = set((RESULTS / data / "rows").glob("*.json"))
    assert files
    for name, row in rows.items():
        for seed, file in files_of(name, RESULTS / data / "rows").items():
            given = read_json(file)["config"]["model"]["weights"]  # a file, where --weights named one
            base = recipe_of(data, None, given if "." in given else None)
            assert same_run(file, row.config(with_seed(base, seed))), file
            files.remove(file)
    assert not files, "records of no row"


def test_the_commit_is_the_packages_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*words: str) -> None:
        who = ("-c", "user.name=a", "-c", "user.email=a@b.example")
        subprocess.run(["git", *who, *words], cwd=tmp_path, check=True, capture_output=True)

    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    package = tmp_path / "src" / "scapnet"
    (package / "experiments").mkdir(parents=True)
    monkeypatch.setattr(record, "PACKAGE", package)
    (package / "__init__.py").write_text("")
    (package / "model.py").write_text("")
    assert record.commit() == f"scapnet {__version__}"
    git("init", "-q")
    (tmp_path / "other.txt").write_text("")
    git("add", "other.txt")
    git("commit", "-qm", "the repository of somebody else, with the package installed below it")
    assert record.commit() == f"scapnet {__version__}"
    git("add", ".")
    git("commit", "-qm", "the package's own")
    clean = record.commit()
    assert len(clean) >= 7
    assert not clean.endswith("+")
    (tmp_path / "other.txt").write_text("results are no code")
    assert record.commit() == clean
    (package / "model.py").write_text("changed = True")
    assert record.commit() == clean + "+"
    monkeypatch.setenv("PATH", "")
    assert record.commit() == f"scapnet {__version__}"
    assert record.hardware()


def test_curves_are_means_of_an_epoch(tmp_path: Path) -> None:
    lines = [
        {"epoch": 0, "step": 1, "accuracy": 0.2, "kept": 0.5, "loss": 9.0},
        {"epoch": 0, "step": 2, "accuracy": 0.4, "kept": 0.7, "con": 1.0},
        {"epoch": 0, "split": "val", "accuracy": 0.9},
        {"epoch": 1, "step": 1, "accuracy": 0.6, "kept": 0.1},
    ]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    first = {"accuracy": 0.3, "kept": 0.6, "con": 1.0, "val_accuracy": 0.9}
    assert record.curve(tmp_path) == [first, {"accuracy": 0.6, "kept": 0.1}]
    write_json(tmp_path / "results.json", {"accuracy": 0.5})
    config = replace(BASE, data=replace(BASE.data, root=Path("/a/b")), model=replace(BASE.model, weights="/c/d.pth"))
    write_json(tmp_path / "config.json", to_dict(config))
    save_file({"probs": torch.eye(3), "target": torch.tensor([0, 2, 2])}, tmp_path / "answers.safetensors")
    found = from_run("x", 3, tmp_path, "c")
    assert "kept_spread" not in found["scores"]  # the later half is one epoch here
    assert found["right"] == pack(torch.tensor([True, False, True]))
    assert found["config"]["data"]["root"] is None
    assert found["config"]["model"]["weights"] == "d.pth"
    lines += [{"epoch": 2, "accuracy": 1.0, "kept": 0.4}, {"epoch": 3, "accuracy": 1.0, "kept": 0.2}]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert from_run("x", 3, tmp_path, "c")["scores"]["kept_spread"] == pytest.approx(0.1414)
    config = replace(config, loss=replace(config.loss, act_ramp=(0.0, 2.5)))  # beta grows until one epoch is left
    write_json(tmp_path / "config.json", to_dict(config))
    again = from_run("x", 3, tmp_path, "c", "abc, def")
    assert "kept_spread" not in again["scores"]
    assert again["commit"] == "abc, def"


def test_averages_are_of_both_softmaxes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    target = torch.randint(3, (40,))
    both = [torch.randn(40, 3).mul(3).softmax(-1) for _ in range(2)]
    for name, probs in zip("ab", both, strict=True):
        (tmp_path / name).mkdir()
        save_file(
            {"probs": probs, "target": target, "samples": torch.arange(40)}, tmp_path / name / "answers.safetensors"
        )
        write_json(tmp_path / name / "results.json", {"train_seconds": 3.5})
    right = []
    for i in range(40):
        means = [(float(both[0][i, k]) + float(both[1][i, k])) / 2 for k in range(3)]
        right.append(means.index(max(means)) == int(target[i]))
    found = from_average("two", 0, (tmp_path / "a", tmp_path / "b"), BASE, "c")
    assert unpack(found["right"]) == right
    assert found["scores"] == {"accuracy": pytest.approx(sum(right) / 40), "images": 40.0, "train_seconds": 7.0}
    alone = [(probs.argmax(1) == target).tolist() for probs in both]
    assert right not in alone
    for key, value in (("samples", torch.arange(1, 41)), ("target", (target + 1) % 3)):
        answers = {"probs": both[1], "target": target, "samples": torch.arange(40)} | {key: value}
        save_file(answers, tmp_path / "b" / "answers.safetensors")
        with pytest.raises(ValueError, match="different pictures"):
            from_average("two", 0, (tmp_path / "a", tmp_path / "b"), BASE, "c")


# --- The runner ---


def test_a_record_holds_what_a_reader_needs(done: Done) -> None:
    for job in done.jobs[1:3]:
        found = read_json(done.file(job.name))
        assert (found["row"], found["seed"], found["command"]) == (job.row.name, 0, "make toys")
        assert {"commit", "hardware", "torch", "timm"} <= set(found)
        assert essence(from_dict(Config, found["config"])) == essence(job.config)
        assert found["config"]["data"]["seed"] == 1000
        assert len(found["curve"]) == 3
        assert found["scores"]["images"] == 12
        right = unpack(found["right"])
        assert sum(right) / 12 == pytest.approx(found["scores"]["accuracy"])
        answers = load_file(done.folder / "runs" / "toys" / job.name / "answers.safetensors")
        assert right == (answers["probs"].argmax(1) == answers["target"]).tolist()
    assert any(line.startswith("plain-b-0: ") and line.endswith("%") for line in done.said)


def test_a_run_that_fails_is_one_sentence_and_stops_no_other(done: Done) -> None:
    assert "\n" not in done.error
    assert done.error == "bad-0 failed: no such grid"
    assert not done.file("bad-0").exists()
    two = read_json(done.file("two-0"))
    assert two["curve"] == []
    assert two["scores"]["accuracy"] == pytest.approx(sum(unpack(two["right"])) / 12)
    assert {file.name for file in done.file("x").parent.iterdir()} == {
        "plain-0.5-0.json",
        "plain-b-0.json",
        "two-0.json",
    }


def test_what_is_there_is_not_run_again(done: Done, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(*_: object) -> None:
        raise AssertionError("nothing is missing")

    monkeypatch.setattr(Runner, "_start", start)
    before = {file: file.stat().st_mtime_ns for file in done.file("x").parent.iterdir()}
    runner = make(done.folder)
    jobs = runner.plan(ROWS, [0])
    assert runner.run(jobs)
    assert runner.run(jobs[:2], models=True)
    assert before == {file: file.stat().st_mtime_ns for file in done.file("x").parent.iterdir()}
    assert runner.missing(jobs) == []
    assert [job.name for job in runner.missing(runner.plan(ROWS, [1]))] == ["plain-0.5-1", "plain-b-1", "two-1"]


def test_records_and_runs_of_other_settings_are_refused(done: Done, tmp_path: Path) -> None:
    other = replace(BASE, train=replace(BASE.train, lr=0.5))
    text = done.file("two-0").read_text()
    with pytest.raises(ValueError, match="is of other settings; move it away") as error:
        make(done.folder, other).check(ROWS)
    assert "\n" not in str(error.value)
    make(done.folder).check(ROWS)
    runner = make(tmp_path)
    runner.file(runner.job(ROWS[0], 5)).parent.mkdir(parents=True)
    for text in ("{}", json.dumps({"config": {"train": {"newer": 1}}})):  # of a seed that was not asked for, too
        runner.file(runner.job(ROWS[0], 5)).write_text(text)
        with pytest.raises(ValueError, match=r"plain-0\.5-5\.json cannot be used .*; move it away"):
            runner.check(ROWS)
    text = done.file("two-0").read_text()
    assert done.file("two-0").read_text() == text
    folder = done.folder / "runs" / "toys" / "plain-b-0"
    runner = make(done.folder, other)
    job = runner.job(ROWS[1], 0)
    assert not runner.finished(job)
    assert runner.missing([job], models=True) == [job]
    before = sorted(folder.rglob("*"))
    with pytest.raises(ValueError, match="other settings; move it away, or give another --runs folder"):
        carry_out(folder, job.config)
    assert carry_out(folder, done.jobs[2].config) == folder
    assert sorted(folder.rglob("*")) == before
    moved = replace(done.jobs[2].config, data=replace(BASE.data, seed=1000, workers=1, root=Path("x")))
    assert carry_out(folder, moved) == folder


def test_folders_that_a_kill_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []
    monkeypatch.setattr("scapnet.experiments.worker.train", lambda config, folder: called.append("train"))
    monkeypatch.setattr("scapnet.experiments.worker.resume", lambda folder: called.append("resume"))
    (tmp_path / "empty").mkdir()
    (tmp_path / "draft").mkdir()
    (tmp_path / "draft" / ".config.json.77.draft").write_text("{")
    for name in ("new", "empty", "draft"):
        carry_out(tmp_path / name, BASE)
        assert called.pop() == "train"
        assert not (tmp_path / name).exists()
    (tmp_path / "begun").mkdir()
    write_json(tmp_path / "begun" / "config.json", to_dict(BASE))
    carry_out(tmp_path / "begun", BASE)
    assert called == ["resume"]
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "mine.jpg").write_text("")
    with pytest.raises(OSError, match="not empty"):
        carry_out(tmp_path / "photos", BASE)
    assert (tmp_path / "photos" / "mine.jpg").exists()


def test_what_a_run_dies_of_is_its_last_line(
    done: Done, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def silent(*_: object) -> None:
        raise ValueError

    monkeypatch.setattr(worker, "_end_with_parent", lambda: None)
    write_json(tmp_path / "bad-0.5.json", to_dict(done.jobs[0].config))
    monkeypatch.setattr(sys, "argv", ["job", str(tmp_path / "bad-0.5"), str(tmp_path / "bad-0.5.json")])
    for words in ("grid of 9 does not fit", "ValueError"):
        with pytest.raises(SystemExit) as stop:
            worker.main()
        assert stop.value.code == 2
        assert words in capsys.readouterr().err.splitlines()[-1]
        assert {path.name for path in tmp_path.iterdir()} - {"bad-0.5.lock"} == {"bad-0.5.json"}
        monkeypatch.setattr(worker, "train", silent)


def test_two_labs_do_not_work_in_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[bool] = []

    def look(folder: Path, config: Config) -> None:
        with pytest.raises(Timeout):
            FileLock(folder.with_name("a.5-0.lock"), timeout=0).acquire()
        held.append(True)

    monkeypatch.setattr(worker, "_end_with_parent", lambda: None)
    monkeypatch.setattr(worker, "carry_out", look)
    write_json(tmp_path / "c.json", to_dict(BASE))
    monkeypatch.setattr(sys, "argv", ["job", str(tmp_path / "a.5-0"), str(tmp_path / "c.json")])
    worker.main()
    assert held == [True]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(what: Callable[[], object], seconds: float = 900.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.skipif(not [*Path("/proc/self/task").glob("*/children")], reason="finds a process's children in /proc")
def test_a_killed_lab_leaves_nothing_running_and_goes_on(
    done: Done, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lab_module, "cores_here", lambda: 1)  # as many threads as the unbroken runs had
    said: list[str] = []
    runner = make(tmp_path, say=said.append)
    jobs = runner.plan(ROWS, [0])[:1]
    folder = runner.folder(jobs[0])
    parent = os.fork()
    if not parent:
        try:
            runner.run(jobs)
        finally:
            os._exit(0)
    try:
        until(lambda: list(folder.glob("checkpoints/0*")))
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    finally:
        os.kill(parent, signal.SIGKILL)
        os.waitpid(parent, 0)
    assert len(children) == 1
    until(lambda: not alive(int(children[0])))
    assert not (folder / "results.json").exists()
    assert not (tmp_path / "out").exists()
    assert runner.run(jobs)
    assert said[0] == "plain-0.5-0: goes on"
    broken, whole = read_json(runner.file(jobs[0])), read_json(done.file("plain-0.5-0"))
    for found in (broken, whole):
        found["scores"].pop("train_seconds")
    assert broken["scores"] == whole["scores"]
    assert (broken["right"], broken["curve"]) == (whole["right"], whole["curve"])


def test_minutes_stop(tmp_path: Path) -> None:
    runner = fake(tmp_path, "import os, time; print(os.getpid(), flush=True); time.sleep(99)")
    jobs = runner.plan(ROWS, [0, 1])
    assert runner.run(jobs, minutes=0) is False
    assert runner.started == []
    started = time.monotonic()
    assert runner.run(jobs, minutes=0.02) is False
    assert time.monotonic() - started < 60
    assert runner.started == ["plain-0.5-0", "plain-b-0"]
    logs = [log.read_text() for log in (tmp_path / "runs" / "toys").glob("*.log")]
    assert len(logs) == 2
    assert not any(alive(int(text)) for text in logs if text)


def test_last_words(tmp_path: Path) -> None:
    for script, words in (
        ("import sys; print('first'); print('the last line'); sys.exit(3)", "plain-0.5-0 failed: the last line"),
        ("import sys; sys.exit(2)", "it said nothing"),
        ("import os; print('epoch 1', flush=True); os.kill(os.getpid(), 9)", "signal 9 ended it"),
    ):
        runner = fake(tmp_path, script, jobs=1)
        jobs = runner.plan(ROWS, [0, 1])
        with pytest.raises(ValueError, match=words) as error:
            runner.run(jobs)
        assert "\n" not in str(error.value)
        assert len(runner.started) == 4  # each of them had its turn
        assert runner.missing(jobs) == jobs


def test_averages_wait_for_both(done: Done, tmp_path: Path) -> None:
    said: list[str] = []
    runner = make(tmp_path, say=said.append)
    jobs = runner.plan(ROWS, [0])
    runner._average(jobs)
    assert said == []
    folders = [runner.folder(job) for job in jobs[:2]]
    for folder in folders:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.symlink_to(done.folder / "runs" / "toys" / folder.name)
        runner._average(jobs[2:])
        assert not runner.file(jobs[2]).exists()
    runner._average(jobs)
    assert read_json(runner.file(jobs[2]))["scores"] == read_json(done.file("two-0"))["scores"]
    runner.file(jobs[2]).unlink()
    folders[1].unlink()
    (folders[1]).mkdir()  # killed when its answers were written, but not its results
    (folders[1] / "answers.safetensors").symlink_to(folders[0] / "answers.safetensors")
    runner._average(jobs)
    assert not runner.file(jobs[2]).exists()
    for job in jobs[:2]:
        write_json(runner.file(job), read_json(done.file(job.name)))
    said.clear()
    assert runner.run(jobs) is False
    assert len(said) == 1
    assert said[0].startswith("two-0 needs the run folders of plain-0.5-0 and plain-b-0, which are gone; move ")
    assert said[0].endswith("rows/plain-b-0.json away")


def test_every_run_is_told_its_own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[list[str]] = []
    monkeypatch.setattr(subprocess, "Popen", lambda words, **_: told.append(words))
    commits = iter(("a", "b", "b", "c"))
    monkeypatch.setattr(lab_module, "commit", lambda: next(commits, "c"))
    runner = make(tmp_path, replace(BASE, preset="finches"))
    jobs = [job for name in ("table12", "fig9") for job in runner.plan(TABLES[name].rows, [0, 1])]
    assert {(job.seed, job.config.train.seed) for job in jobs} == {(0, 1000), (1, 1001)}
    for job in jobs:
        runner._start(job, 1)
    ran = runner.folder(jobs[0]).with_name(f"{jobs[0].name}.commits")
    assert ran.read_text() == "a"
    runner.folder(jobs[0]).mkdir()  # its process wrote something, so that it goes on
    ran.write_text("a, b")
    runner._start(jobs[0], 1)
    assert ran.read_text() == "a, b, c"
    told.pop()
    for job, words in zip(jobs, told, strict=True):
        assert Path(words[-2]) == runner.folder(job)
        assert from_dict(Config, read_json(Path(words[-1]))) == for_machine(job.config)
    assert len({words[-1] for words in told}) == len(jobs) == 28


def test_a_figure_keeps_the_record_that_is_there(done: Done, tmp_path: Path) -> None:
    runner = make(tmp_path)
    job = runner.job(ROWS[1], 0)
    runner.folder(job).parent.mkdir(parents=True)
    runner.folder(job).symlink_to(done.folder / "runs" / "toys" / job.name)
    runner.file(job).parent.mkdir(parents=True)
    runner.file(job).write_text("kept")
    assert runner._end(job, 0) == []
    assert runner.file(job).read_text() == "kept"


def test_how_many_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    cores, gpu = 16, False
    monkeypatch.setattr(lab_module, "cores_here", lambda: cores)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    assert [side_by_side(0, 20, 128), side_by_side(0, 3, 128), side_by_side(0, 20, 448)] == [8, 3, 1]
    assert [side_by_side(5, 20, 448), side_by_side(5, 2, 448), side_by_side(-1, 9, 128), side_by_side(0, 0, 128)] == [
        *(5, 2, 1, 1),
    ]
    cores = 2
    assert side_by_side(0, 20, 128) == 2
    gpu = True
    assert [side_by_side(0, 20, 128), side_by_side(0, 20, 448)] == [1, 1]
    cores = 16
    assert side_by_side(0, 20, 128) == 4


def test_the_precision_that_a_machine_computes_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu, native, capability = False, True, "AVX512"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native or including_emulation)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    bf16 = replace(BASE, train=replace(BASE.train, precision="bf16"))
    assert [for_machine(BASE), for_machine(bf16)] == [BASE, bf16]
    capability = "AVX2"
    assert [for_machine(BASE), for_machine(bf16)] == [BASE, BASE]
    gpu = True
    assert for_machine(BASE) == bf16
    native = False
    assert for_machine(bf16).train.precision == "fp16"


def test_files_of_a_row(tmp_path: Path) -> None:
    for name in ("con-0-0", "con-0-11", "con-0-2", "con-0.5-0", "con-0-x", "con-1", "other-0"):
        (tmp_path / f"{name}.json").write_text("{}")
    assert {seed: file.stem for seed, file in files_of("con-0", tmp_path).items()} == {
        0: "con-0-0",
        2: "con-0-2",
        11: "con-0-11",
    }
    assert list(files_of("con-0", tmp_path)) == [0, 2, 11]
    assert list(files_of("con", tmp_path)) == [1]
    assert files_of("none", tmp_path / "gone") == {}


# --- The command ---


def test_what_cannot_be_reproduced(refuse: Refuse) -> None:
    said = sentence(refuse("reproduce", "nonsense"))
    assert "there is no nonsense" in said
    assert all(name in said for name in (*TABLES, *FIGURES, "list"))
    assert "no recipe for 'nonsense'" in sentence(refuse("reproduce", "table4", "--data", "nonsense"))
    assert "seeds 0 must be at least 1" in sentence(refuse("reproduce", "table4", "--seeds", 0))
    assert "give it with --root FOLDER" in sentence(refuse("reproduce", "table4", "--data", "grocery"))
    assert "gone" in sentence(refuse("reproduce", "fig8", "--data", "cub", "--root", "gone"))
    assert "must not be negative" in sentence(refuse("reproduce", "table4", "--jobs", -1))
    assert "must not be negative" in sentence(refuse("reproduce", "table4", "--minutes", -1))


def test_the_list_names_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(reproduce, "seconds_an_image", lambda config: 0.01)
    for data in ("finches", "cub"):
        monkeypatch.setattr(sys, "argv", ["scapnet", "reproduce", "list", "--data", data])
        cli.main()
        lines = capsys.readouterr().out.splitlines()
        assert sorted(line.split()[0] for line in lines) == sorted({*TABLES, *FIGURES})
        assert "fig2     Architecture with the shape of each tensor: 0 runs a seed, about 0.0 hours" in lines
        assert "fig8     CAM beside the gate: 2 runs a seed" in "\n".join(lines)
        runs = {"finches": "table4   Modules of SCAPNet and their combinations: 12 runs", "cub": "combinations: 9 runs"}
        assert runs[data] in "\n".join(lines)


def test_a_command_says_what_to_type() -> None:
    assert Request("table4").command == "scapnet reproduce table4 --data finches --seeds 3"
    where = Request("fig8", "cub", Path("birds"), "w.pth", 1)
    assert where.command == "scapnet reproduce fig8 --data cub --root birds --weights w.pth --seeds 1"
    assert where.runner().base.model.weights == "w.pth"
    assert Request("x").runner().base.data.root == Path("runs/reproduce/drawn")
    assert Request("x", root=Path("a")).runner().base.data.root == Path("a")


def test_a_table_is_written_whatever_becomes_of_its_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(reproduce, "seconds_an_image", lambda config: 0.01)
    monkeypatch.setattr(reproduce, "load_data", lambda config: None)
    monkeypatch.setattr(Runner, "_start", lambda *_: pytest.fail("no minute is left"))
    request = Request("fig9", out=tmp_path / "out", runs=tmp_path / "runs", seeds=2, minutes=1e-9)
    files = reproduce.reproduce(request)
    assert [file.name for file in files] == ["fig9.md"]
    assert "Not yet run" in files[0].read_text()
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("14 of 14 runs are missing: about ")
    assert said[-1] == "stopped with 14 runs missing; the same command goes on"
    files[0].unlink()
    monkeypatch.setattr(reproduce, "load_data", lambda config: pytest.fail("no data is needed"))
    monkeypatch.setattr(reproduce, "seconds_an_image", lambda config: pytest.fail("nothing is going to run"))
    assert [file.name for file in reproduce.reproduce(replace(request, data="cub", minutes=0))] == ["fig9.md"]
    monkeypatch.setattr(reproduce, "seconds_an_image", lambda config: 0.01)
    monkeypatch.setattr(reproduce, "load_data", lambda config: None)

    def run(*_: object, **__: object) -> bool:
        raise ValueError("ggau-0 failed: for a test")

    monkeypatch.setattr(Runner, "run", run)
    with pytest.raises(ValueError, match="for a test"):
        reproduce.reproduce(request)
    assert files[0].exists()
    made = {
        "config": to_dict(with_seed(request.runner().base, 0)),
        "scores": {"kept": 0.5, "accuracy": 0.7},
        "right": "1:3",
    }
    made |= {"curve": [], "hardware": "h", "commit": "c"}
    rows = tmp_path / "out" / "finches" / "rows"
    rows.mkdir()
    config = TABLES["fig9"].rows[1].config(with_seed(request.runner().base, 0))
    write_json(rows / "ggau-beta-0.25-0.json", made | {"config": to_dict(config)})
    drawn: list[Any] = []

    def draw(points: list[Any]) -> SimpleNamespace:
        drawn.extend(points)
        return SimpleNamespace(savefig=lambda file: file.write_bytes(b""))

    monkeypatch.setattr(reproduce, "kept_against_accuracy", draw)
    monkeypatch.setattr(Runner, "run", lambda *_, **__: True)
    assert [file.name for file in reproduce.reproduce(request)] == ["fig9.md", "fig9.png"]
    assert drawn == [{"beta": 0.125, "seed": 0, "kept": 0.5, "accuracy": 0.7}]
