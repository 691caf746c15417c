"""What is known of a data set before a file of it is read: its origin, its licence and its published counts."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedSizes:
    """One published statement of sizes; None where it says nothing. `train` counts what training gets by default."""

    source: str
    classes: int | None = None
    train: int | None = None
    val: int | None = None
    test: int | None = None


@dataclass(frozen=True)
class Archive:
    """A file that the authors of a data set let anyone fetch; one that is no archive is put as it is."""

    url: str
    filename: str
    checksum: str | None = None
    kind: str = "md5"  # any name that hashlib knows
    source: str = ""  # who publishes the checksum


@dataclass(frozen=True)
class DatasetInfo:
    """The facts of a data set, each figure with its source.

    Attributes:
        name: as ``--data.name`` takes it.
        title: as its authors call it.
        citation: the paper that introduced it.
        licence: what its authors allow.
        homepage: where they describe it.
        get: what to get, from whom, and where to put it: one sentence for a person.
        counts: published sizes; several where sources disagree, and any of them is right.
        paper: the sizes that the SCAPNet paper gives (Table II).
        downloads: what may be fetched by program; empty where the authors want to be asked or the files are gone.
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
    get="put photos in ROOT/train/CLASS/, with ROOT/val and ROOT/test where you have them, or in ROOT/CLASS/",
)
