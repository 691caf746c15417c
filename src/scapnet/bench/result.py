"""What was measured: tables for people, JSON for programs."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from scapnet.bench.timing import Row, Spread, ratios


class Measured(NamedTuple):
    """A row's figures."""

    name: str
    about: str
    milliseconds: Spread  # for an image
    ratio: Spread  # to the first row of its group, within each round
    peak_mb: float | None  # on top of what was held before

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "name": self.name,
            "about": self.about,
            "milliseconds": self.milliseconds._asdict(),
            "images_per_second": 1000 / self.milliseconds.median,
            "ratio": self.ratio._asdict(),
            "peak_mb": self.peak_mb,
        }


def measured(row: Row, seconds: Sequence[float], base: Sequence[float], images: int, peak_mb: float | None) -> Measured:
    """A row's figures from its seconds in each round, and those of the row that it is compared with."""
    each = Spread.of([1000 * value / images for value in seconds])
    return Measured(row.name, row.about, each, ratios(seconds, base), peak_mb)


def table(rows: Sequence[Measured], title: str) -> list[str]:
    """Lines of a Markdown table."""
    lines = [
        f"| {title} | ms an image | quartiles | images/s | relative | quartiles | peak MB | what |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        time, ratio = row.milliseconds, row.ratio
        digits = 1 if time.median < 100 else 0
        cells = [
            row.name,
            f"{time.median:.{digits}f}",
            f"{time.lower:.{digits}f} to {time.upper:.{digits}f}",
            f"{1000 / time.median:.3g}",
            f"{ratio.median:.3f}",
            f"{ratio.lower:.3f} to {ratio.upper:.3f}",
            "-" if row.peak_mb is None else f"{row.peak_mb:,.0f}",
            row.about,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def page(found: dict[str, Any], groups: Sequence[tuple[str, Sequence[Measured]]]) -> str:
    """The result as Markdown.

    Args:
        found: the facts, as in the JSON file.
        groups: titles and rows.
    """
    cost = found["network"]
    lines = [
        "# Speed",
        "",
        f"`{found['command']}`",
        "",
        f"Commit {found['commit']}, {found['hardware']} ({found['processor']}),",
        ", ".join(f"{name} {version}" for name, version in found["versions"].items()) + ".",
        "",
        f"{cost['title']}, {cost['backbone']}, {cost['size']} px, {cost['parts']} parts: {cost['gmacs']:.2f} GMACs an",
        f"image, {cost['parameters']:,} parameters, {cost['location']:,} of them in the location module. Batch",
        f"{found['batch']}, {found['rounds']} rounds by turns after a warm-up, {found['clock']}.",
        "Medians and quartiles; a ratio is taken within each round. Peak memory is that of a row's first call, which",
        "compiles a compiled network, on top of what was held before.",
    ]
    for title, rows in groups:
        lines += ["", *table(rows, title)]
    lines += ["", *(f"- {sentence}" for sentence in found["findings"])]
    return "\n".join(lines) + "\n"
