"""What the data doctor found, with pictures, as the page shows it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from scapnet.data.broken import readable_samples
from scapnet.data.images import to_photo
from scapnet.report.doctor import SAME, Doctor
from scapnet.report.material import SPLITS, Material, Photos
from scapnet.report.pictures import Budget

MOST = 24  # of each kind
SIDE = 96
T = TypeVar("T")
Line = tuple[tuple[str, bool], ...]  # words, and whether they are a name


@dataclass(frozen=True)
class Found:
    """One photo or group of files."""

    uri: str | None
    lines: tuple[Line, ...]
    file: str


@dataclass(frozen=True)
class Group:
    """One kind of finding."""

    title: str
    note: str
    count: int
    found: tuple[Found, ...]


@dataclass(frozen=True)
class DoctorPage:
    """The section."""

    text: str
    groups: tuple[Group, ...]


def doctor_page(material: Material, budget: Budget) -> DoctorPage | None:
    """The doctor's findings; None where nothing was examined.

    Args:
        material: the report.
        budget: what pictures may take.
    """
    doctor = material.doctor
    if doctor is None:
        return None
    photos, classes = material.photos, material.model.classes

    def shown(split: str, sample: int, *lines: Line) -> Found:
        return Found(_picture(photos[split], sample, budget), lines, photos[split].name(sample))

    def words(*found: tuple[str, bool]) -> Line:
        return found

    labels = group(
        "Labels that look false",
        "Confident learning (Northcutt et al., 2021): the answer is another class, with at least the probability that "
        "photos of that class have on average. A mistake of the network looks the same, so look before you correct.",
        doctor.labels,
        lambda one: shown(
            one.split,
            one.sample,
            words(("labelled ", False), (classes[one.fault.label], True), (f" ({one.fault.own:.0%})", False)),
            words(("rather ", False), (classes[one.fault.suggested], True), (f" ({one.fault.probability:.0%})", False)),
        ),
    )
    far = group(
        "Out of place",
        "Photos that resemble no training photo: the mean distance (1 - cosine of the main branch's features) to the "
        "5 nearest is far above the usual one.",
        doctor.far,
        lambda one: shown(
            one.split,
            one.sample,
            words((f"distance {one.distance:.2f}, usually {one.usual:.2f}", False)),
            words((classes[int(photos[one.split].data.labels[one.sample])], True)),
        ),
    )
    near = group(
        "Nearly the same picture in training",
        f"Small grey copies of both pictures correlate by {SAME} or more, as they are or mirrored, so that the score "
        f"is too good on them.",
        doctor.near,
        lambda one: shown(
            one.split,
            one.sample,
            words((f"correlation {one.correlation:.3f} with", False)),
            words((photos["train"].name(one.train), True)),
        ),
    )
    groups = [labels, far, near] if doctor.compared else [labels]
    if doctor.checked:
        groups += [_files("The same picture in several splits", doctor.duplicates)]
        groups += [_files("The same picture in several classes of a split", doctor.conflicting)]
    return DoctorPage(_text(doctor), tuple(groups))


def group(title: str, note: str, findings: Sequence[T], show: Callable[[T], Found]) -> Group:
    """A kind of finding, of which the first ones are shown."""
    return Group(title, note, len(findings), tuple(map(show, islice(findings, MOST))))


def _files(title: str, groups: Sequence[tuple[str, ...]]) -> Group:
    def lines(files: Sequence[str]) -> Iterator[Line]:
        for file in files[:-1]:
            yield ((file, True),)

    return group(title, "By their pixels.", groups, lambda files: Found(None, tuple(lines(files)), files[-1]))


def _text(doctor: Doctor) -> str:
    held = " and ".join(
        f"{count:,} {SPLITS[split]} photos".replace("  ", " ") if split in SPLITS else f"{count:,} photos of {split}"
        for split, count in doctor.photos.items()
    )
    against = f" and compared with {doctor.compared:,} training photos" if doctor.compared else ""
    files = "" if doctor.checked else " The files of the splits were not compared with each other."
    return f"{held} were examined by answers that training did not see{against}.{files}"


def _picture(photos: Photos, sample: int, budget: Budget) -> str | None:
    found, _ = readable_samples(photos.data, [sample])
    return budget.take(to_photo(found[0].image), SIDE) if found else None
