"""Photos known by path and label.

n photos, R names of marks.
"""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from scapnet.data.images import read_image
from scapnet.data.sample import NO_BOX, NO_MARKS, Sample


class PhotoList:
    """Photos by path and label, read on demand.

    Args:
        paths: the files.
        labels: their labels.
        classes: names of all classes.
        boxes: (n, 4) xyxy in pixels around each object; rows of NaN where unknown.
        marks: (n, R, 4) xyxy in pixels; rows of NaN where a mark is not visible.
        mark_names: the R names.
        groups: n group names, of the same animal or burst for example; photos of one group are held out together.
    """

    parents: tuple[str, ...] = ()  # the coarser class of each class, where the data has a hierarchy
    shorter: int | None = None  # pixels needed along the shorter side; None reads photos in full

    def __init__(
        self,
        paths: Sequence[Path],
        labels: Sequence[int],
        classes: Sequence[str],
        boxes: Tensor | None = None,
        marks: Tensor | None = None,
        mark_names: Sequence[str] = (),
        groups: Sequence[str] | None = None,
    ) -> None:
        self.paths, self.labels, self.classes = tuple(paths), tuple(labels), tuple(classes)
        self.boxes, self.marks = boxes, marks
        self.mark_names = () if marks is None else tuple(mark_names)
        self.groups = None if groups is None else tuple(groups)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Sample:
        path = self.paths[index]
        marks = NO_MARKS if self.marks is None else self.marks[index]
        box = NO_BOX if self.boxes is None else self.boxes[index]
        # Boxes are in pixels of the full photo, so photos with boxes are read in full.
        shorter = self.shorter if self.boxes is None and self.marks is None else None
        return Sample(read_image(path, shorter), self.labels[index], str(path), marks, box)

    def name(self, index: int) -> str:
        """The path of a photo."""
        return str(self.paths[index])

    def subset(self, indices: Sequence[int]) -> "PhotoList":
        """The photos at some indices."""
        chosen = torch.tensor(indices, dtype=torch.long)
        found = copy.copy(self)
        found.paths = tuple(self.paths[i] for i in indices)
        found.labels = tuple(self.labels[i] for i in indices)
        found.boxes = None if self.boxes is None else self.boxes[chosen]
        found.marks = None if self.marks is None else self.marks[chosen]
        found.groups = None if self.groups is None else tuple(self.groups[i] for i in indices)
        return found

    def relabelled(self, classes: Sequence[str]) -> "PhotoList":
        """The same photos with their labels counted in another list of classes, which contains theirs."""
        number = {name: i for i, name in enumerate(classes)}
        found = copy.copy(self)
        found.labels, found.classes = tuple(number[self.classes[label]] for label in self.labels), tuple(classes)
        found.parents = parents_of(classes, dict(zip(self.classes, self.parents, strict=False)))
        return found

    def join(self, other: "PhotoList") -> "PhotoList":
        """These photos followed by those of another split of the same data set."""
        found = copy.copy(self)
        found.paths, found.labels = self.paths + other.paths, self.labels + other.labels
        found.boxes = None if self.boxes is None or other.boxes is None else torch.cat([self.boxes, other.boxes])
        found.marks = None if self.marks is None or other.marks is None else torch.cat([self.marks, other.marks])
        found.groups = None if self.groups is None or other.groups is None else self.groups + other.groups
        return found


def parents_of(classes: Sequence[str], parents: Mapping[str, str]) -> tuple[str, ...]:
    """The coarser class of each class, "" for one without; empty where none has one."""
    found = tuple(parents.get(name, "") for name in classes)
    return found if any(found) else ()
