"""What is known about a data set without reading it: its origin, its licence and its published sizes."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedSizes:
    """Published sizes from one source; None where it gives none. `train` counts what training uses by default."""

    source: str
    classes: int | None = None
    train: int | None = None
    val: int | None = None
    test: int | None = None


@dataclass(frozen=True)
class Archive:
    """A file that the authors of a data set offer for download; one that is not an archive is stored as it is."""

    url: str
    filename: str
    checksum: str | None = None
    kind: str = "md5"  # any name that hashlib knows
    source: str = ""  # who publishes the checksum


@dataclass(frozen=True)
class DatasetInfo:
    """Facts about a data set, each figure with its source.

    Attributes:
        name: the name that ``--data.name`` takes.
        title: the name that its authors use.
        citation: the paper that introduced it.
        licence: what its authors allow.
        homepage: where they describe it.
        get: what to get, where from, and where to put it, in one sentence.
        counts: published sizes; several where sources disagree.
        paper: the sizes that the SCAPNet paper gives (Table II).
        downloads: files that a program may download; empty if the authors must be asked or the files are gone.
    """

    name: str
    title: str
    citation: str = ""
    licence: str = ""
    homepage: str = ""
    get: str = ""
    counts: tuple[PublishedSizes, ...] = ()
    paper: PublishedSizes | None = None
    downloads: tuple[Archive, ...] = ()


FOLDER = DatasetInfo(
    "folder",
    "class folders",
    licence="yours",
    get="put photos in ROOT/train/CLASS/, with ROOT/val and ROOT/test if you have them, or in ROOT/CLASS/",
)
