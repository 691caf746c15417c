"""The prediction for one photo.

M parts, K classes, N grid, D feature size.
"""

from base64 import b64encode
from dataclasses import asdict, dataclass, field
from html import escape
from io import BytesIO
from typing import Any, NamedTuple

from PIL import Image
from torch import Tensor

from scapnet.data.images import UnreadableImage, to_photo
from scapnet.data.inputs import Photo, load_photo
from scapnet.plot import caption, compare, draw_gate, draw_parts
from scapnet.plot.canvas import letter_size, scale_colour
from scapnet.terminal.console import printable

Box = tuple[float, float, float, float]  # x0, y0, x1, y1 in pixels of the photo
UNKNOWN = "unknown"  # the answer if no class is likely enough


class Verdict(NamedTuple):
    """The final answer under the settings of a prediction."""

    answer: str = UNKNOWN  # the best class, "unknown", or the coarser class of a prediction set
    known: float | None = None  # the share of photos of known classes that look no more familiar
    among: tuple[str, ...] | None = None  # the prediction set, the likeliest class first
    parent: str | None = None  # the coarser class that a set of several classes belongs to


@dataclass(frozen=True)
class Part:
    """A part that the network looked at."""

    box: Box
    scale: int  # its side in units of the grid
    score: float  # P(keep)
    name: str  # the class that this part votes for, or all parts together under a joint classifier
    probability: float


@dataclass(frozen=True)
class Prediction:
    """The answer for one photo, best class first."""

    path: str
    answer: str  # the best class, "unknown", or the coarser class of a prediction set: see `Verdict`
    names: tuple[str, ...]
    probabilities: tuple[float, ...]
    parts: tuple[Part, ...]
    kept: float | None  # share of the grid that the gate kept
    features: Tensor | None = field(default=None, repr=False, compare=False)  # (D,) float32, if requested
    gate: tuple[tuple[float, ...], ...] | None = field(default=None, repr=False)  # (N, N) share of each unit it kept
    view: Box | None = field(default=None, repr=False)  # the region that the network saw, covered by the grid
    photo: Photo | None = field(default=None, repr=False, compare=False)  # as it was given
    known: float | None = None  # where false alarms were limited: see `Verdict`
    among: tuple[str, ...] | None = None  # where an error rate was given
    parent: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Everything but the features and the photo itself, in types that JSON supports."""
        values = {key: value for key, value in vars(self).items() if key not in ("features", "photo")}
        return values | {"parts": [asdict(part) for part in self.parts]}

    def table(self) -> str:
        """The answer as lines of text."""
        lines = [printable(self.path) + self._verdict()]
        lines += [f"  {p:6.1%}  {printable(name)}" for name, p in zip(self.names, self.probabilities, strict=True)]
        for part in self.parts:
            box = ", ".join(f"{edge:.0f}" for edge in part.box)
            vote = f"{printable(part.name)} {part.probability:.0%}"
            lines.append(f"  part scale {part.scale} score {part.score:.2f} [{box}] {vote}")
        return "\n".join(lines)

    def plot(self, size: int = 640) -> Image.Image:
        """The photo with its parts, what the gate kept, and the same in words; notebooks display this picture.

        Args:
            size: the longer side of the photo in the picture, in pixels.

        Raises:
            ValueError: the photo is gone or cannot be read any more.
        """
        if self.photo is None:
            raise ValueError("this prediction has no photo to draw; use scapnet.Predictor, whose predictions keep it")
        photo = to_photo(load_photo(self.photo, self.path))
        known = "" if self.answer == self.names[0] else f"{self.answer}: "
        boxes, scales = [part.box for part in self.parts], [part.scale for part in self.parts]
        numbers = [str(m) for m in range(1, len(boxes) + 1)]
        panels = [draw_parts(photo, boxes, scales, numbers, size=size)]
        titles = [f"{known}{self.probabilities[0]:.0%} {self.names[0]}"]
        if self.gate is not None and self.kept is not None:
            panels.append(draw_gate(photo, self.gate, self.view, size))
            titles.append(f"gate: {self.kept:.0%} of the grid kept")
        rest = zip(self.names[1:], self.probabilities[1:], strict=True)
        lines = [", ".join(f"{p:.0%} {name}" for name, p in rest)] if len(self.names) > 1 else []
        lines += [f"{n}  {p.probability:.0%} {p.name}" for n, p in zip(numbers, self.parts, strict=True)]
        colours = [None] * (len(lines) - len(boxes)) + [scale_colour(scale) for scale in scales]
        return caption(compare(panels, titles), lines, colours, letter_size(panels[0]))

    def _repr_png_(self) -> bytes | None:
        try:
            file = BytesIO()
            self.plot().save(file, "PNG")
            return file.getvalue()
        except (UnreadableImage, ValueError):
            return None  # the notebook shows the text

    def _repr_html_(self) -> str:
        png, name = self._repr_png_(), escape(printable(self.path))
        source = "" if png is None else f"data:image/png;base64,{b64encode(png).decode()}"
        picture = f'<img alt="{name} with its parts and its gate" src="{source}">' if source else ""
        pairs = zip(self.names, self.probabilities, strict=True)
        rows = "".join(f"<tr><td>{p:.1%}</td><td>{escape(printable(found))}</td></tr>" for found, p in pairs)
        return f"<figure>{picture}<figcaption>{name}<table>{rows}</table></figcaption></figure>"

    def _verdict(self) -> str:
        """What stands behind the path in a table."""
        names = " or ".join(map(printable, self.among or ()))
        if self.answer == UNKNOWN:
            return f": {UNKNOWN}"
        if self.parent is not None:
            return f": {printable(self.parent)} ({names})"
        return f": {names}" if self.among is not None else ""


@dataclass(frozen=True)
class Skipped:
    """A photo that cannot be read."""

    path: str
    reason: str  # a sentence that names the photo

    def to_dict(self) -> dict[str, Any]:
        """The fields, in types that JSON supports."""
        return asdict(self)
