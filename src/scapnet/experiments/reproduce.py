"""`scapnet reproduce`: a table or a figure of the paper by its name."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import fmean

import torch

from scapnet.build import build_model, view_of
from scapnet.checkpoint import from_pretrained
from scapnet.data.broken import sort_out
from scapnet.data.load import load_data
from scapnet.data.sample import FineGrained, Sample
from scapnet.experiments.cost import Cost, cost_of, hours, seconds_an_image
from scapnet.experiments.figures.architecture import architecture
from scapnet.experiments.figures.charts import (
    NO_MATPLOTLIB,
    Point,
    curves,
    histogram_chart,
    kept_against_accuracy,
    score_histogram,
)
from scapnet.experiments.figures.parts import cam_beside_gate, parts_with_and_without
from scapnet.experiments.page import Found, read_rows, write_table
from scapnet.experiments.recipes import classes_of, recipe_of, with_seed
from scapnet.experiments.rows import Row, Table
from scapnet.experiments.runner import RowRun, Runner
from scapnet.experiments.tables import TABLES
from scapnet.model import SCAPNet
from scapnet.network import Network

FIGURES = {
    "fig2": "Architecture with the shape of each tensor",
    "fig4": "How often units of each score are kept",
    "fig8": "CAM beside the gate",
    "fig9": "Kept share against accuracy over beta",
    "fig10": "Parts chosen with and without L_con",
}
CHARTS = ("fig4", "fig9", "table12")
PHOTOS = 6


@dataclass(frozen=True)
class Request:
    """What is to be reproduced, and where.

    Args:
        what: name of a table or a figure.
        data: name of the data set.
        root: where it lies.
        weights: a file with the backbone's starting weights instead of those that would be downloaded.
        seeds: how many runs of each row.
        out: folder of the results.
        runs: folder of the run folders.
        jobs: runs side by side; 0 chooses by the machine.
        minutes: stop after so many; with 0 a table is written of what is there, and no data is needed.
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
        """What a reader would type."""
        words = ["scapnet", "reproduce", self.what, "--data", self.data]
        # The finches' folder keeps what is drawn anyway, and where records and runs lie changes nothing in them.
        words += ["--root", str(self.root)] if self.root is not None and self.data != "finches" else []
        words += ["--weights", self.weights] if self.weights else []
        return shlex.join([*words, "--seeds", str(self.seeds)])

    def runner(self) -> Runner:
        """The runner that runs it; drawn pictures are kept beside the runs."""
        root = self.runs / "drawn" if self.data == "finches" and self.root is None else self.root
        base = recipe_of(self.data, root, self.weights)
        return Runner(base, self.out, self.runs, self.command, self.jobs)


def catalogue(request: Request) -> list[tuple[str, str, int, float]]:
    """Name, title, number of runs of one seed, and hours to expect for them on this machine, of everything."""
    runner = request.runner()
    second = seconds_an_image(runner.base)
    found = []
    for table in TABLES.values():
        jobs = _trained(runner.plan(table.rows, [0]))
        found.append((table.name, table.title, len(jobs), hours([job.config for job in jobs], second)))
    for name, title in FIGURES.items():
        if name not in TABLES:
            jobs = runner.plan(_models_of(name), [0])
            found.append((name, title, len(jobs), hours([job.config for job in jobs], second)))
    return found


def reproduce(request: Request) -> list[Path]:
    """Run what is missing of a table or a figure and write it; what is there already is used.

    Returns:
        The files that show it.

    Raises:
        ValueError: an unknown name, data that is not there, or a run that cannot be made.
    """
    if request.what not in {**TABLES, **FIGURES}:
        raise ValueError(f"there is no {request.what}; choose one of {', '.join({**TABLES, **FIGURES})}, or list")
    if request.seeds < 1:
        raise ValueError(f"seeds {request.seeds} must be at least 1")
    if request.jobs < 0 or (request.minutes or 0) < 0:
        raise ValueError(f"jobs {request.jobs} and minutes {request.minutes} must not be negative")
    if request.what in CHARTS and find_spec("matplotlib") is None:  # a sentence now is better than one after hours
        raise ValueError(NO_MATPLOTLIB)
    runner = request.runner()
    if request.what not in TABLES or request.minutes != 0:  # a page of what is there needs no data
        try:
            load_data(with_seed(runner.base, 0).data)  # a sentence now is better than one from every run
        except ValueError as error:  # it names the option of `scapnet train`
            raise ValueError(str(error).replace("--data.root", "--root")) from error
    if request.what in TABLES:
        return _table(request, runner, TABLES[request.what])
    return [_figure(request, runner)]


def _trained(jobs: Sequence[RowRun]) -> list[RowRun]:
    return [job for job in jobs if job.row.average is None]


def _expect(runner: Runner, missing: Sequence[RowRun], of: int) -> None:
    if missing:
        expected = hours([job.config for job in missing], seconds_an_image(runner.base))
        runner.say(f"{len(missing)} of {of} runs are missing: about {expected:.1f} hours here, and loading on top")


