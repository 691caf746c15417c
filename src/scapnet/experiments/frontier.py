"""The frontier: accuracy against cost of a data set's rows, as a page and as a picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from scapnet.config import Config
from scapnet.experiments.comparison import Gap, RowResults, compare, read_rows
from scapnet.experiments.cost import Cost, measured_on
from scapnet.experiments.figures.frontier import CostPoint, accuracy_against_cost
from scapnet.experiments.page import difference_text, mean_text, method_lines
from scapnet.experiments.rows import Row, Table
from scapnet.experiments.stats import spread
from scapnet.experiments.tables.frontier import AVERAGED, CURVE
from scapnet.training.schedule import work_of

HEADERS: tuple[str, ...] = (
    "row",
    "runs",
    "GMACs",
    "cost",
    "CPU time",
    "second pass",
    "pixels trained on",
    "accuracy",
    "main branch",
)
HEADERS += ("vs first row", "vs best backbone that costs no more", "")


class Place(NamedTuple):
    """A row with runs, and what an answer of its network costs."""

    results: RowResults
    gmacs: float
    seconds: float  # of a forward pass of 16 images
    pixels: float  # that it was trained on, in epochs of the recipe's main branch
    looked: float | None = None  # share of the images that get a second pass

    @property
    def row(self) -> Row:
        """The row."""
        return self.results.row

    @property
    def accuracy(self) -> float:
        """The mean over its runs, in percent."""
        return fmean(self.results.values("accuracy"))


def write_frontier(
    table: Table, records: Path, data: str, base: Config, command: str, costs: Mapping[str, Cost], out: Path
) -> list[Path]:
    """Write DATA.md and, where there are runs, DATA.png.

    Args:
        table: its first row is the backbone in the recipe's own view.
        records: the folder of the rows' records.
        data: name of the data set.
        base: its recipe.
        command: that makes the page.
        costs: of networks, by the name of a row.
        out: the folder of the page.
    """
    rows = [row for row in table.rows if row.applies_to(data)]
    pixels = {row.name: pixels_of(row.config(base), base) for row in rows}
    places = [place_of(results, costs, pixels) for results in read_rows(table, records, data) if results.records]
    out.mkdir(parents=True, exist_ok=True)
    page = out / f"{data}.md"
    page.write_text(markdown(table, places, data, command), encoding="utf-8")
    if not places:
        return [page]
    shown = [point_of(place) for place in places if place.row.name not in AVERAGED]
    accuracy_against_cost(shown).savefig(out / f"{data}.png")
    return [page, out / f"{data}.png"]


def place_of(results: RowResults, costs: Mapping[str, Cost], pixels: Mapping[str, float]) -> Place:
    """What a row costs; of one that is made of others, by how often its records have a second pass.

    Args:
        results: of the row.
        costs: of the networks of rows, and of their main branches ("NAME.main").
        pixels: that each row is trained on.
    """
    row = results.row
    names = row.average or row.cascade or (row.name,)
    gmacs, seconds = (
        [getattr(costs[name.removesuffix(".pool")], key) for name in names] for key in ("gmacs", "seconds")
    )
    trained = sum(pixels[name] for name in row.needs or (row.name,))
    looked = [record.scores["looked"] for record in results.records.values() if "looked" in record.scores]
    if not looked:
        return Place(results, sum(gmacs), sum(seconds), trained)
    # A network's second pass goes on from its first.
    known = 1 if len(row.needs) == 1 else 0
    share = fmean(looked)
    first, second = ((values[0], values[1] - known * values[0]) for values in (gmacs, seconds))
    return Place(results, first[0] + share * first[1], second[0] + share * second[1], trained, share)


def pixels_of(config: Config, base: Config) -> float:
    """Pixels that a run sees of each photo, in views of the recipe's main branch."""
    work = sum(work_of(config, epoch) for epoch in range(config.train.epochs))
    return work * (config.data.size / base.data.size) ** 2


def is_plain(place: Place) -> bool:
    """Whether a row is a plain backbone at equal training compute."""
    return place.row.name in CURVE


def rival(place: Place, places: Sequence[Place]) -> Place | None:
    """The plain backbone with the best accuracy among those that cost no more; None of a backbone itself."""
    allowed = [one for one in places if is_plain(one) and one.gmacs <= 1.001 * place.gmacs]
    return None if is_plain(place) or not allowed else max(allowed, key=lambda one: one.accuracy)


def verdict(gap: Gap) -> str:
    """What an interval decides."""
    found = gap.difference
    if found is None or not (found.low > 0 or found.high < 0):
        return "undecided"
    return "ahead" if found.low > 0 else "behind"


def point_of(place: Place) -> CostPoint:
    """A row's place in the picture."""
    values = place.results.values("accuracy")
    return CostPoint(
        place.row.label, place.gmacs, place.accuracy, spread(values) if len(values) > 1 else 0.0, is_plain(place)
    )


def markdown(table: Table, places: Sequence[Place], data: str, command: str) -> str:
    """The page."""
    lines = [f"# {table.title}: {data}", "", f"`{command}`", ""]
    if not places:
        return "\n".join([*lines, "Not run yet.", ""])
    records = [record for place in places for record in place.results.records.values()]
    lines += [*method_lines(records, data), *explanation(places), f"| {' | '.join(HEADERS)} |"]
    lines += ["|" + "---|" * len(HEADERS), *(row_line(place, places) for place in places)]
    lines += ["", f"![Accuracy against cost]({data}.png)", "", *(f"- {note}" for note in table.notes)]
    notes = [f"- {place.row.label}: {place.row.note}." for place in places if place.row.note]
    return "\n".join([*lines, *notes, ""])


def explanation(places: Sequence[Place]) -> list[str]:
    """What the columns mean."""
    return [
        "GMACs are billions of multiply-adds for the answer to one image; cost is relative to the first row, and so is "
        f"the CPU time of a forward pass (the least of three times for 16 random images, on {measured_on()}). The "
        "backbones see as many pixels in training as SCAPNet does, so the epochs of a larger view are fewer; pixels "
        "trained on are relative to an epoch of the main branch in the recipe's view. **Bold**: no row that costs as "
        "much or less is as accurate. The last columns compare with the plain backbone that is the most accurate of "
        "those that cost no more. Cascades make a second pass where the first answer is unsure: the threshold of each "
        "half of the test images is the lowest that loses at most 0.1 points on the other half, the cost is a mean "
        "over the images, and the pixels are those of all networks.",
        "",
    ]


def row_line(place: Place, places: Sequence[Place]) -> str:
    """A row of the table."""
    first, other = places[0], rival(place, places)
    best = all(one.accuracy < place.accuracy for one in places if one is not place and one.gmacs <= place.gmacs)
    accuracy = mean_text(place.results.values("accuracy"))
    cells = [
        place.row.label,
        str(len(place.results.records)),
        f"{place.gmacs:.3f}",
        f"{place.gmacs / first.gmacs:.2f}",
        f"{place.seconds / first.seconds:.2f}",
        "" if place.looked is None else f"{place.looked:.0%}",
        f"{place.pixels:.1f}",
        f"**{accuracy}**" if best else accuracy,
        "" if is_plain(place) else mean_text(place.results.values("accuracy_main")),
        "" if place is first else difference_text(compare(place.results, first.results)),
    ]
    if other is None:
        return f"| {' | '.join([*cells, '', ''])} |"
    gap = compare(place.results, other.results)
    against = f"{difference_text(gap)} ({other.row.label})" if gap.difference else other.row.label
    return f"| {' | '.join([*cells, against, verdict(gap)])} |"
