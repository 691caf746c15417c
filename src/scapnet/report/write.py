"""`scapnet report`: look at a run, and write the page."""

from collections.abc import Callable
from pathlib import Path

from scapnet.checkpoint import from_pretrained, read_run
from scapnet.data.record import names_of
from scapnet.data.scored import choose
from scapnet.engine import best_device
from scapnet.outputs import check_file, writing
from scapnet.report.answered import answer_split
from scapnet.report.collect import photos_to_show
from scapnet.report.content import Material, content
from scapnet.report.gallery import photos_of
from scapnet.report.page import LIMIT, render
from scapnet.report.pictures import Budget
from scapnet.terminal.console import ProgressBar

MOST = 400  # photos in a page
PICTURES = 3_700_000  # bytes of their pictures


def write_report(
    run: Path | str,
    out: Path | None = None,
    split: str | None = None,
    root: Path | None = None,
    table: Path | None = None,
    workers: int | None = None,
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
    model = from_pretrained(run).to(best_device())
    chosen = choose(run, config.data, model.classes, split, root, table)
    for note in chosen.notes:
        say(note)
    with ProgressBar("images") as bar:
        bar.start(f"answers on {chosen.split}", len(chosen.data))
        found = answer_split(model, chosen.data, max(config.train.batch_size, 32), workers, bar)
        material = Material(run, config, model, chosen, found, names_of(chosen.data, chosen.root))
        text, shown = _within_limit(material, bar)
    if shown < len(found.target):
        say(f"the page shows {shown:,} of {len(found.target):,} photos, so that it stays below {LIMIT / 1e6:g} MB")
    with writing(out) as draft:
        draft.write_text(text, encoding="utf-8")
    return out


def _within_limit(material: Material, bar: ProgressBar) -> tuple[str, int]:
    """The page, with as many photos as fit, and their number."""
    found = material.found
    rows = photos_to_show(found, (), MOST)
    bar.start("parts of photos", len(rows))
    samples = found.samples[rows].tolist()
    photos = photos_of(material.model, material.chosen.data, samples, material.names, Budget(PICTURES), bar)
    text = render(content(material, photos))
    while len(text.encode()) > LIMIT and photos:
        photos = photos[: int(0.8 * len(photos))]
        text = render(content(material, photos))
    return text, len(photos)
