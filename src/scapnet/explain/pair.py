"""What distinguishes two classes, over all held-out photos of both.

M parts.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scapnet.checkpoint import read_run
from scapnet.data.broken import readable_samples
from scapnet.data.sample import FineGrained
from scapnet.data.scored import choose
from scapnet.explain.explanation import Explanation
from scapnet.explain.photo import class_number, explain_views
from scapnet.network import Network
from scapnet.predict import view_of
from scapnet.terminal.console import printable

MOST = 100  # photos per class


@dataclass(frozen=True)
class PhotoOfPair:
    """A held-out photo of one of two classes."""

    sample: int  # its index in the split
    true: str  # its class
    explanation: Explanation  # of the first class versus the second, whichever the photo shows

    @property
    def sign(self) -> int:
        """1 for a photo of the first class, -1 for the second: share * sign > 0 speaks for its true class."""
        return 1 if self.true == self.explanation.answer else -1


@dataclass(frozen=True)
class ClassOfPair:
    """Means over the held-out photos of one of two classes; positive shares speak for the true class."""

    name: str
    photos: int
    right: int  # photos with a higher probability for their true class than for the other
    whole_right: int  # photos whose whole picture speaks for the true class
    parts_right: int | None  # photos whose parts together do so; None without parts
    whole_share: float
    parts_share: float
    scale_shares: dict[int, float]  # of a single part, by scale


@dataclass(frozen=True)
class PairExplanation:
    """What distinguishes two classes."""

    answer: str
    versus: str
    split: str
    classes: tuple[ClassOfPair, ClassOfPair]
    photos: tuple[PhotoOfPair, ...]

    def telling(self, name: str, most: int = 6) -> list[tuple[PhotoOfPair, int]]:
        """The parts with the most evidence for the true class on photos of the class ``name``, at most one per photo.

        Args:
            name: the name of either class.
            most: number of parts.

        Returns:
            Each photo with the number of the part in it.
        """
        return self._parts(name, most, 1)

    def misleading(self, name: str, most: int = 6) -> list[tuple[PhotoOfPair, int]]:
        """The parts with the most evidence against the true class; for the arguments see `telling`."""
        return self._parts(name, most, -1)

    def _parts(self, name: str, most: int, sign: int) -> list[tuple[PhotoOfPair, int]]:
        found = []
        for photo in self.photos:
            values = [part.share * photo.sign * sign for part in photo.explanation.parts]
            if photo.true == name and values and max(values) > 0:
                found.append((max(values), photo, values.index(max(values))))
        found.sort(key=lambda one: -one[0])
        return [(photo, m) for _, photo, m in found[:most]]

    def to_dict(self) -> dict[str, Any]:
        """All numbers, in types that JSON supports."""
        rows = [{"sample": photo.sample, "true": photo.true} | photo.explanation.to_dict() for photo in self.photos]
        named = {"answer": self.answer, "versus": self.versus, "split": self.split}
        return named | {"classes": [dict(vars(one)) for one in self.classes], "photos": rows}

    def table(self) -> str:
        """The numbers as lines of text."""
        lines = [f"{printable(self.answer)} and {printable(self.versus)}, {len(self.photos)} {self.split} photos"]
        for one in self.classes:
            lines.append(f"  {printable(one.name)}: {one.right} of {one.photos} photos told apart")
            lines.append(f"    {100 * one.whole_share:+6.1f}  whole picture, right in {one.whole_right}")
            if one.parts_right is not None:
                lines.append(f"    {100 * one.parts_share:+6.1f}  parts together, right in {one.parts_right}")
            for scale, share in sorted(one.scale_shares.items()):
                lines.append(f"    {100 * share:+6.1f}  a part of scale {scale}")
        return "\n".join(lines)


def explain_pair(
    model: Network,
    data: FineGrained,
    answer: str | int,
    versus: str | int,
    split: str = "val",
    batch_size: int = 16,
) -> PairExplanation:
    """What distinguishes two classes, over all photos of both in a split.

    Args:
        model: a network with its ``classes`` and ``view``.
        data: the split, with the model's classes; at most 100 photos per class are used.
        answer, versus: the two classes, names or numbers.
        split: name of the split.
        batch_size: number of photos to process at a time.

    Raises:
        ValueError: a class is unknown or has no readable photo in the split, or the classes are the same.
    """
    a, b = class_number(model.classes, answer), class_number(model.classes, versus)
    if a == b:
        raise ValueError(f"{model.classes[a]} cannot be compared with itself; name two different classes")
    photos = [photo for k in (a, b) for photo in _photos(model, data, k, (a, b), split, batch_size)]
    names = model.classes[a], model.classes[b]
    first, second = (_means([photo for photo in photos if photo.true == name], name) for name in names)
    return PairExplanation(*names, split, (first, second), tuple(photos))


def _photos(
    model: Network, data: FineGrained, k: int, pair: tuple[int, int], split: str, size: int
) -> list[PhotoOfPair]:
    indices = [i for i, label in enumerate(data.labels) if int(label) == k][:MOST]
    found = list[PhotoOfPair]()
    for start in range(0, len(indices), size):
        read = [(i, sample) for i in indices[start : start + size] for sample in readable_samples(data, [i])[0]]
        if not read:
            continue
        views = [view_of(sample.image, sample.path, model.view) for _, sample in read]
        explained = explain_views(model, views, pair[1], pair[0], [i for i, _ in read])
        found += [PhotoOfPair(i, model.classes[k], one) for (i, _), one in zip(read, explained, strict=True)]
    if not found:
        raise ValueError(f"the {split} split has no readable photo of {model.classes[k]}; name another class or split")
    return found


def _means(photos: Sequence[PhotoOfPair], name: str) -> ClassOfPair:
    count = len(photos)
    differences = [photo.explanation.difference * photo.sign for photo in photos]
    whole = [photo.explanation.whole.share * photo.sign for photo in photos]
    parts = [photo.explanation.parts_share * photo.sign for photo in photos]
    some = any(photo.explanation.parts for photo in photos)
    scales: dict[int, list[float]] = {}
    for photo in photos:
        for part in photo.explanation.parts:
            scales.setdefault(part.scale, []).append(part.share * photo.sign)
    return ClassOfPair(
        name,
        count,
        sum(one > 0 for one in differences),
        sum(one > 0 for one in whole),
        sum(one > 0 for one in parts) if some else None,
        sum(whole) / count,
        sum(parts) / count,
        {scale: sum(values) / len(values) for scale, values in scales.items()},
    )


def explain_pair_of_run(
    run: Path,
    model: Network,
    answer: str | int,
    versus: str | int,
    split: str | None = None,
    root: Path | None = None,
    table: Path | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[PairExplanation, FineGrained]:
    """`explain_pair` for a split of a run's data.

    Args:
        run: the run folder.
        model: its network.
        answer, versus: see `explain_pair`.
        split: "val", "test" or "train"; by default the first of these that the data has.
        root: the folder of the data now, if it has moved.
        table: likewise for a table of photos.
        say: receives a sentence on the photos that are used.

    Raises:
        ValueError: the data is missing; or see `explain_pair`.
    """
    config = read_run(run)
    names = [split] if split else ["val", "test", "train"]
    for name in names:
        try:
            chosen = choose(run, config.data, model.classes, name, root, table)
            break
        except ValueError as error:
            if name == names[-1] or f"has no {name} split" not in str(error):
                raise
    for note in chosen.notes:
        say(note)
    return explain_pair(model, chosen.data, answer, versus, chosen.split), chosen.data
