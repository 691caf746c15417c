"""Answers for many photos as a table, JSON or CSV, written one by one."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal

from scapnet.csvfile import csv_line
from scapnet.data.files import Listing, describe_skipped
from scapnet.data.sources import COUNTED, counted, expand
from scapnet.engine import TorchEngine
from scapnet.features import SUFFIXES as FEATURE_SUFFIXES
from scapnet.features import FeatureFile, feature_file
from scapnet.metrics.skipping import PartsCost, PartsFor, parts_cost
from scapnet.outputs import check_file, partial_name, writing
from scapnet.predict import NOTHING, AtLeast, PredictOptions, predict_stream
from scapnet.prediction import Prediction, Skipped
from scapnet.predictor import Predictor
from scapnet.shards import Shard
from scapnet.terminal.console import ProgressBar, make_console, printable, say

Format = Literal["table", "json", "csv"]
SUFFIXES: dict[Format, str] = {"table": ".txt", "json": ".json", "csv": ".csv"}

COLUMNS = ["path", "rank", "name", "probability", "kept", "parts", "answer", "known", "among", "parent"]


def as_csv(predictions: Iterable[Prediction]) -> Iterator[str]:
    """Lines of a CSV: a row per photo and rank; a photo's first row has the kept share, and the parts as JSON."""
    for i, prediction in enumerate(predictions):
        if not i:
            yield csv_line(COLUMNS)
        kept = "" if prediction.kept is None else f"{prediction.kept:.4f}"
        once = [kept, json.dumps(prediction.to_dict()["parts"])]
        known = "" if prediction.known is None else f"{prediction.known:.4f}"
        among = "" if prediction.among is None else json.dumps(prediction.among, ensure_ascii=False)
        verdict = [prediction.answer, known, among, prediction.parent or ""]
        for rank, (name, p) in enumerate(zip(prediction.names, prediction.probabilities, strict=True), 1):
            row = [prediction.path, rank, name, f"{p:.6f}", *(once if rank == 1 else ["", ""]), *verdict]
            yield csv_line(row)


def as_json(predictions: Iterable[Prediction]) -> Iterator[str]:
    """Lines of a JSON array, one prediction each; see `Prediction` for its fields."""
    before = "["
    for prediction in predictions:
        yield before + json.dumps(prediction.to_dict(), ensure_ascii=False)
        before = ","
    yield "[]" if before == "[" else "]"


def as_table(predictions: Iterable[Prediction]) -> Iterator[str]:
    """Human-readable text, several lines per prediction."""
    return (prediction.table() for prediction in predictions)


LINES: dict[Format, Callable[[Iterable[Prediction]], Iterator[str]]] = {
    "table": as_table,
    "json": as_json,
    "csv": as_csv,
}


def choose_format(form: Format | None, out: Path | None) -> Format:
    """The requested format, or else the one of the output's suffix, or else a table.

    Raises:
        ValueError: the output's suffix is unknown or of another format, or the output cannot be written.
    """
    if out is None:
        return form or "table"
    check_file(out, [SUFFIXES[form], ""] if form else [*SUFFIXES.values(), ""])
    by_suffix: dict[str, Format] = {suffix: name for name, suffix in SUFFIXES.items()}
    return form or by_suffix.get(out.suffix.lower(), "table")


