"""The command: what it lists, what it refuses, and that a table is written whatever happens to its runs."""

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from samples import Refuse, sentence
from scapnet import cli
from scapnet.experiments import reproduce as module
from scapnet.experiments.comparison import RowResults
from scapnet.experiments.recipes import with_seed
from scapnet.experiments.record import write_record
from scapnet.experiments.reproduce import FIGURES, Request, reproduce
from scapnet.experiments.rows import Row
from scapnet.experiments.runner import Runner
from scapnet.experiments.tables import TABLES
from toy_runs import answers, record


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nonsense",), "there is no nonsense"),
        (("table4", "--data", "nonsense"), "no recipe for 'nonsense'"),
        (("table4", "--seeds", 0), "seeds 0 must be at least 1"),
        (("table4", "--data", "grocery"), "--root"),
        (("fig8", "--data", "cub", "--root", "gone"), "gone"),
        (("frontier", "--data", "cub", "--root", "."), "finches, grocery, cub100, large-birds, small-finches"),
        (("table4", "--data", "large-birds", "--root", "."), "large-birds has rows in the frontier alone"),
        (("table4", "--jobs", -1), "must not be negative"),
        (("table4", "--minutes", -1), "must not be negative"),
    ],
)
def test_what_cannot_be_reproduced_is_one_sentence(refuse: Refuse, words: tuple[Any, ...], said: str) -> None:
    found = sentence(refuse("reproduce", *words))
    assert said in found
    assert "--data.root" not in found  # the option of another command
    if words == ("nonsense",):
        assert all(name in found for name in (*TABLES, *FIGURES, "list"))


def test_a_missing_matplotlib_is_found_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    monkeypatch.setattr(module, "load_data", lambda config: pytest.fail("too late"))
    for what in ("fig4", "fig8", "fig9", "table12"):
        with pytest.raises(ValueError, match=r'pip install "scapnet\[figures\]"'):
            reproduce(Request(what))


@pytest.mark.parametrize(("data", "runs"), [("finches", 12), ("cub", 9)])
def test_the_list_names_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], data: str, runs: int
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "seconds_per_image", lambda config: 0.01)
    monkeypatch.setattr(sys, "argv", ["scapnet", "reproduce", "list", "--data", data])
    cli.main()
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert set(lines) == {*TABLES, *FIGURES, "frontier"}
    assert lines["fig2"] == "fig2     Architecture with the shape of each tensor: 0 runs per seed, about 0.0 hours"
    assert lines["fig8"].startswith("fig8     CAM beside the gate: 2 runs per seed")
    assert f"combinations: {runs} runs" in lines["table4"]


def test_a_command_is_what_to_type() -> None:
    assert Request("table4").command == "scapnet reproduce table4 --data finches --seeds 3"
    where = Request("fig8", "cub", Path("birds"), "w.pth", 1)
    assert where.command == "scapnet reproduce fig8 --data cub --root birds --weights w.pth --seeds 1"
    assert where.runner().base.model.weights == "w.pth"
    assert Request("x").runner().base.data.root == Path("runs/reproduce/drawn")
    assert Request("x", root=Path("a")).runner().base.data.root == Path("a")


