"""`scapnet reproduce`: a table or a figure of the paper by its name."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import fmean

import torch
from PIL import Image

from scapnet.build import build_model, view_of
from scapnet.checkpoint import from_pretrained
from scapnet.data.broken import readable_samples
from scapnet.data.load import load_data
from scapnet.data.sample import FineGrained, Sample
from scapnet.experiments.comparison import RowResults, read_rows
from scapnet.experiments.cost import Cost, cost_of, hours, seconds_per_image
from scapnet.experiments.figures.architecture import architecture
from scapnet.experiments.figures.charts import Point, curves, histogram_chart, kept_against_accuracy, score_histogram
from scapnet.experiments.figures.parts import cam_beside_gate, parts_with_and_without
from scapnet.experiments.figures.style import NO_MATPLOTLIB
from scapnet.experiments.frontier import write_frontier
from scapnet.experiments.page import write_table
from scapnet.experiments.recipes import DRAWN, OURS, SMALL, classes_of, recipe_of, with_seed
from scapnet.experiments.rows import Row, Table
from scapnet.experiments.runner import RowRun, Runner
from scapnet.experiments.tables import TABLES
from scapnet.experiments.tables.frontier import FRONTIER
from scapnet.model import SCAPNet
from scapnet.network import Network
from scapnet.outputs import check_folder
from scapnet.terminal.hints import command

FIGURES = {
    "fig2": "Architecture with the shape of each tensor",
    "fig4": "How often units of each score are kept",
    "fig8": "CAM beside the gate",
    "fig9": "Kept share against accuracy over beta",
    "fig10": "Parts chosen with and without L_con",
}
LISTED = {**TABLES, FRONTIER.name: FRONTIER}
MODELS = {"fig4": ("full",), "fig8": ("full", "plain"), "fig10": ("full", "con-0")}  # the rows that a figure shows
WITH_MATPLOTLIB = ("fig4", "fig8", "fig9", "table12", FRONTIER.name)
PHOTOS = 6
SCORED = 200  # images of Fig. 4


@dataclass(frozen=True)
class Request:
    """What to reproduce, and where.

    Args:
        what: name of a table or a figure.
        data: name of the data set.
        root: folder of the data set.
        weights: a file with the backbone's starting weights, instead of downloading them.
        seeds: runs per row.
        out: folder of the results.
        runs: folder of the run folders.
        jobs: number of runs to train at the same time; 0 lets the machine decide.
        minutes: stop after this time; 0 only writes the table of finished runs, without data.
    """

    what: str
    data: str = "finches"
    root: Path | None = None
    weights: str | None = None
    seeds: int = 3
    out: Path = Path("results/reproduce")
    runs: Path = Path("runs/reproduce")
    jobs: int = 0
    minutes: float | None = None

    @property
    def command(self) -> str:
        """The command that repeats the request."""
        words = ["scapnet", "reproduce", self.what, "--data", self.data]
        # The folders of the finches' cache, of records and of runs do not change the result.
        words += ["--root", str(self.root)] if self.root is not None and self.data not in DRAWN else []
        words += ["--weights", self.weights] if self.weights else []
        return shlex.join([*words, "--seeds", str(self.seeds)])

    def runner(self) -> Runner:
        """A runner for the request; drawn images are cached beside the runs."""
        root = self.runs / "drawn" if self.data in DRAWN and self.root is None else self.root
        base = recipe_of(self.data, root, self.weights)
        return Runner(base, self.out, self.runs, self.command, self.jobs)


def catalogue(request: Request) -> list[tuple[str, str, int, float]]:
    """Name, title, number of runs per seed, and their expected hours on this machine, of every table and figure."""
    runner = request.runner()
    second = seconds_per_image(runner.base)
    found = []
    for name, title in {**{table.name: table.title for table in LISTED.values()}, **FIGURES}.items():
        rows = LISTED[name].rows if name in LISTED else _models_of(name)
        runs = _trained(runner.plan(rows, [0]))
        found.append((name, title, len(runs), hours([run.config for run in runs], second)))
    return found


def reproduce(request: Request) -> list[Path]:
    """Do the missing runs of a table or figure, and write it; existing records and models are reused.

    Returns:
        The files of the table or figure.

    Raises:
        ValueError: the name is unknown, data is missing, or a run failed.
    """
    _check(request)
    runner = request.runner()
    if request.what not in LISTED or request.minutes != 0:
        with command(["reproduce"]):
            load_data(with_seed(runner.base, 0).data)  # one sentence now is better than one from every run
    if request.what in LISTED:
        return _table(request, runner, LISTED[request.what])
    return [_figure(request, runner)]


def _check(request: Request) -> None:
    known = {**LISTED, **FIGURES}
    if request.what not in known:
        raise ValueError(f"there is no {request.what}; choose one of {', '.join(known)}, or list")
    if request.what == FRONTIER.name and request.data not in (*OURS, *SMALL):
        raise ValueError(f"the frontier has rows for {', '.join((*OURS, *SMALL))}; choose one of them with --data")
    if request.what != FRONTIER.name and request.data in SMALL:
        raise ValueError(f"{request.data} has rows in the frontier alone; choose another --data for {request.what}")
    if request.seeds < 1:
        raise ValueError(f"seeds {request.seeds} must be at least 1")
    if request.jobs < 0 or (request.minutes or 0) < 0:
        raise ValueError(f"jobs {request.jobs} and minutes {request.minutes} must not be negative")
    check_folder(request.out, "choose another --out")
    check_folder(request.runs, "choose another --runs")
    if request.what in WITH_MATPLOTLIB and find_spec("matplotlib") is None:  # checked now, not after hours of training
        raise ValueError(NO_MATPLOTLIB)


def _trained(runs: Sequence[RowRun]) -> list[RowRun]:
    """The runs that do not depend on others."""
    return [run for run in runs if not run.row.needs]


def _announce(runner: Runner, missing: Sequence[RowRun], total: int) -> None:
    if missing:
        expected = hours([run.config for run in missing], seconds_per_image(runner.base))
        runner.report(f"{len(missing)} of {total} runs are missing: about {expected:.1f} hours here, without loading")


# --- Tables ---


def _plan(runner: Runner, table: Table, seeds: Sequence[int]) -> list[RowRun]:
    """All runs of a table; for all seeds, those of its first rows come before the others."""
    rows = {row.name: row for row in table.rows}
    others = [row for row in table.rows if row.name not in table.first]
    return runner.plan([rows[name] for name in table.first], seeds) + runner.plan(others, seeds)


def _table(request: Request, runner: Runner, table: Table) -> list[Path]:
    runner.check(table.rows)
    runs = _plan(runner, table, range(request.seeds))
    if request.minutes != 0:
        _announce(runner, _trained(runner.missing(runs)), len(_trained(runs)))
    try:
        runner.run(runs, request.minutes)
        if left := _trained(runner.missing(runs)):  # an average is missing if its runs are
            runner.report(f"stopped with {len(left)} runs missing; repeat the command to continue")
    except ValueError:
        _pages(request, runner, table)  # a failed run does not hide the others
        raise
    return _pages(request, runner, table)


def _pages(request: Request, runner: Runner, table: Table) -> list[Path]:
    """Write a table from the existing records."""
    place = request.out / request.data
    costs = _costs(runner, table) if table.costs else {}
    if table is FRONTIER:
        pages = request.out.with_name(FRONTIER.name)
        return write_frontier(table, place / "rows", request.data, runner.base, request.command, costs, pages)
    files = [write_table(table, place, request.data, request.command, costs)]
    chart = _chart(table, place, request.data) if table.name in ("table12", "fig9") else None
    return [*files, chart] if chart else files


def _costs(runner: Runner, table: Table) -> dict[str, Cost]:
    """The cost of each row's network, and of main branches that rows need, with random weights."""
    branches = {name for row in table.rows for name in row.cascade}
    device = "cuda" if torch.cuda.is_available() else "cpu"
    found = {}
    for row in table.rows:
        if row.name and row.applies_to(runner.base.preset) and not row.needs:
            config = row.config(runner.base)
            model = build_model(config.model, classes_of(config), config.data.size, start=False).to(device)
            found[row.name] = cost_of(model, config.data.size)
            if f"{row.name}.main" in branches:
                model.set_stage(1)
                found[f"{row.name}.main"] = cost_of(model, config.data.size)
    return found


