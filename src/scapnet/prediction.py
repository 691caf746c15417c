"""What is predicted of a photo.

M parts, K classes, N grid, D feature size.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor

from scapnet.data.inputs import Photo
from scapnet.terminal.console import printable

Box = tuple[float, float, float, float]  # x0, y0, x1, y1 in pixels of the photo
UNKNOWN = "unknown"  # the answer where no class is likely enough


@dataclass(frozen=True)
class Part:
    """A part that the network looked at."""

    box: Box
    scale: int  # its side in units of the grid
    score: float  # P(keep)
    name: str  # the class that this part alone votes for, or all at once where one classifier sees them all
    probability: float


@dataclass(frozen=True)
class Prediction:
    """The answer for one photo, best class first."""

    path: str
    answer: str  # the best class, or "unknown" where its probability is below the threshold
    names: tuple[str, ...]
    probabilities: tuple[float, ...]
    parts: tuple[Part, ...]
    kept: float | None  # share of the grid that the gate kept
    features: Tensor | None = field(default=None, repr=False, compare=False)  # (D,) float32, where they were asked for
    gate: tuple[tuple[float, ...], ...] | None = field(default=None, repr=False)  # (N, N) share of each unit it kept
    view: Box | None = field(default=None, repr=False)  # what the network saw of the photo, which the grid lies over
    photo: Photo | None = field(default=None, repr=False, compare=False)  # as it was given

    def to_dict(self) -> dict[str, Any]:
        """Everything but the features and the photo itself, as JSON can hold it."""
        values = {key: value for key, value in vars(self).items() if key not in ("features", "photo")}
        return values | {"parts": [asdict(part) for part in self.parts]}

    def table(self) -> str:
        """The answer as lines of text."""
        lines = [printable(self.path) + (f": {UNKNOWN}" if self.answer != self.names[0] else "")]
        lines += [f"  {p:6.1%}  {printable(name)}" for name, p in zip(self.names, self.probabilities, strict=True)]
        for part in self.parts:
            box = ", ".join(f"{edge:.0f}" for edge in part.box)
            vote = f"{printable(part.name)} {part.probability:.0%}"
            lines.append(f"  part scale {part.scale} score {part.score:.2f} [{box}] {vote}")
        return "\n".join(lines)


@dataclass(frozen=True)
class Skipped:
    """A photo that cannot be read."""

    path: str
    reason: str  # a sentence with its name

    def to_dict(self) -> dict[str, Any]:
        """The fields, as JSON can hold them."""
        return asdict(self)
