"""`scapnet data`: show or check a data set."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro import MISSING
from tyro.conf import Positional, arg

from scapnet.config import DataConfig

FINCHES = DataConfig("finches", size=224, resize=224)


def data_show(
    data: Annotated[DataConfig, arg(name="")] = FINCHES,
    split: Literal["train", "val", "test"] = "train",
    count: int = 24,
    out: Path = Path("data.png"),
) -> None:
    """Draw some pictures of a data set with their classes and annotations, and print its sizes, origin and licence.

    Args:
        data: which data set.
        split: which split to draw.
        count: number of pictures.
        out: the picture file.
    """
    if count < 1:
        raise ValueError(f"count is {count} and must be at least 1")
    from scapnet.data.audit.describe import describe
    from scapnet.data.load import load_data
    from scapnet.data.record import lists_of
    from scapnet.summary import show_data
    from scapnet.terminal.console import say
    from scapnet.visualize import check_picture, contact_sheet, save_picture

    out = check_picture(out)
    splits = load_data(data)
    chosen = getattr(splits, split)
    if chosen is None:
        raise ValueError(f"{data.name} has no {split} split; it has {' and '.join(lists_of(splits))}")
    show_data(describe(splits, data))
    save_picture(contact_sheet(chosen, count), out)
    say(str(out))


@dataclass(frozen=True)
class NamedData(DataConfig):
    """A data set whose name is a positional argument."""

    name: Any = MISSING
    """Which data set."""
    size: int = FINCHES.size
    """Built-in data: side of the pictures."""
    resize: int = FINCHES.resize
    """Built-in data: as `size`."""


NamedData.__annotations__["name"] = Positional[DataConfig.__annotations__["name"]]  # type: ignore[misc, valid-type, name-defined]


def data_check(
    data: Annotated[NamedData, arg(name="")],
    out: Path | None = None,
    jobs: int = 0,
    json: bool = False,
) -> None:
    """Read every image of a data set once; the exit code is 1 for errors, 0 for warnings or none.

    Args:
        data: which data set, and where it is.
        out: a folder for the report and what a second call can reuse; by default ROOT/.scapnet-check.
        jobs: number of processes that read; 0 is one per core, and fewer for few images.
        json: print the report as JSON.
    """
    from scapnet.data.audit.check import check_named
    from scapnet.summary import show_check

    report = check_named(data, out, jobs)
    show_check(report, json)
    if report.count("error"):
        sys.exit(1)
