"""Charts as inline SVG. Colours are classes of the page's style sheet, so that they follow light and dark."""

import math
from collections.abc import Callable, Sequence

from markupsafe import Markup, escape

from scapnet.metrics.calibration import ReliabilityBin
from scapnet.report.collect import Score
from scapnet.report.curves import Curve

WIDTH, HEIGHT = 380, 240
LEFT, RIGHT, TOP, BOTTOM = 44, 22, 12, 38


def percent(value: float) -> str:
    """A share as text.

    >>> percent(0.5), percent(0.0512)
    ('50%', '5.1%')
    """
    return f"{100 * value:.1f}".removesuffix(".0") + "%"


def points(value: float) -> str:
    """A difference of shares as percentage points, with its sign.

    >>> points(0.012), points(-0.2), points(-0.0001)
    ('+1.2', '−20.0', '0.0')
    """
    found = f"{100 * value:+.1f}".replace("-", "−")
    return found if found[1:] != "0.0" else "0.0"


def plain(value: float) -> str:
    """A number as text, without needless digits."""
    return f"{value:.3g}"


def svg(title: str, body: Sequence[str], width: int = WIDTH, height: int = HEIGHT) -> Markup:
    """An SVG picture with a text for those who do not see it."""
    head = f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">'
    return Markup(head + "".join(body) + "</svg>")


def text(x: float, y: float, words: str, anchor: str = "start", style: str = "tick") -> str:
    """A word at a place."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{style}">{escape(words)}</text>'


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers within a range.

    >>> ticks(0, 1), ticks(0, 7)
    ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [0.0, 2.0, 4.0, 6.0])
    """
    if not high > low:
        return [low]
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 10) for i in range(first, math.floor(high / step + 1e-9) + 1)]


class Axes:
    """A plot's frame: from numbers to places, with grid lines and their labels."""

    def __init__(
        self,
        x: tuple[float, float],
        y: tuple[float, float],
        x_label: str,
        x_text: Callable[[float], str] = plain,
        y_text: Callable[[float], str] = plain,
        x_ticks: Sequence[float] | None = None,
    ) -> None:
        self.x_range, self.y_range = x, y
        bottom = HEIGHT - BOTTOM
        self.body = []
        for value in ticks(*y):
            at = self.y(value)
            self.body.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
            self.body.append(text(LEFT - 6, at + 4, y_text(value), "end"))
        for value in ticks(*x) if x_ticks is None else x_ticks:
            self.body.append(text(self.x(value), bottom + 16, x_text(value), "middle"))
        self.body.append(f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{bottom}" y2="{bottom}"/>')
        self.body.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, x_label, "middle", "label"))

    def x(self, value: float) -> float:
        """A number's place from the left."""
        low, high = self.x_range
        return LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        """A number's place from the top."""
        low, high = self.y_range
        return HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    def line(self, points: Sequence[tuple[float, float]], colour: int, dots: bool = False) -> None:
        """A line through points; a single one is a dot."""
        places = [(self.x(a), self.y(b)) for a, b in points]
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in places)
        self.body.append(f'<polyline class="line s{colour}" points="{path}"/>')
        for a, b in places if dots or len(places) == 1 else ():
            self.body.append(f'<circle class="dot f{colour}" cx="{a:.1f}" cy="{b:.1f}" r="3"/>')


def lines(title: str, curves: Sequence[Curve], x_label: str, share: bool, colours: Sequence[int] = ()) -> Markup:
    """Curves over a common x axis.

    Args:
        title: what is shown, in words.
        curves: at least one point in all.
        x_label: of the x axis, which is marked at whole numbers.
        share: the values are shares from 0 to 1, or else positive numbers.
        colours: of the curves, numbers of the page's colours; by default 0, 1, 2, ...
    """
    xs = [x for curve in curves for x, _ in curve.points]
    ys = [y for curve in curves for _, y in curve.points]
    high = 1.0 if share else max(*ys, 1e-9) * 1.05
    whole = [value for value in ticks(0, max(*xs, 1e-9)) if value == int(value)]
    axes = Axes((0, max(*xs, 1e-9)), (0, high), x_label, plain, percent if share else plain, whole)
    for colour, curve in zip(colours or range(len(curves)), curves, strict=True):
        axes.line(curve.points, colour, dots=len(curve.points) <= 24)
    return svg(title, axes.body)