def _table(request: Request, runner: Runner, table: Table) -> list[Path]:
    runner.check(table.rows)
    jobs = runner.plan(table.rows, range(request.seeds))
    if request.minutes != 0:
        _expect(runner, _trained(runner.missing(jobs)), len(_trained(jobs)))
    try:
        runner.run(jobs, request.minutes)
        if left := _trained(runner.missing(jobs)):  # an average is missing where its runs are
            runner.say(f"stopped with {len(left)} runs missing; the same command goes on")
    except ValueError:
        _pages(request, runner, table)  # a row that cannot be run hides none of the others
        raise
    return _pages(request, runner, table)


def _pages(request: Request, runner: Runner, table: Table) -> list[Path]:
    """Write what is there of a table."""
    place = request.out / request.data
    costs = _costs(runner, table) if table.costs else {}
    files = [write_table(table, place, request.data, request.command, costs)]
    chart = _chart(table, place, request.data) if table.name in ("table12", "fig9") else None
    return [*files, chart] if chart else files


def _costs(runner: Runner, table: Table) -> dict[str, Cost]:
    """Of each row's network, with random weights."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    found = {}
    for row in table.rows:
        if row.name and row.belongs(runner.base.preset):
            config = row.config(runner.base)
            model = build_model(config.model, classes_of(config), config.data.size, start=False).to(device)
            found[row.name] = cost_of(model, config.data.size)
    return found


def _chart(table: Table, place: Path, data: str) -> Path | None:
    found = [mine for mine in read_rows(table, place / "rows", data) if mine.records]
    if not found:
        return None
    file = place / f"{table.name}.png"
    if table.name == "fig9":
        points = [
            Point(
                beta=record["config"].loss.act,
                seed=seed,
                kept=record["scores"]["kept"],
                accuracy=record["scores"]["accuracy"],
            )
            for mine in found
            for seed, record in mine.records.items()
        ]
        kept_against_accuracy(points).savefig(file)
        return file
    curves(_mean_curves(found), "accuracy in training (%)").savefig(file)
    return file


def _mean_curves(found: Sequence[Found]) -> dict[str, list[tuple[int, float]]]:
    """Training accuracy by epoch (from 1) of each row, a mean over the seeds that all rows have, or else over its own.

    Seeds can differ by more than rows do, so lines over different ones could not be compared.
    """
    shared = set.intersection(*(set(mine.records) for mine in found))
    series = {}
    for mine in found:
        chosen = [record["curve"] for seed, record in mine.records.items() if seed in shared or not shared]
        epochs = zip(*chosen, strict=False)
        series[mine.row.label] = [
            (epoch, fmean(point["accuracy"] for point in several)) for epoch, several in enumerate(epochs, 1)
        ]
    return series


def _models_of(name: str) -> list[Row]:
    """The rows whose models a figure shows."""
    rows = {row.name: row for table in TABLES.values() for row in table.rows}
    wanted = {"fig4": ["full"], "fig8": ["full", "plain"], "fig10": ["full", "con-0"]}
    return [rows[row] for row in wanted.get(name, [])]


def _figure(request: Request, runner: Runner) -> Path:
    rows = _models_of(request.what)
    runner.check(rows)
    jobs = runner.plan(rows, [0])
    _expect(runner, runner.missing(jobs, models=True), len(jobs))
    if not runner.run(jobs, request.minutes, models=True):
        raise ValueError("stopped before the models were trained; the same command goes on")
    models = [from_pretrained(runner.folder(job)) for job in jobs]
    file = request.out / request.data / f"{request.what}.png"
    file.parent.mkdir(parents=True, exist_ok=True)
    if request.what == "fig2":
        model = build_model(runner.base.model, classes_of(runner.base), runner.base.data.size, start=False)
        model.view = view_of(runner.base, model)
        architecture(_scapnet(model), runner.base.data.size).save(file)
        return file
    splits = load_data(jobs[0].config.data)
    data = splits.test or splits.val or splits.train
    if request.what == "fig4":
        found = score_histogram(_scapnet(models[0]), _some(data, 200))
        histogram_chart(found).savefig(file)
    elif request.what == "fig8":
        cam_beside_gate(_scapnet(models[0]), models[1], _some(data, PHOTOS)).save(file)
    else:
        parts_with_and_without(_scapnet(models[0]), _scapnet(models[1]), _some(data, PHOTOS)).save(file)
    return file


def _scapnet(model: Network) -> SCAPNet:
    """The network of a row that a figure shows, all of which are SCAPNets."""
    assert isinstance(model, SCAPNet)
    return model


def _some(data: FineGrained, count: int) -> list[Sample]:
    """Readable samples, spread over a split."""
    picked = torch.linspace(0, len(data) - 1, min(count, len(data))).long().tolist()
    return sort_out(data, picked)[0]
