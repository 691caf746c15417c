"""The classes that are confused most, with the parts that told them apart or failed to."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from PIL import Image

from scapnet.data.broken import readable_samples
from scapnet.data.images import to_photo
from scapnet.data.sample import FineGrained
from scapnet.explain import ClassOfPair, PairExplanation, PhotoOfPair, TrainingPhotos, explain_pair, neighbours
from scapnet.explain.explanation import Box
from scapnet.explain.picture import in_box
from scapnet.network import Network
from scapnet.report.answered import Answered
from scapnet.report.charts import points
from scapnet.report.pictures import Budget

PAIRS = 5  # in a page
SHOWN = 4  # parts in a row
SIDE = 88  # pixels of a part
LEAST = 0.0005  # share of a part; less is shown as 0.0 points
COMPARED = 3  # pairs with training photos beside them


@dataclass(frozen=True)
class Crop:
    """A part, or a photo, of a pair."""

    uri: str
    text: str
    alt: str


@dataclass(frozen=True)
class Side:
    """One of the two classes."""

    means: ClassOfPair
    telling: tuple[Crop, ...]
    misleading: tuple[Crop, ...]


@dataclass(frozen=True)
class Nearest:
    """A mistaken photo, the part that misled most, and the training parts that are most like it."""

    photo: Crop
    part: Crop
    classes: tuple[str, str]  # the true one and the answer
    likest: tuple[tuple[Crop, ...], tuple[Crop, ...]]  # in training photos of these two


@dataclass(frozen=True)
class ConfusedPair:
    """Two classes that are confused."""

    mistakes: int
    images: int  # of both classes
    sides: tuple[Side, Side]
    samples: tuple[int, ...]  # the mistaken photos, the surest first
    nearest: Nearest | None = field(default=None)


def confused(found: Answered, most: int = PAIRS) -> list[tuple[int, int, list[int]]]:
    """The pairs of classes with the most mistakes in both directions, and the rows of their mistakes.

    Args:
        found: the answers.
        most: how many pairs.
    """
    rows: dict[tuple[int, int], list[int]] = {}
    wrong = (~found.right).nonzero()[:, 0]
    wrong = wrong[found.confidence[wrong].argsort(descending=True)]
    for row in wrong.tolist():
        one, other = sorted((int(found.target[row]), int(found.predicted[row])))
        rows.setdefault((one, other), []).append(row)
    images = Counter(found.target.tolist())
    pairs = [pair for pair in rows if images[pair[0]] and images[pair[1]]]
    pairs.sort(key=lambda pair: (-len(rows[pair]), pair))
    return [(*pair, rows[pair]) for pair in pairs[:most]]


class _Crops:
    """Parts of a split's photos, cut out."""

    def __init__(self, data: FineGrained, budget: Budget) -> None:
        self.data, self.budget = data, budget
        self.photo = lru_cache(16)(self._photo)

    def _photo(self, sample: int) -> Image.Image | None:
        found, _ = readable_samples(self.data, [sample])
        return to_photo(found[0].image) if found else None

    def cut(self, sample: int, box: Box | None, text: str, alt: str, share: bool = False) -> Crop | None:
        """A box of a photo, in pixels or in shares of its sides; None where it cannot be read or does not fit."""
        photo = self.photo(sample)
        if photo is None:
            return None
        if box is not None and share:
            box = box[0] * photo.width, box[1] * photo.height, box[2] * photo.width, box[3] * photo.height
        picture = in_box(photo, box if box is not None else (0, 0, *photo.size), SIDE)
        uri = self.budget.take(picture, SIDE)
        return None if uri is None else Crop(uri, text, alt)


def confused_pairs(
    model: Network,
    data: FineGrained,
    found: Answered,
    split: str,
    budget: Budget,
    training: Callable[[], TrainingPhotos | None],
) -> list[ConfusedPair]:
    """The most confused pairs of a split; empty where the answer cannot be divided among parts.

    Args:
        model: the network.
        data: the split.
        found: its answers.
        split: its name.
        budget: what pictures may take.
        training: gives the run's training photos; None where they are gone.
    """
    pairs = list[ConfusedPair]()
    for a, b, rows in confused(found):
        try:
            one = explain_pair(model, data, a, b, split)
        except ValueError:  # an answer that is no mean of softmax outputs
            return pairs
        crops = _Crops(data, budget)
        first, second = (_side(one, means, crops) for means in one.classes)
        samples = tuple(int(found.samples[row]) for row in rows)
        images = sum(means.photos for means in one.classes)
        index = training() if len(pairs) < COMPARED else None
        near = None if index is None else _nearest(one, samples, crops, index, budget)
        pairs.append(ConfusedPair(len(rows), images, (first, second), samples, near))
    return pairs


def _side(pair: PairExplanation, means: ClassOfPair, crops: _Crops) -> Side:
    rows = pair.telling(means.name, SHOWN), pair.misleading(means.name, SHOWN)
    telling, misleading = (tuple(c for c in (_crop(crops, *one) for one in row) if c is not None) for row in rows)
    return Side(means, telling, misleading)


def _crop(crops: _Crops, photo: PhotoOfPair, m: int) -> Crop | None:
    part = photo.explanation.parts[m]
    if abs(part.share) < LEAST:
        return None
    share = points(part.share * photo.sign)
    return crops.cut(photo.sample, part.box, share, f"part of scale {part.scale}, {share} points for the true class")


def _nearest(
    pair: PairExplanation, samples: Sequence[int], crops: _Crops, training: TrainingPhotos, budget: Budget
) -> Nearest | None:
    """The surest mistake, and the parts of training photos that are most like the one that misled most."""
    photos = {photo.sample: photo for photo in pair.photos}
    photo = next((photos[sample] for sample in samples if sample in photos), None)
    if photo is None or not photo.explanation.parts:
        return None
    shares = [part.share * photo.sign for part in photo.explanation.parts]
    m = shares.index(min(shares))
    answer = pair.versus if photo.true == pair.answer else pair.answer
    whole, part = crops.cut(photo.sample, None, "the photo", f"a photo of {photo.true}"), _crop(crops, photo, m)
    others = _Crops(training.data, budget)
    classes = list(training.model.classes)
    names, likest = (photo.true, answer), list[tuple[Crop, ...]]()
    for name in names:
        near = neighbours(photo.explanation, training, classes.index(name)).parts[m]
        cut = [others.cut(n.sample, n.box, f"{n.similarity:.2f}", f"part of a {name}", share=True) for n in near]
        likest.append(tuple(crop for crop in cut if crop is not None))
    return None if whole is None or part is None else Nearest(whole, part, names, (likest[0], likest[1]))


def training_of(
    run: Path, model: Network, root: Path | None, table: Path | None
) -> Callable[[], TrainingPhotos | None]:
    """What gives the run's training photos when they are first needed; None where they are gone."""

    @lru_cache(1)
    def get() -> TrainingPhotos | None:
        try:
            return TrainingPhotos(run, model, root, table)
        except (ValueError, OSError):
            return None

    return get
