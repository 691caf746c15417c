"""The one sample type of every data set, and what a data set must know."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from scapnet.data.files import PassedOver
from scapnet.data.info import FOLDER, DatasetInfo

NO_MARKS = torch.zeros(0, 4)
NO_BOX = torch.full((4,), torch.nan)  # the box of an object whose place is not annotated
SPLITS = ("train", "val", "test")


class Sample(NamedTuple):
    """A picture before any transform, with what its data set knows about it.

    Marks and box are for evaluation and pictures only; no transform hands them to training.
    """

    image: Tensor  # (3, H, W) uint8
    label: int
    path: str  # a name for messages
    marks: Tensor = NO_MARKS  # (R, 4) float32 xyxy in pixels, a row for each `mark_names` of the data set; see there
    box: Tensor = NO_BOX  # (4,) float32 xyxy in pixels of the image, round the whole object; NaN where unknown


class FineGrained(Protocol):
    """A split of a data set: its pictures are read one by one, when they are asked for.

    A split with annotated parts also has ``mark_names``, a tuple of their R names. In a sample's marks, a point is a
    box without size, and a part that is not seen is a row of NaN.
    """

    @property
    def classes(self) -> Sequence[str]:
        """Names of all classes, in the order of their labels."""

    @property
    def labels(self) -> Sequence[int]:
        """The label of each sample, known without reading it."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...


def mark_names(data: object) -> tuple[str, ...]:
    """Names of the R annotated parts of a split; empty where nothing is annotated."""
    return tuple(getattr(data, "mark_names", ()))


class Splits(NamedTuple):
    """The splits of a data set; each has the classes of ``train``."""

    train: FineGrained
    val: FineGrained | None
    test: FineGrained | None
    info: DatasetInfo = FOLDER
    notes: tuple[str, ...] = ()  # sentences on what was found, for a person
    drawn: dict[str, Any] | None = None  # a split that was made here and not by the data's author, as JSON can hold it
    sources: Mapping[str, str] = {}  # by the name of a split: the folder or table that it was read from
    passed: tuple[PassedOver, ...] = ()  # files beside the photos that are not used
