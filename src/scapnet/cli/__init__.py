"""The command line, and the only place that knows it. Heavy modules are imported when a command needs them."""

import functools
import io
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from tyro.conf import CascadeSubcommandArgs, Positional, arg
from tyro.extras import SubcommandApp

from scapnet.allocator import keep_memory
from scapnet.cli.data import data_check, data_show
from scapnet.cli.flags import check_resume, with_new_flags
from scapnet.cli.ship import export
from scapnet.config import Config
from scapnet.config.checks import collected_errors, raised_errors
from scapnet.errors import last_line
from scapnet.presets import PRESETS
from scapnet.terminal import hints
from scapnet.terminal.faults import machine_fault
from scapnet.training.signals import Stopped

PresetConfig = tyro.extras.subcommand_type_from_defaults(
    {name: preset() for name, preset in PRESETS.items()},
    {name: (preset.__doc__ or "").splitlines()[0] for name, preset in PRESETS.items()},
    prefix_names=False,
)

STYLE = (CascadeSubcommandArgs,)  # a command's own settings may come before or after the preset
# What to do after Ctrl-C, for the commands that can continue.
CONTINUE = dict.fromkeys(("train", "resume"), "; continue the run with: scapnet resume RUN") | {
    "reproduce": "; repeat the command to continue"
}


def train(config: Annotated[Config, arg(name="")], out: Path | None = None) -> None:
    """Train a preset, evaluate it and leave a run folder.

    Args:
        config: the preset.
        out: the run folder; by default runs/PRESET.
    """
    from scapnet.training.train import train

    train(config, out)


# tyro reads the choice of presets from the annotation; type checkers see their common class.
train.__annotations__["config"] = Annotated[PresetConfig, arg(name="")]


Root = Annotated[Path | None, arg(aliases=["--data.root"])]
Table = Annotated[Path | None, arg(aliases=["--data.table"])]


