"""`scapnet report`: look at a run, and write the page."""

from collections.abc import Callable, Sequence
from pathlib import Path

from scapnet.checkpoint import read_run
from scapnet.outputs import check_file, writing
from scapnet.report.collect import photos_to_show
from scapnet.report.content import MOST_CLASSES, content
from scapnet.report.findings import DoctorPage, doctor_page
from scapnet.report.gallery import photos_of
from scapnet.report.material import Material, Request, gather
from scapnet.report.page import LIMIT, render
from scapnet.report.pictures import Budget
from scapnet.terminal.console import ProgressBar

MOST = 400  # photos in a page
PICTURES = 3_700_000  # bytes of all pictures
SMALL = 1_500_000  # of them, for confused pairs and findings on the data


def write_report(
    run: Path | str,
    out: Path | None = None,
    split: str | None = None,
    root: Path | None = None,
    table: Path | None = None,
    workers: int | None = None,
    folds: Sequence[Path] = (),
    say: Callable[[str], None] = lambda _: None,
) -> Path:
    """Write one HTML page about a run, of at most 5 MB, which needs neither a network nor other files.

    Args:
        run: the run folder.
        out: the page; by default ``report.html`` in the run folder.
        split: "test", "val" or "train"; by default test, or val if there is no test.
        root: where the run's data is now, if it has moved.
        table: likewise for a table of photos.
        workers: number of loader processes; by default chosen by the number of cores.
        folds: runs on other folds of the same data, by whose answers labels are judged, too: each photo by the run that
            did not see it.
        say: receives sentences on what is looked at, and on what the page leaves out.

    Returns:
        The page's path.

    Raises:
        ValueError: a page that cannot be written, before the model is loaded; not a run folder, no such data or split,
            or data that has changed since the run began.
    """
    run = Path(run)
    config = read_run(run)
    out = check_file(run / "report.html" if out is None else out, (".html", ".htm"), ".html")
    request = Request(run, config, split, root, table, workers, tuple(folds), say)
    extra = Budget(SMALL)
    material = gather(request, extra)
    doctor = doctor_page(material, extra)
    with ProgressBar("images") as bar:
        text, shown = _within_limit(material, doctor, PICTURES - extra.spent, bar)
    count = len(material.found.target)
    if shown < count:
        say(f"the page shows {shown:,} of {count:,} photos, so that it stays below {LIMIT / 1e6:g} MB")
    with writing(out) as draft:
        draft.write_text(text, encoding="utf-8")
    return out


def _within_limit(material: Material, doctor: DoctorPage | None, budget: int, bar: ProgressBar) -> tuple[str, int]:
    """The page, with as many photos as fit, and their number."""
    found = material.found
    needed = {sample for pair in material.pairs for sample in pair.samples[:6]}
    first = [row for row, sample in enumerate(found.samples.tolist()) if sample in needed]
    rows = photos_to_show(found, first, MOST)
    bar.start("parts of photos", len(rows))
    samples, data = found.samples[rows].tolist(), material.chosen.data
    names = material.photos[material.chosen.split].names
    photos = photos_of(material.model, data, samples, names, Budget(budget), bar)
    text = render(content(material, photos, doctor))
    while len(text.encode()) > LIMIT and photos:
        photos = photos[: int(0.8 * len(photos))]
        text = render(content(material, photos, doctor))
    most = MOST_CLASSES
    while len(text.encode()) > LIMIT and most > 1:
        most //= 2
        text = render(content(material, photos, doctor, most))
    return text, len(photos)
