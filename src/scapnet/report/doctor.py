"""What is wrong with the data: labels that look false, pictures in two splits, and photos that are out of place.

n photos, D feature size.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from scapnet.data.audit.check import check_data
from scapnet.data.broken import readable_samples
from scapnet.data.images import to_photo
from scapnet.data.photos import PhotoList
from scapnet.data.sample import SPLITS, FineGrained, Splits
from scapnet.metrics.label_faults import LabelFault, label_faults
from scapnet.outputs import check_folder
from scapnet.report.answered import Answered

FOLDER = "data-check"  # in the run folder: facts about the files, which a second report reuses
NEIGHBOURS = 5
FAR = 3.5  # robust standard deviations beyond which a distance is unusual (Iglewicz and Hoaglin, 1993)
ALIKE = 0.9  # cosine of features from which on two pictures are compared
SAME = 0.97  # correlation of two small grey pictures from which on they are nearly the same
MOST_PAIRS = 200  # that are compared


@dataclass(frozen=True)
class HeldOut:
    """A held-out photo."""

    split: str
    sample: int


@dataclass(frozen=True)
class Suspect(HeldOut):
    """One with a label that looks false."""

    fault: LabelFault


@dataclass(frozen=True)
class Outlier(HeldOut):
    """One that resembles no training photo."""

    distance: float  # 1 - the mean cosine with the nearest training photos
    usual: float  # the median distance


@dataclass(frozen=True)
class NearPair(HeldOut):
    """One that is nearly the same picture as a training photo."""

    train: int
    correlation: float


@dataclass(frozen=True)
class Doctor:
    """The findings."""

    photos: Mapping[str, int]  # held-out photos that were looked at, by split
    labels: tuple[Suspect, ...]
    far: tuple[Outlier, ...]
    near: tuple[NearPair, ...]
    duplicates: tuple[tuple[str, ...], ...]  # groups of files with the same picture, across splits
    conflicting: tuple[tuple[str, ...], ...]  # the same, in several classes of one split
    compared: int  # training photos whose features were compared
    checked: bool  # whether the files were compared pixel by pixel
    notes: tuple[str, ...] = field(default=())


def examine(
    held: Mapping[str, tuple[FineGrained, Answered]],
    train: tuple[FineGrained, Answered] | None,
    duplicates: Mapping[str, Sequence[tuple[str, ...]]] | None,
    folds: Mapping[str, Answered] | None = None,
) -> Doctor:
    """Examine held-out photos by a network's answers and features.

    Args:
        held: by split: photos that training did not see, and their answers; first those that are reported.
        train: training photos and what the main branch makes of them.
        duplicates: of `same_pictures`; None where the files were not compared.
        folds: answers of runs on other folds of the data, by name. Labels are then judged over the first of ``held``
            and all these together, each photo by the run that did not see it.
    """
    pools = [{split: found} for split, (_, found) in held.items()]
    if folds:
        pools = [pools[0] | dict(folds)]
    suspects, far, near = [one for pool in pools for one in suspects_of(pool)], list[Outlier](), list[NearPair]()
    for split, (data, found) in held.items():
        if train is not None:
            far += _far(split, found, train[1])
            near += near_pairs(split, (data, found), train)
    suspects.sort(key=lambda one: one.fault.own)
    answers = {split: found for split, (_, found) in held.items()} | dict(folds or {})
    return Doctor(
        {split: len(found.target) for split, found in answers.items()},
        tuple(suspects),
        tuple(sorted(far, key=lambda one: -one.distance)),
        tuple(sorted(near, key=lambda one: -one.correlation)),
        tuple((duplicates or {}).get("duplicates across", ())),
        tuple((duplicates or {}).get("duplicates labels differ", ())),
        0 if train is None else len(train[1].target),
        duplicates is not None,
    )


def suspects_of(pool: Mapping[str, Answered]) -> list[Suspect]:
    """Photos of several lists whose labels look false, by thresholds over all of them; see `label_faults`."""
    places = [(name, int(sample)) for name, found in pool.items() for sample in found.samples]
    target, probs = (torch.cat([getattr(found, key) for found in pool.values()]) for key in ("target", "probs"))
    return [Suspect(*places[fault.row], fault) for fault in label_faults(target, probs)]


def distances(features: Tensor, reference: Tensor, neighbours: int = NEIGHBOURS) -> Tensor:
    """1 - the mean cosine with the nearest rows of a reference: (n,).

    Args:
        features: (n, D) of length 1.
        reference: (m, D) of length 1.
        neighbours: how many; all where there are fewer.
    """
    rows = [block @ reference.float().T for block in torch.split(features.float(), 512)]
    cosine = torch.cat(rows) if rows else features.new_zeros(0, len(reference))
    return 1 - cosine.topk(min(neighbours, len(reference)), 1).values.mean(1)


def unusual(values: Tensor, far: float = FAR) -> Tensor:
    """(n,) whether a value is much larger than usual: modified z-score 0.6745 (x - median) / MAD above ``far``."""
    median = values.median()
    spread = (values - median).abs().median()
    found: Tensor = 0.6745 * (values - median) > far * spread.clamp(min=1e-6)
    return found


def _far(split: str, found: Answered, train: Answered) -> list[Outlier]:
    values = distances(found.features, train.features)
    usual = float(values.median())
    rows = unusual(values).nonzero()[:, 0].tolist()
    return [Outlier(split, int(found.samples[row]), float(values[row]), usual) for row in rows]


def near_pairs(split: str, held: tuple[FineGrained, Answered], train: tuple[FineGrained, Answered]) -> list[NearPair]:
    """Held-out photos that are nearly a training photo: alike by their features, and then as small pictures."""
    (data, found), (others, known) = held, train
    best = [(block @ known.features.float().T).max(1) for block in torch.split(found.features.float(), 512)]
    values, places = torch.cat([one.values for one in best]), torch.cat([one.indices for one in best])
    rows = [row for row in values.argsort(descending=True)[:MOST_PAIRS].tolist() if values[row] >= ALIKE]
    pairs = []
    for row in rows:
        sample, other = int(found.samples[row]), int(known.samples[places[row]])
        one, two = (readable_samples(split_, [i])[0] for split_, i in ((data, sample), (others, other)))
        if one and two:
            alike = correlation(to_photo(one[0].image), to_photo(two[0].image))
            pairs += [NearPair(split, sample, other, alike)] if alike >= SAME else []
    return pairs


def correlation(one: Image.Image, other: Image.Image) -> float:
    """The correlation of two pictures, small and grey; that of the second mirrored where it is larger."""

    def small(photo: Image.Image) -> Tensor:
        pixels = torch.tensor(list(photo.convert("L").resize((32, 32), Image.Resampling.BOX).tobytes())).double()
        pixels = pixels - pixels.mean()
        length = torch.linalg.vector_norm(pixels).clamp(min=1e-9)
        found: Tensor = pixels / length
        return found.reshape(32, 32)

    first, second = small(one), small(other)
    return max(float((first * second).sum()), float((first * second.flip(1)).sum()))


def same_pictures(
    lists: Mapping[str, FineGrained], run: Path, root: Path | None, say: Callable[[str], None]
) -> dict[str, Sequence[tuple[str, ...]]] | None:
    """Files with the same pixels, by kind of finding of `scapnet data check`; None for pictures that are not files.

    Args:
        lists: the splits by name.
        run: the run folder, which keeps what is known of the files.
        root: the folder that file names are relative to.
        say: receives a sentence where the files cannot be compared.
    """
    if "train" not in lists or not all(isinstance(data, PhotoList) for data in lists.values()):
        return None
    folder: Path | None = run / FOLDER
    with contextlib.suppress(ValueError):
        check_folder(run)
        report = check_data(Splits(*(lists.get(name) for name in SPLITS)), run.name, root, folder)  # type: ignore[arg-type]
        return {finding.kind: finding.files for finding in report.findings}
    say(f"the files are not compared with each other, because {run} cannot be written to")
    return None