def _chart(table: Table, place: Path, data: str) -> Path | None:
    results = [result for result in read_rows(table, place / "rows", data) if result.records]
    if not results:
        return None
    file = place / f"{table.name}.png"
    if table.name == "fig9":
        kept_against_accuracy(_points(results)).savefig(file)
    else:
        curves(_mean_curves(results), "accuracy in training (%)").savefig(file)
    return file


def _points(results: Sequence[RowResults]) -> list[Point]:
    return [
        Point(beta=record.config.loss.act, seed=seed, kept=record.scores["kept"], accuracy=record.scores["accuracy"])
        for result in results
        for seed, record in result.records.items()
    ]


def _mean_curves(results: Sequence[RowResults]) -> dict[str, list[tuple[int, float]]]:
    """Training accuracy of each row by epoch (from 1), averaged over the seeds that all rows have, or else its own.

    Seeds can differ by more than rows do, so curves over different seeds could not be compared.
    """
    shared = set.intersection(*(set(result.records) for result in results))
    series = {}
    for result in results:
        chosen = [record.curve for seed, record in result.records.items() if seed in shared or not shared]
        series[result.row.label] = [
            (epoch, fmean(point["accuracy"] for point in points))
            for epoch, points in enumerate(zip(*chosen, strict=False), 1)
        ]
    return series


