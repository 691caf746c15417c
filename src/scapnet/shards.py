"""A part of many photos for each of several jobs, and the merging of what the jobs wrote."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeVar

import numpy as np
import torch
from safetensors.numpy import load_file

from scapnet.features import SUFFIXES as FEATURE_SUFFIXES
from scapnet.features import feature_file, names_file
from scapnet.outputs import check_file, writing

T = TypeVar("T")
BLOCK = 1 << 20  # bytes
ANSWER_SUFFIXES = (".csv", ".json", ".txt")


class Shard(NamedTuple):
    """One of several parts of a list, each of which follows the one before."""

    number: int  # from 1
    jobs: int

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """A shard from "I/N".

        >>> Shard.parse("2/8")
        Shard(number=2, jobs=8)

        Raises:
            ValueError: no such shard.
        """
        match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
        number, count = map(int, match.groups()) if match else (0, 0)
        if not 1 <= number <= count:
            raise ValueError(f"shard {text!r} must be I/N with I from 1 to N, for example 2/8")
        return cls(number, count)

    def bounds(self, total: int, batch_size: int = 1) -> tuple[int, int]:
        """The first and the last place but one of this shard in a list.

        Where every shard has a batch or more, shards are whole batches, so that the batches are those of one job.

        >>> [Shard(i, 3).bounds(10) for i in (1, 2, 3)]
        [(0, 3), (3, 6), (6, 10)]
        """
        unit = batch_size if total >= self.jobs * batch_size else 1
        first, end = (place * total // self.jobs // unit * unit for place in (self.number - 1, self.number))
        return first, total if self.number == self.jobs else end

    def take(self, items: Callable[[], Iterable[T]], batch_size: int = 1) -> tuple[Iterator[T], int]:
        """The items of this shard, and how many they are.

        Args:
            items: gives all of them, in the same order each time; they are counted first, so that none is kept.
            batch_size: see `bounds`.
        """
        first, end = self.bounds(sum(1 for _ in items()), batch_size)
        return islice(items(), first, end), end - first

    def file(self, out: Path) -> Path:
        """The file of this shard: ``answers-00002-of-00008.csv`` for ``answers.csv``."""
        return out.with_name(f"{out.stem}-{self.number:05d}-of-{self.jobs:05d}{out.suffix}")


def shard_files(out: Path) -> list[Path]:
    """The files of all shards of an output, in order.

    Raises:
        ValueError: there are none, one is missing, or they are of different numbers of shards.
    """
    name = re.compile(re.escape(out.stem) + r"-(\d{5})-of-(\d{5})" + re.escape(out.suffix))
    names = [path.name for path in out.parent.iterdir()] if out.parent.is_dir() else []
    found = [(int(match[1]), int(match[2])) for match in map(name.fullmatch, names) if match]
    if not found:
        raise ValueError(
            f"{out} has no shards such as {Shard(1, 8).file(out).name}; write them with: scapnet predict "
            f"MODEL PHOTOS --out {out} --shard 1/8"
        )
    counts = {count for _, count in found}
    if len(counts) > 1:
        raise ValueError(f"{out} has shards of {' and of '.join(map(str, sorted(counts)))} jobs; remove those of one")
    (count,) = counts
    missing = sorted(set(range(1, count + 1)) - {number for number, _ in found})
    if missing:
        raise ValueError(
            f"{out} lacks {len(missing)} of {count} shards; run the first of them again with --shard "
            f"{missing[0]}/{count}"
        )
    return [Shard(number, count).file(out) for number in range(1, count + 1)]


def merge(out: Path) -> list[Path]:
    """Put the shards of an output together, in the order of the photos: the file that one job would have written.

    Args:
        out: as it was given to every job: a .csv, .json, .txt, .npy or .safetensors file.

    Returns:
        The shards, which stay.

    Raises:
        ValueError: a shard is missing, incomplete or of another kind.
    """
    check_file(out, [*ANSWER_SUFFIXES, *FEATURE_SUFFIXES])
    parts = shard_files(out)
    suffix = out.suffix.lower()
    if suffix in FEATURE_SUFFIXES:
        _merge_features(parts, out)
        return parts
    with writing(out) as draft, draft.open("wb") as file:
        MERGERS[suffix](parts, file)
    return parts


def _merge_text(parts: Sequence[Path], out: BinaryIO) -> None:
    for part in parts:
        with part.open("rb") as file:
            while block := file.read(BLOCK):
                out.write(block)


def _merge_csv(parts: Sequence[Path], out: BinaryIO) -> None:
    header = b""
    for part in parts:
        with part.open("rb") as file:
            first = file.readline()
            if first and header and first != header:
                raise ValueError(f"{part} has other columns than the shards before it; write all of them alike")
            if first and not header:
                header = first
                out.write(header)
            while block := file.read(BLOCK):
                out.write(block)


def _merge_json(parts: Sequence[Path], out: BinaryIO) -> None:
    """Lines of an array, one value each, as `scapnet.answers.as_json` writes them."""
    before = b"["
    for part in parts:
        line = b""
        with part.open("rb") as file:
            for line in file:
                if line.rstrip() in (b"]", b"[]"):
                    continue
                if line[:1] not in b"[,":
                    raise ValueError(f"{part} is not a file of scapnet predict; write it again")
                out.write(before + line[1:])
                before = b","
        if line.rstrip() not in (b"]", b"[]"):
            raise ValueError(f"{part} is incomplete; run its job again")
    out.write(b"[]\n" if before == b"[" else b"]\n")


MERGERS: dict[str, Callable[[Sequence[Path], BinaryIO], None]] = {
    ".csv": _merge_csv,
    ".json": _merge_json,
    ".txt": _merge_text,
}


def _merge_features(parts: Sequence[Path], out: Path) -> None:
    with feature_file(out) as file:
        for part in parts:
            names = json.loads(names_file(part).read_text(encoding="utf-8"))
            if not names:
                continue
            rows = np.load(part, mmap_mode="r") if part.suffix.lower() == ".npy" else load_file(part)["features"]
            if len(rows) != len(names):
                raise ValueError(f"{part} has {len(rows)} rows and {len(names)} names; run its job again")
            for name, row in zip(names, rows, strict=True):
                file.add(name, torch.from_numpy(np.array(row)))
