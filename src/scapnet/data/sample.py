"""The sample type that all data sets share, and the protocol that every split follows."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from scapnet.data.files import SkippedFile
from scapnet.data.info import FOLDER, DatasetInfo

NO_MARKS = torch.zeros(0, 4)
NO_BOX = torch.full((4,), torch.nan)  # the box of an object that is not annotated
SPLITS = ("train", "val", "test")


class Sample(NamedTuple):
    """An image before any transform, with its label and annotations.

    Marks and box are only used for evaluation and figures; training never sees them.
    """

    image: Tensor  # (3, H, W) uint8
    label: int
    path: str  # a name for messages
    marks: Tensor = NO_MARKS  # (R, 4) float32 xyxy in pixels, a row for each of the data set's `mark_names`
    box: Tensor = NO_BOX  # (4,) float32 xyxy in pixels, around the whole object; NaN where unknown


class FineGrained(Protocol):
    """A split of a data set. Its images are read one by one, on demand.

    A split with annotated parts also has ``mark_names``, a tuple of their R names. In a sample's marks, a point is a
    box of size 0, and a part that is not visible is a row of NaN. One with a hierarchy has
    ``parents``, see `class_parents`.
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


def class_parents(data: object) -> tuple[str, ...]:
    """The coarser class that each of the K classes of a split belongs to, "" for none; empty without a hierarchy."""
    return tuple(getattr(data, "parents", ()))


class Splits(NamedTuple):
    """The splits of a data set; all have the classes of ``train``."""

    train: FineGrained
    val: FineGrained | None
    test: FineGrained | None
    info: DatasetInfo = FOLDER
    notes: tuple[str, ...] = ()  # sentences on what was found or guessed
    drawn: dict[str, Any] | None = None  # JSON: how scapnet chose the held-out photos, if it did
    sources: Mapping[str, str] = {}  # by the name of a split: the folder or table that it was read from
    skipped: tuple[SkippedFile, ...] = ()  # files beside the photos that are not used