def write_answers(
    model: str,
    photos: Sequence[Path | str],
    form: Format | None = None,
    out: Path | None = None,
    features: Path | None = None,
    top: int = 5,
    batch_size: int = 16,
    at_least: AtLeast = None,
    tta: bool = False,
    engine: str = "torch",
    parts_for: PartsFor = "all",
    error_rate: float | None = None,
    false_alarms: float | None = None,
    shard: str | None = None,
    mask_pixels: bool = False,
) -> None:
    """Predict photos and write each answer as soon as it is ready; stderr gets the progress and what was skipped.

    Args:
        model: a run folder, a model folder, a hub id, or an exported file.
        photos: files, folders of photos, and patterns such as "photos/*.jpg".
        form: by default that of the output's suffix, or a table.
        out: a file; by default stdout.
        features: a file for the main branch's features.
        top, batch_size, at_least, tta, engine, parts_for, error_rate, false_alarms: see `scapnet.Predictor`.
        shard: "I/N" predicts the I-th of N parts of the photos, and names the files after it; see `scapnet.shards`.
        mask_pixels: see `scapnet.Predictor`.

    Raises:
        ValueError: an output cannot be written (raised before the model is loaded), or there is no model or no readable
            photo.
    """
    options = PredictOptions(top, batch_size, at_least, tta, features is not None, None, error_rate, false_alarms)
    part = None if shard is None else Shard.parse(shard)
    form = choose_format(form, out)
    features = features and check_file(features, FEATURE_SUFFIXES, FEATURE_SUFFIXES[0])
    if part is not None:
        out, features = out and part.file(out), features and part.file(features)
    listing = Listing()
    files: Iterator[Path] = expand(photos, listing)
    settings = vars(options) | {"parts_for": parts_for, "mask_pixels": mask_pixels}
    predictor = Predictor.from_pretrained(model, engine=engine, **settings)
    runs = predictor.engine
    cost = parts_cost(runs.model) if isinstance(runs, TorchEngine) and parts_for != "all" else None
    # Answers printed on a terminal show the progress themselves, and a bar would disturb them.
    on_terminal = out is None and sys.stdout.isatty()
    with ProgressBar("images", live=not on_terminal) as bar, ExitStack() as stack:
        if part is None:
            files, total = counted(files)
        else:
            listings = iter([listing if part.number == 1 else Listing(), Listing()])  # one job reports for all
            files, total = part.take(lambda: expand(photos, next(listings)), batch_size)
        _say_skipped(listing, bar)
        if not on_terminal:
            bar.start("photos", total)
        rows = stack.enter_context(feature_file(features)) if features else None
        write = stack.enter_context(_lines_to(out))
        found = predict_stream(runs, files, predictor.options)
        for line in LINES[form](_followed(found, bar, rows, cost, part is not None)):
            write(line)
            if len(listing.skipped) >= COUNTED:
                _say_skipped(listing, bar)
        _say_skipped(listing, bar)


def _say_skipped(listing: Listing, bar: ProgressBar) -> None:
    """Report the files in folders that are not photos, and forget them."""
    for phrase in describe_skipped(listing.skipped):
        bar.note(f"skipped: {phrase}")
    listing.skipped.clear()


def _followed(
    found: Iterable[Prediction | Skipped],
    bar: ProgressBar,
    rows: FeatureFile | None,
    cost: PartsCost | None,
    may_be_empty: bool,
) -> Iterator[Prediction]:
    """The predictions; skipped files are reported and counted, and so are parts; features go to their file."""
    answered = skipped = looked = 0
    for one in found:
        bar.advance(1)
        if isinstance(one, Skipped):
            skipped += 1
            bar.note(f"skipped: {one.reason}")
            continue
        answered += 1
        looked += bool(one.parts)
        if rows is not None and one.features is not None:
            rows.add(one.path, one.features)
        yield one
    if skipped:
        bar.note(f"{skipped} of {answered + skipped} files are not readable images")
    if not answered and not may_be_empty:
        raise ValueError(NOTHING)
    if cost is not None and answered:
        bar.note(
            f"looked at the parts of {looked} of {answered} photos: {cost.average(looked / answered):.0%} of the "
            f"multiply-adds that the parts of all would have taken"
        )


@contextmanager
def _lines_to(out: Path | None) -> Iterator[Callable[[str], object]]:
    """A function that writes a line to a file, or to stdout."""
    if out is None:
        safe = sys.stdout.isatty()  # a program that reads the answers gets names as they are
        yield lambda line: print(*map(printable, line.split("\n")) if safe else [line], sep="\n", flush=True)
        return
    try:
        # Line-buffered, so that a kill loses no answer; a photo's name need not be UTF-8.
        with writing(out, keep=True) as draft, draft.open("w", 1, "utf-8", "backslashreplace") as file:
            yield lambda line: file.write(f"{line}\n")
    except BaseException:
        if partial_name(out).exists():
            say(f"the answers so far are in {partial_name(out)}", make_console(stderr=True))
        raise
