"""The JSON answer of the endpoint, and what a running server holds."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel, Field

from scapnet.prediction import UNKNOWN, Prediction
from scapnet.serve.batching import Batcher
from scapnet.serve.limits import Limits, Refused
from scapnet.serve.metrics import Metrics


class PartAnswer(BaseModel):
    """A part that the network looked at."""

    box: tuple[float, float, float, float] = Field(description="x0, y0, x1, y1 in pixels of the upright photo")
    scale: int = Field(description="its side in units of the grid")
    score: float = Field(description="the gate's probability of keeping it")
    name: str = Field(description="the class that this part alone votes for")
    probability: float = Field(description="of that class")


class Answer(BaseModel):
    """The answer for one photo."""

    model: str = Field(description="the model that answered")
    answer: str = Field(description='the best class, "unknown", or the coarser class of all classes in question')
    names: list[str] = Field(description="the best classes, best first")
    probabilities: list[float] = Field(description="of these classes")
    parts: list[PartAnswer] = Field(description="best first within each scale; empty without parts")
    known: float | None = Field(description="share of validation photos that look no more familiar, if it is asked for")
    among: list[str] | None = Field(description="the classes in question, best first, if the server has an error rate")
    parent: str | None = Field(description="the coarser class that all of them belong to")
    kept: float | None = Field(description="share of the grid that the gate kept; null without a gate")
    width: int = Field(description="of the upright photo, in pixels")
    height: int = Field(description="of the upright photo, in pixels")


class Problem(BaseModel):
    """Why a request was refused."""

    detail: str


@dataclass(frozen=True)
class Service:
    """Models that answer, in the order in which they were given; the first is the default."""

    models: Mapping[str, Batcher]
    thresholds: Mapping[str, float | None]
    limits: Limits
    metrics: Metrics

    def named(self, name: str | None) -> tuple[str, Batcher]:
        """A model by its name, or the first.

        Raises:
            Refused: 404, there is no such model.
        """
        found = next(iter(self.models)) if name is None else name
        if found not in self.models:
            raise Refused(404, f"there is no model {found!r}; the models are {', '.join(self.models)}")
        return found, self.models[found]

    def waiting(self) -> int:
        """Photos in all queues."""
        return sum(batcher.waiting.qsize() for batcher in self.models.values())


def to_answer(model: str, found: Prediction, size: tuple[int, int], top: int, at_least: float) -> Answer:
    """A prediction with all classes as an answer with the best of them.

    Args:
        model: its name.
        found: the prediction.
        size: width and height of the photo.
        top: how many classes to name.
        at_least: the answer is "unknown" below this probability, also where the server would say more.
    """
    values = found.to_dict()
    return Answer(
        model=model,
        answer=found.answer if found.probabilities[0] >= at_least else UNKNOWN,
        names=list(found.names[:top]),
        probabilities=list(found.probabilities[:top]),
        parts=[PartAnswer(**part) for part in values["parts"]],
        known=found.known,
        among=None if found.among is None else list(found.among),
        parent=found.parent,
        kept=found.kept,
        width=size[0],
        height=size[1],
    )