# --- Figures ---


def _models_of(name: str) -> list[Row]:
    """The rows whose models a figure shows."""
    rows = {row.name: row for table in TABLES.values() for row in table.rows}
    return [rows[row] for row in MODELS.get(name, ())]


def _figure(request: Request, runner: Runner) -> Path:
    rows = _models_of(request.what)
    runner.check(rows)
    runs = runner.plan(rows, [0])
    _announce(runner, runner.missing(runs, models=True), len(runs))
    if not runner.run(runs, request.minutes, models=True):
        raise ValueError("stopped before the models were trained; repeat the command to continue")
    file = request.out / request.data / f"{request.what}.png"
    file.parent.mkdir(parents=True, exist_ok=True)
    if request.what == "fig2":
        _architecture(runner).save(file)
        return file
    models = [from_pretrained(runner.run_folder(run)) for run in runs]
    splits = load_data(runs[0].config.data)
    data = splits.test or splits.val or splits.train
    if request.what == "fig4":
        histogram_chart(score_histogram(_scapnet(models[0]), _some(data, SCORED))).savefig(file)
    elif request.what == "fig8":
        cam_beside_gate(_scapnet(models[0]), models[1], _some(data, PHOTOS)).save(file)
    else:
        parts_with_and_without(_scapnet(models[0]), _scapnet(models[1]), _some(data, PHOTOS)).save(file)
    return file


def _architecture(runner: Runner) -> Image.Image:
    size = runner.base.data.size
    model = build_model(runner.base.model, classes_of(runner.base), size, start=False)
    model.view = view_of(runner.base, model)
    return architecture(_scapnet(model), size)


def _scapnet(model: Network) -> SCAPNet:
    """The model as a SCAPNet, which these figures require."""
    assert isinstance(model, SCAPNet)
    return model


def _some(data: FineGrained, count: int) -> list[Sample]:
    """Readable samples, evenly spaced over a split."""
    chosen = torch.linspace(0, len(data) - 1, min(count, len(data))).long().tolist()
    return readable_samples(data, chosen)[0]