def whiskers(title: str, rows: Sequence[Score]) -> Markup:
    """Shares as dots, with their intervals as lines."""
    step, head = 46, 8
    left, right = 15, WIDTH - 72  # room for the dot of 100% and for the figure beside it
    height = head + step * len(rows) + 24
    low = max(0.0, min(0.9, math.floor(10 * min(row.low for row in rows)) / 10))
    body = []

    def place(value: float) -> float:
        return left + (value - low) / (1 - low) * (right - left)

    for value in ticks(low, 1.0):
        x = place(value)
        body.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{head}" y2="{height - 22}"/>')
        body.append(text(x, height - 6, percent(value), "middle"))
    for i, row in enumerate(rows):
        y = head + step * i + 32
        body.append(text(left, y - 14, row.name, "start", "label"))
        body.append(
            f'<line class="whisker s{i}" x1="{place(row.low):.1f}" x2="{place(row.high):.1f}" y1="{y}" y2="{y}"/>'
        )
        body.append(f'<circle class="dot f{i}" cx="{place(row.value):.1f}" cy="{y}" r="5.5"/>')
        body.append(text(WIDTH - 4, y + 4, f"{100 * row.value:.1f}%", "end", "value"))
    return svg(title, body, height=height)


def reliability(title: str, bins: Sequence[ReliabilityBin]) -> Markup:
    """Accuracy by probability as bars, the fainter the fewer photos, and the mean probability of each as a short line.

    The page has the figures in a table, too: what appears over a bar is for those who have a mouse.
    """
    axes = Axes((0, 1), (0, 1), "probability of the answer", percent, percent)
    body, most = axes.body, max((one.images for one in bins), default=1) or 1
    bottom, wide = axes.y(0), axes.x(bins[0].high) - axes.x(0) - 3
    for one in bins:
        if one.accuracy is None or one.confidence is None:
            continue
        x, top, middle = axes.x(one.low) + 1.5, axes.y(one.accuracy), axes.y(one.confidence)
        tip = f"{percent(one.low)} to {percent(one.high)}: {one.images} photos, {percent(one.accuracy)} right"
        fade = 0.35 + 0.65 * math.sqrt(one.images / most)
        body.append(
            f'<rect class="f0" x="{x:.1f}" y="{top:.1f}" width="{wide:.1f}" height="{max(bottom - top, 1):.1f}" '
            f'opacity="{fade:.2f}"><title>{tip}</title></rect>'
        )
        body.append(f'<line class="gap" x1="{x:.1f}" x2="{x + wide:.1f}" y1="{middle:.1f}" y2="{middle:.1f}"/>')
    body.append(f'<line class="diagonal" x1="{axes.x(0)}" y1="{axes.y(0)}" x2="{axes.x(1)}" y2="{axes.y(1)}"/>')
    return svg(title, body)


def trade(title: str, points: Sequence[tuple[float, float]], x_label: str) -> Markup:
    """Accuracy against a share, on an axis that shows small differences."""
    values = [y for _, y in points]
    pad = max(0.01, (max(values) - min(values)) * 0.25)
    axes = Axes((0, 1), (max(0.0, min(values) - pad), min(1.0, max(values) + pad)), x_label, percent, percent)
    axes.line(points, 0, dots=True)
    return svg(title, axes.body)


def shares(title: str, rows: Sequence[tuple[str, float]], most: float) -> Markup:
    """Shares as bars to the right, or to the left of the middle where they are below 0.

    Args:
        title: what is shown, in words.
        rows: names and values.
        most: the length of the longest bar of all pictures that are compared.
    """
    step, middle, reach = 24, 190, 90
    body = [f'<line class="axis" x1="{middle}" x2="{middle}" y1="2" y2="{step * len(rows) + 2}"/>']
    for i, (name, value) in enumerate(rows):
        y, long = step * i + 4, reach * abs(value) / max(most, 1e-9)
        x = middle if value >= 0 else middle - long
        style = "good" if value >= 0 else "bad"
        body.append(f'<rect class="{style}" x="{x:.1f}" y="{y}" width="{max(long, 1):.1f}" height="15" rx="2"/>')
        body.append(text(0, y + 12, name, "start", "label"))
        body.append(text(WIDTH - 40, y + 12, points(value), "end", "value"))
    return svg(title, body, height=step * len(rows) + 6)
