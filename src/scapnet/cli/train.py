"""The commands that train and score: train, resume, eval and reproduce."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import Positional, arg

from scapnet.allocator import quick_imports
from scapnet.cli.places import DataRoot, DataTable
from scapnet.config import Config, DataConfig
from scapnet.presets import PRESETS

PresetConfig = tyro.extras.subcommand_type_from_defaults(
    {name: preset() for name, preset in PRESETS.items()},
    {name: (preset.__doc__ or "").splitlines()[0] for name, preset in PRESETS.items()},
    prefix_names=False,
)


def train(config: Annotated[Config, arg(name="")], out: Path | None = None) -> None:
    """Train a preset, evaluate it and leave a run folder.

    Args:
        config: the preset.
        out: the run folder; by default runs/PRESET.
    """
    with quick_imports():
        from scapnet.devices import leave_processes
        from scapnet.training.train import train

    train(config, out)
    leave_processes()


# tyro reads the choice of presets from the annotation; type checkers see their common class.
train.__annotations__["config"] = Annotated[PresetConfig, arg(name="")]


def resume(
    run: Positional[Path],
    epochs: Annotated[int | None, arg(aliases=["--train.epochs"])] = None,
    root: DataRoot = None,
    table: DataTable = None,
    workers: int | None = None,
    lr: Annotated[float | None, arg(aliases=["--train.lr"])] = None,
    clip: Annotated[float | None, arg(aliases=["--train.clip"])] = None,
    inexact: bool = False,
) -> None:
    """Continue an interrupted run with the same losses as an uninterrupted one, or train a finished run further.

    Args:
        run: the run folder.
        epochs: the new total number of epochs; the learning rate then follows the schedule for that number.
        root: the data set's folder now, if it has moved.
        table: the table of a csv data set now, if it has moved.
        workers: number of loader processes; by default as before.
        lr: a new learning rate, for example after training has diverged.
        clip: a new largest norm of the gradient.
        inexact: resume from a damaged checkpoint, as long as its weights are intact.
    """
    with quick_imports():
        from scapnet.devices import leave_processes
        from scapnet.training.train import resume

    resume(run, epochs, root, table, workers, lr, clip, inexact)
    leave_processes()


def eval_(
    run: Positional[Path],
    split: Literal["test", "val", "train"] | None = None,
    root: DataRoot = None,
    table: DataTable = None,
    best: bool = False,
    workers: int | None = None,
    tta: bool = False,
    parts: float | Literal["all", "unsure", "none"] = "all",
    error_rate: float = 0.1,
    unknown: Path | None = None,
    explain: bool = False,
    explain_images: int = 200,
    engine: Literal["torch", "folded", "onnx", "openvino", "int8", "auto"] = "torch",
    mask_pixels: bool = False,
) -> None:
    """Score a run's model on a split of its data, or on other labelled photos, and write tables of the answers.

    Args:
        run: the run folder.
        split: which split; by default test, or val if there is no test.
        root: the data set's folder now, if it has moved; or other photos, in folders named after the classes.
        table: likewise for a table of photos.
        best: score the model that was best on the validation split instead of the last epoch's.
        workers: number of loader processes; by default chosen by the number of cores.
        tta: test-time augmentation: average the answers with those for the mirrored photos.
        parts: look at the parts of all photos, of none, or of the unsure ones only: where the main branch is below the
            threshold that training set on the validation split, or below a probability.
        error_rate: of the prediction sets that are scored.
        unknown: a folder of photos of none of the classes, to score how well they are told from the split's.
        explain: also measure whether what the network shows is what its answers rest on.
        explain_images: on how many of the images, at most.
        engine: what answers; see predict.
        mask_pixels: also score the answers from the pixels of open units alone; see predict.
    """
    with quick_imports():
        from scapnet.devices import is_first_process, leave_processes
        from scapnet.evaluate import score_run
        from scapnet.summary import show_classes, show_scores
        from scapnet.terminal.console import say

    if explain:
        from scapnet.faithfulness.measure import check_images

        check_images(explain_images)
    options = tta, parts, error_rate, unknown, workers, engine, mask_pixels
    score = score_run(run, split, root, best, table, say, *options)
    first = is_first_process()
    if first:
        show_scores(score.result)
        show_classes(score.found.target, score.found.probs, score.classes)
    if explain and first:
        from scapnet.faithfulness.measure import explain_run
        from scapnet.faithfulness.table import show_faithfulness

        show_faithfulness(explain_run(score, explain_images, root, table))
    leave_processes()


def probe(
    backbone: Positional[str],
    data: DataConfig = replace(PRESETS["photos"]().data, size=224, resize=256),  # noqa: B008
    weights: str = "pretrained",
    out: Path | None = None,
    against: tuple[Path, ...] = (),
) -> None:
    """Score a frozen backbone with a linear classifier and nearest neighbours: what training has to be ahead of.

    Args:
        backbone: the name of a timm network, such as vit_small_patch14_dinov2.lvd142m.
        data: the data.
        weights: pretrained for timm's own, none, or a file, run folder, model folder or hub id.
        out: the run folder; by default runs/probe.
        against: finished runs that were scored on the same photos, to compare with.
    """
    from scapnet.probing.probe import probe

    probe(data, backbone, weights, out, against)


def reproduce(
    what: Positional[str],
    data: str = "finches",
    root: Path | None = None,
    weights: str | None = None,
    seeds: int = 3,
    out: Path = Path("results/reproduce"),
    runs: Path = Path("runs/reproduce"),
    jobs: int = 0,
    minutes: float | None = None,
) -> None:
    """Do the missing runs of a table or figure of the paper, and write our numbers beside the paper's.

    Args:
        what: table3 to table12, fig2, fig4, fig8, fig9, fig10 or frontier; list shows them with the expected time.
        data: finches, grocery, cub100, large-birds, small-finches, cub, aircraft, veg200, fru92 or vegfru.
        root: the data set's folder; drawn ones need none.
        weights: a file with the backbone's starting weights, instead of downloading them.
        seeds: runs per row.
        out: the folder of the results; a run with a record there is not repeated.
        runs: the folder of the run folders; interrupted runs are continued.
        jobs: number of runs to train at the same time; 0 lets the machine decide.
        minutes: stop after this time; repeat the command to continue. 0 only writes the table of finished runs.
    """
    from scapnet.experiments import reproduce as experiments

    request = experiments.Request(what, data, root, weights, seeds, out, runs, jobs, minutes)
    if what == "list":
        for name, title, count, hours in experiments.catalogue(request):
            print(f"{name:8} {title}: {count} runs per seed, about {hours:.1f} hours")
        return
    for file in experiments.reproduce(request):
        print(file.read_text(encoding="utf-8") if file.suffix == ".md" else "", file, sep="\n")