def resume(
    run: Positional[Path],
    epochs: Annotated[int | None, arg(aliases=["--train.epochs"])] = None,
    root: Root = None,
    table: Table = None,
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
    from scapnet.training.train import resume

    resume(run, epochs, root, table, workers, lr, clip, inexact)


def eval_(
    run: Positional[Path],
    split: Literal["test", "val", "train"] | None = None,
    root: Root = None,
    table: Table = None,
    best: bool = False,
    workers: int | None = None,
    tta: bool = False,
    explain: bool = False,
    explain_images: int = 200,
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
        explain: also measure whether what the network shows is what its answers rest on.
        explain_images: on how many of the images, at most.
    """
    from scapnet.evaluate import score_run
    from scapnet.summary import show_classes, show_scores
    from scapnet.terminal.console import say

    if explain:
        from scapnet.faithfulness.measure import check_images

        check_images(explain_images)
    score = score_run(run, split, root, best, table, say, workers, tta)
    show_scores(score.result)
    show_classes(score.found.target, score.found.probs, score.classes)
    if explain:
        from scapnet.faithfulness.measure import explain_run
        from scapnet.faithfulness.table import show_faithfulness

        show_faithfulness(explain_run(score, explain_images, root, table))


def predict(
    model: Positional[str],
    photos: Positional[list[str]],
    format: Literal["table", "json", "csv"] | None = None,
    out: Path | None = None,
    top: int = 5,
    batch_size: int = 16,
    at_least: float | Literal["auto"] | None = None,
    tta: bool = False,
    features: Path | None = None,
) -> None:
    """Classify photos, with probabilities and the parts that the answers rest on.

    Args:
        model: a run folder, a model folder or a hub id.
        photos: files, folders of photos, and patterns such as "photos/*.jpg".
        format: how to write the answers; by default by the suffix of `out`, or as a table.
        out: a .txt, .json or .csv file for the answers; by default they are printed.
        top: number of classes to list.
        batch_size: number of photos to process at a time.
        at_least: answer "unknown" below this probability; auto uses the model's own, set on the validation split.
        tta: test-time augmentation: average the answer with that for the mirrored photo.
        features: a .npy or .safetensors file for the main branch's features; FILE.names.json lists the photos.
    """
    from scapnet.answers import write_answers

    write_answers(model, photos, format, out, features, top, batch_size, at_least, tta)


def show(model: Positional[str], photos: Positional[list[str]], out: Path = Path("parts.png")) -> None:
    """Draw what a model looked at: the gate, the chosen parts of each scale, and their crops.

    Args:
        model: a run folder, a model folder or a hub id.
        photos: files, folders of photos, and patterns such as "photos/*.jpg"; the first 24 readable ones are drawn.
        out: the picture file.
    """
    from scapnet.visualize import show_parts

    print(show_parts(model, photos, out))


def explain(
    model: Positional[str],
    photo: Positional[Path | None] = None,
    versus: tuple[str, ...] = (),
    out: Path = Path("explain.png"),
    format: Literal["table", "json"] = "table",
    split: Literal["test", "val", "train"] | None = None,
    root: Root = None,
    table: Table = None,
) -> None:
    """Show why a photo got one class and not another, part by part, or what tells two classes apart.

    Args:
        model: a run folder; for a photo also a model folder or a hub id.
        photo: the photo; without one, two classes are compared over the held-out photos of a run.
        versus: the class to compare the answer with, by default the second best; or two classes.
        out: the picture file.
        format: how to print the numbers.
        split: the split whose photos are compared; by default val, or test if there is no val.
        root: the folder of the run's data now, if it has moved.
        table: likewise for a table of photos.
    """
    from scapnet.explain.command import show_explanation

    show_explanation(model, photo, versus, out, format == "json", split, root, table)


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
        data: finches, grocery, cub100, cub, aircraft, veg200, fru92 or vegfru.
        root: the data set's folder; the finches need none.
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


def checked(command: Callable[..., None], errors: Sequence[str]) -> Callable[..., None]:
    """Wrap a command so that it raises the first error found while its settings were parsed."""

    @functools.wraps(command)
    def run(*arguments: Any, **options: Any) -> None:
        if errors:
            raise ValueError(errors[0])
        with raised_errors():
            command(*arguments, **options)

    return run


def app(errors: Sequence[str] = ()) -> SubcommandApp:
    """All commands; ``errors`` is filled while the arguments are parsed."""
    commands, data = SubcommandApp(), SubcommandApp()
    for command in list[Callable[..., None]]((train, resume, eval_, predict, show, explain, export, reproduce)):
        commands.command(name=command.__name__.rstrip("_"))(checked(command, errors))
    data.command(name="show")(checked(data_show, errors))
    data.command(name="check")(checked(data_check, errors))
    commands.command(data, name="data", help="Show or check a data set.")
    return commands


def main() -> None:
    """Entry point: bad input ends with one sentence and exit code 2."""
    # Threads that spin at a barrier stall the others on a busy machine; torch reads this when it is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    keep_memory()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    arguments = sys.argv[1:]
    with hints.command(arguments):
        try:
            _run(arguments)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader left, for example `| head`
        except KeyboardInterrupt:
            print(f"scapnet: stopped{CONTINUE.get(arguments[0], '') if arguments else ''}", file=sys.stderr)
            sys.exit(128 + signal.SIGINT)
        except Stopped as stopped:
            from scapnet.terminal.console import printable

            print(f"scapnet: {printable(stopped)}", file=sys.stderr)
            sys.exit(128 + stopped.number)
        except Exception as error:
            _explain(error)


def _run(arguments: Sequence[str]) -> None:
    errors: list[str] = []
    check_resume(arguments)
    with collected_errors(errors):
        app(errors).cli(
            prog="scapnet",
            description="Fine-grained image recognition that shows which parts told look-alike classes apart.",
            config=STYLE,
            args=with_new_flags(arguments),
        )


def _explain(error: Exception) -> None:
    """End with one sentence; an error that no user can have caused is raised again."""
    fault = machine_fault(error)
    if os.environ.get("SCAPNET_DEBUG") or (fault is None and not isinstance(error, ValueError | OSError)):
        raise error
    from scapnet.terminal.console import printable

    print(f"scapnet: {fault or printable(last_line(error))}", file=sys.stderr)
    sys.exit(2)
