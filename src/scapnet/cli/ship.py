"""The commands that show a run to others, and take a model to where it is used."""

from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from scapnet.allocator import quick_imports
from scapnet.serve.limits import Limits


def export(
    model: Positional[str],
    out: Path,
    format: Literal["onnx", "openvino", "pt2"] | None = None,
    precision: Literal["fp32", "fp16", "int8"] = "fp32",
    input: Literal["photo", "view"] = "photo",
    pixels: Literal["uint8", "float"] = "uint8",
    photos: Path | None = None,
    parts: float | Literal["all", "unsure", "none"] = "all",
) -> None:
    """Write a model as one file that other runtimes run, from the pixels of a photo to the answer and its parts.

    Args:
        model: a run folder, a model folder or a hub id.
        out: the file, .onnx, .xml (OpenVINO) or .pt2.
        format: by default as the suffix of `out` says.
        precision: of the weights and of the arithmetic; what fp16 and int8 change is printed.
        input: photos of any size, which are resized inside, or the network's square views.
        pixels: what they consist of, whole numbers from 0 to 255 or floats from 0 to 1.
        photos: labelled photos in class folders to compare the answers on; by default the run's held-out ones.
        parts: look at the parts of all photos; of the unsure ones, or of those whose main branch is less sure than this
            probability (ONNX only); or of none, for a file with the main branch alone.
    """
    from scapnet.export import export_model
    from scapnet.terminal.console import say

    found = export_model(model, out, format, precision, input, pixels, photos, parts, say)
    say(f"{out}: {found}")


def bench(
    what: Positional[str] = "paper",
    size: int | None = None,
    batch: int = 1,
    rounds: int = 5,
    threads: int = 1,
    rows: tuple[str, ...] = ("quick",),
    training: bool = True,
    peer: tuple[str, ...] = (),
    out: Path | None = None,
) -> None:
    """Time a network here, in inference and training, beside its backbones, its engines and other people's networks.

    Args:
        what: a preset, which is built with random weights, or a run or model folder.
        size: another side of a preset's view in pixels; its parts change in proportion.
        batch: number of images in a batch.
        rounds: number of rounds, in each of which everything runs once.
        threads: number of CPU threads; with one, CPU time is measured, which other work on the machine hardly changes.
        rows: quick, all, or some of backbones, convolutions, plain, channels_first, bf16, folded, compiled, onnx,
            openvino and int8; the last four take a minute or more to prepare.
        training: also time training steps.
        peer: ntsnet=FOLDER or pmg=FOLDER, a checkout of their authors' code, whose forward pass is timed too.
        out: a .json file for the figures; the page is written beside it.
    """
    from scapnet.bench import ALL, QUICK, bench
    from scapnet.terminal.console import make_console, say

    names = {"quick": QUICK, "all": ALL}
    chosen = [name for row in rows for name in names.get(row, (row,))]
    console = make_console(stderr=True)
    print(bench(what, size, batch, rounds, threads, chosen, training, peer, out, lambda text: say(text, console)))


def serve(
    models: Positional[list[str]],
    host: str = "127.0.0.1",
    port: int = 7860,
    page: bool = True,
    corrections: Path = Path("corrections"),
    engine: Literal["torch", "folded", "onnx", "openvino", "int8", "auto"] = "torch",
    device: str | None = None,
    batch_size: int = 8,
    at_least: float | Literal["auto"] | None = None,
    false_alarms: float | None = None,
    error_rate: float | None = None,
    tta: bool = False,
    parts: float | Literal["all", "unsure", "none"] = "all",
    limits: Limits = Limits(),  # noqa: B008
) -> None:
    """Answer photos over HTTP, and on a page where photos are dropped, pasted or taken.

    Args:
        models: a run folder, a model folder or a hub id; or two, which are compared on the page.
        host: the address to listen on; with 0.0.0.0 other machines can use the server too, without a password.
        port: the port; 0 takes a free one.
        page: show the page as well as the endpoint.
        corrections: the folder of the answers that were corrected on the page.
        engine: what runs the network; see predict.
        device: where to run it, such as cpu or cuda:1.
        batch_size: photos that go through the network together, of those that wait.
        at_least: answer "unknown" below this probability; auto is the model's own threshold.
        false_alarms: answer "unknown" where a photo looks like none of the classes; see predict.
        error_rate: answer with a set of classes, or with their coarser class; see predict.
        tta: average each answer with that for the mirrored photo.
        parts: whose parts are looked at; see predict.
        limits: bounds on what clients can ask.
    """
    with quick_imports():
        from scapnet.serve import serve
        from scapnet.terminal.console import say

    answer = at_least, false_alarms, error_rate, tta, parts
    serve(models, host, port, limits, page, corrections, engine, device, batch_size, *answer, say)


def report(
    run: Positional[Path],
    out: Path | None = None,
    split: Literal["test", "val", "train"] | None = None,
    root: Annotated[Path | None, arg(aliases=["--data.root"])] = None,
    table: Annotated[Path | None, arg(aliases=["--data.table"])] = None,
    workers: int | None = None,
    folds: tuple[Path, ...] = (),
) -> None:
    """Write one HTML page about a run: its scores, its mistakes, and what it looked at on the held-out photos.

    Args:
        run: the run folder.
        out: the page; by default report.html in the run folder.
        split: whose photos; by default test, or val if there is no test.
        root: the data set's folder now, if it has moved.
        table: likewise for a table of photos.
        workers: number of loader processes; by default chosen by the number of cores.
        folds: runs on other folds of the same data; false labels are looked for in all photos that any held out.
    """
    from scapnet.report import write_report
    from scapnet.terminal.console import make_console, say

    console = make_console(stderr=True)
    say(str(write_report(run, out, split, root, table, workers, folds, lambda text: say(text, console))))
