"""The photos of a page: pictures within a budget of bytes, and what the network looked at in each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scapnet.data.sample import FineGrained
from scapnet.network import Network
from scapnet.report.looks import Look, LookedPart, look
from scapnet.report.pictures import Budget
from scapnet.terminal.console import ProgressBar, printable

SIDES = ((120, 320), (240, 256), (10**9, 208))  # up to so many photos: pixels of a side


@dataclass(frozen=True)
class Photo:
    """A photo of the page."""

    sample: int  # its index in the split
    name: str
    uri: str  # its view, as a data URI
    values: dict[str, Any]  # what the page's script draws, as JSON can hold it
    answer: int
    true: int
    confidence: float

    @property
    def right(self) -> bool:
        """Whether the answer is the label."""
        return self.answer == self.true


def side_of(count: int) -> int:
    """The side of a picture in pixels, on a page with so many."""
    return next(side for most, side in SIDES if count <= most)


def photos_of(
    model: Network,
    data: FineGrained,
    samples: Sequence[int],
    names: Sequence[str],
    budget: Budget,
    bar: ProgressBar | None = None,
) -> list[Photo]:
    """Photos in order, as many as fit the budget.

    Args:
        model: the network.
        data: the split.
        samples: indices into it.
        names: of all its photos.
        budget: what their pictures may take.
        bar: shows how many are done.
    """
    found, side = list[Photo](), side_of(len(samples))
    for one in look(model, data, samples):
        uri = budget.take(one.view, side)
        if uri is None:
            break
        answer, confidence = one.best[0]
        name = printable(names[one.sample])
        found.append(Photo(one.sample, name, uri, values_of(one, name), answer, one.true, confidence))
        if bar is not None:
            bar.advance(1)
    return found


def values_of(one: Look, name: str) -> dict[str, Any]:
    """What the page's script draws of a look, with no more digits than can be seen."""
    gate = None if one.gate is None else [[round(kept, 2) for kept in row] for row in one.gate]
    cam = None if one.cam is None else [[round(level, 2) for level in row] for row in one.cam]
    return {
        "name": name,
        "true": one.true,
        "best": [[k, round(p, 4)] for k, p in one.best],
        "main": _rounded(one.main),
        "together": None if one.together is None else _rounded(one.together),
        "versus": one.versus,
        "whole": _digits(one.whole),
        "gate": gate,
        "cam": cam,
        "parts": [_part(part) for part in one.parts],
    }


def _part(part: LookedPart) -> dict[str, Any]:
    return {
        "box": [round(edge, 4) for edge in part.box],
        "scale": part.scale,
        "score": round(part.score, 3),
        "vote": part.vote,
        "probability": round(part.probability, 3),
        "share": _digits(part.share),
        "takes": [round(weight, 3) for weight in part.takes],
    }


def _rounded(answer: tuple[int, float]) -> list[float]:
    return [answer[0], round(answer[1], 4)]


def _digits(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