@pytest.fixture
def request_(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Request:
    """Fig. 9 with a moment of time, no data, and runs that must not start."""
    monkeypatch.setattr(module, "seconds_per_image", lambda config: 0.01)
    monkeypatch.setattr(module, "load_data", lambda config: None)
    monkeypatch.setattr(Runner, "_start", lambda *_: pytest.fail("no minute is left"))
    return Request("fig9", out=tmp_path / "out", runs=tmp_path / "runs", seeds=2, minutes=1e-9)


def test_a_table_whose_time_ran_out_says_what_is_missing(request_: Request, capsys: pytest.CaptureFixture[str]) -> None:
    (file,) = reproduce(request_)
    assert "Not run yet" in file.read_text()
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("14 of 14 runs are missing: about ")
    assert said[-1] == "stopped with 14 runs missing; repeat the command to continue"


def test_no_minutes_need_no_data(request_: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "load_data", lambda config: pytest.fail("no data is needed"))
    monkeypatch.setattr(module, "seconds_per_image", lambda config: pytest.fail("nothing is going to run"))
    assert [file.name for file in reproduce(replace(request_, data="cub", minutes=0))] == ["fig9.md"]


def test_a_run_that_fails_hides_none_of_the_others(request_: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: object, **__: object) -> bool:
        raise ValueError("ggau-0 failed: for a test")

    monkeypatch.setattr(Runner, "run", run)
    with pytest.raises(ValueError, match="for a test"):
        reproduce(request_)
    assert (request_.out / "finches" / "fig9.md").exists()


def test_figure_9_has_a_point_for_each_record(request_: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    config = TABLES["fig9"].rows[1].config(with_seed(request_.runner().base, 0))
    rows = request_.out / "finches" / "rows"
    rows.mkdir(parents=True)
    write_record(rows / "ggau-beta-0.25-0.json", record(0, answers(70), config=config, kept=0.5))
    drawn: list[Any] = []

    def draw(points: list[Any]) -> SimpleNamespace:
        drawn.extend(points)
        return SimpleNamespace(savefig=lambda file: file.write_bytes(b""))

    monkeypatch.setattr(module, "kept_against_accuracy", draw)
    assert [file.name for file in reproduce(request_)] == ["fig9.md", "fig9.png"]
    assert drawn == [{"beta": 0.125, "seed": 0, "kept": 0.5, "accuracy": 0.7}]


def test_lines_are_means_over_the_same_seeds() -> None:
    def row(name: str, curves: Mapping[int, tuple[float, ...]]) -> RowResults:
        runs = {
            seed: replace(record(seed, [True]), curve=[{"accuracy": y} for y in curve])
            for seed, curve in curves.items()
        }
        return RowResults(Row(name, name), runs)

    few, many = row("few", {1: (0.2, 0.4), 2: (0.4, 0.8)}), row("many", {0: (0.0, 0.1), 1: (0.5, 0.5), 2: (0.7, 0.9)})
    means = module._mean_curves([few, many])
    assert [epoch for epoch, _ in means["few"]] == [1, 2]
    assert [y for _, y in means["few"]] == pytest.approx([0.3, 0.6])
    assert [y for _, y in means["many"]] == pytest.approx([0.6, 0.7])
    apart = module._mean_curves([many, row("other", {7: (0.25,)})])
    assert apart["other"] == [(1, 0.25)]
    assert apart["many"][0][1] == pytest.approx(0.4)


@pytest.mark.parametrize(("what", "function", "models"), [
    ("fig4", "score_histogram", ["full-0"]),
    ("fig8", "cam_beside_gate", ["full-0", "plain-0"]),
    ("fig10", "parts_with_and_without", ["full-0", "con-0-0"]),
])  # fmt: skip
def test_a_figure_shows_the_models_of_its_rows(
    request_: Request, monkeypatch: pytest.MonkeyPatch, what: str, function: str, models: list[str]
) -> None:
    shown: list[Any] = []

    def draw(*given: Any) -> SimpleNamespace:
        shown.extend(one for one in given if isinstance(one, str))
        return SimpleNamespace(save=lambda file: file.write_bytes(b""), savefig=lambda file: file.write_bytes(b""))

    monkeypatch.setattr(Runner, "run", lambda *_, **__: True)
    monkeypatch.setattr(module, "from_pretrained", lambda folder: folder.name)
    monkeypatch.setattr(module, "_scapnet", lambda model: model)
    monkeypatch.setattr(module, "_some", lambda *_: [])
    monkeypatch.setattr(module, "load_data", lambda config: SimpleNamespace(test=[1], val=None, train=None))
    monkeypatch.setattr(module, function, draw)
    monkeypatch.setattr(module, "histogram_chart", lambda found: found)
    (file,) = reproduce(replace(request_, what=what))
    assert file == request_.out / "finches" / f"{what}.png"
    assert file.exists()
    assert shown == models


def test_a_figure_without_its_models_is_one_sentence(request_: Request) -> None:
    with pytest.raises(ValueError, match="stopped before the models were trained; repeat the command"):
        reproduce(replace(request_, what="fig10"))


def test_the_architecture_needs_no_run(request_: Request) -> None:
    (file,) = reproduce(replace(request_, what="fig2"))
    assert file.read_bytes().startswith(b"\x89PNG")
