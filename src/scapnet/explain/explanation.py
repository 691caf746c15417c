"""Why one class and not another: the numbers for one photo.

M parts, D feature size.
"""

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from torch import Tensor

from scapnet.terminal.console import printable

Box = tuple[float, float, float, float]  # x0, y0, x1, y1


@dataclass(frozen=True)
class PartNeighbour:
    """A part of a training photo."""

    path: str
    sample: int  # its index in the training split
    box: Box  # in [0, 1] of the photo
    similarity: float  # cosine of the embeddings


@dataclass(frozen=True)
class Neighbour:
    """A training photo."""

    path: str
    sample: int
    similarity: float  # cosine of the main branch's features
    parts: tuple[PartNeighbour, ...]  # for each part of the explained photo, the most similar one here


@dataclass(frozen=True)
class Neighbours:
    """The training photos of one class that a photo resembles most, nearest first."""

    name: str  # of the class
    photos: tuple[Neighbour, ...]
    parts: tuple[tuple[PartNeighbour, ...], ...]  # for each part of the explained photo; at most one per photo


@dataclass(frozen=True)
class Evidence:
    """The evidence of a branch or a part on two classes."""

    share: float  # what it adds to the difference of the two probabilities; below 0 it favours the other class
    answer: float  # its logit of the explained class, minus the mean over all classes
    versus: float  # likewise for the other class


@dataclass(frozen=True)
class PartEvidence(Evidence):
    """The evidence of one part on two classes."""

    box: Box  # in pixels of the photo
    scale: int  # its side in units of the grid; the anchor level of NTS-Net
    score: float  # of the network for this place: P(keep), or the informativeness of NTS-Net


@dataclass(frozen=True)
class Explanation:
    """Why a photo got one class and not another, as terms that sum to the difference of the two probabilities."""

    path: str
    answer: str  # the class that is explained
    versus: str  # the class that it is compared with
    probability: float  # of the answer
    versus_probability: float
    best: str  # the network's own answer, which may be neither of the two classes
    whole: Evidence  # the main branch, which sees the whole picture
    parts: tuple[PartEvidence, ...]
    bias: float = 0.0  # what the bias of a joint classifier adds; belongs to no part
    neighbours: tuple[Neighbours, ...] = ()  # of the answer and of the other class, if training photos were given
    embeddings: Tensor | None = field(default=None, repr=False, compare=False)  # (M, D) of the parts
    features: Tensor | None = field(default=None, repr=False, compare=False)  # (D,) of the whole picture

    @property
    def difference(self) -> float:
        """The probability of the answer minus that of the other class: the sum of all shares."""
        return self.probability - self.versus_probability

    @property
    def parts_share(self) -> float:
        """What all parts together add to the difference."""
        return sum(part.share for part in self.parts)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the features, in types that JSON supports."""
        values = asdict(replace(self, embeddings=None, features=None))
        return {key: value for key, value in values.items() if value is not None} | {"difference": self.difference}

    def sentence(self) -> str:
        """The explanation as a sentence."""
        names = f"{printable(self.answer)} ({self.probability:.1%}) and not {printable(self.versus)}"
        head = f"{printable(self.path)}: {names} ({self.versus_probability:.1%})"
        if not self.parts:
            return f"{head}; this network has no parts, so the whole picture is the only evidence"
        for_, against = sum(part.share > 0 for part in self.parts), sum(part.share < 0 for part in self.parts)
        votes = f"{for_} of {len(self.parts)} parts speak for it" + (f", {against} against" if against else "")
        return f"{head}; {votes}"

    def table(self) -> str:
        """The sentence and the terms as lines of text, in percentage points."""
        rows = [("whole picture", self.whole.share, "")]
        for m, part in enumerate(self.parts, 1):
            box = ", ".join(f"{edge:.0f}" for edge in part.box)
            rows.append((f"part {m}", part.share, f"scale {part.scale} [{box}]"))
        if self.bias:
            rows.append(("bias", self.bias, ""))
        rows.append(("difference", self.difference, ""))
        lines = [f"  {100 * share:+6.1f}  {name:13} {where}".rstrip() for name, share, where in rows]
        return "\n".join([self.sentence(), *lines])
