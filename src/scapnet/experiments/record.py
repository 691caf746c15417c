"""The record of a finished run: settings, scores, curve and environment. n test images, K classes."""

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from scapnet.config import Config
from scapnet.errors import reason
from scapnet.experiments.environment import environment
from scapnet.experiments.stats import spread
from scapnet.jsonfile import read_json, write_json
from scapnet.serialization import from_dict, to_dict


@dataclass(frozen=True)
class Record:
    """A finished run of a row, or the average of two.

    Args:
        row: name of the row.
        seed: 0, 1, ...
        command: the command that makes it.
        commit: the commit that it ran from; several if it was resumed at another one.
        hardware: what it was trained on.
        torch: version of PyTorch.
        timm: version of timm.
        config: its settings, without paths.
        scores: by name, as in `results.json`.
        curve: means by epoch; empty for an average, which trains nothing.
        right: which of n test images were classified correctly, see `pack`.
    """

    row: str
    seed: int
    command: str
    commit: str
    hardware: str
    torch: str
    timm: str
    config: Config
    scores: dict[str, Any]
    curve: list[dict[str, float]]
    right: str


def read_record(file: Path) -> Record:
    """Read a record; settings that have moved since are put in their new places.

    Raises:
        ValueError: the file is not a record, or has settings that this version does not know.
    """
    try:
        values = read_json(file)
        return Record(**values | {"config": from_dict(Config, values["config"])})
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{file} cannot be read ({reason(error)}); move it away, or choose another --out folder"
        ) from error


def write_record(file: Path, record: Record) -> None:
    """Write a record."""
    write_json(file, vars(record) | {"config": to_dict(record.config)})


def files_of(row: str, folder: Path) -> dict[int, Path]:
    """The records of a row by seed, in order."""
    files = [file for file in folder.glob(f"{row}-*.json") if file.stem.removeprefix(f"{row}-").isdecimal()]
    return dict(sorted((int(file.stem.rsplit("-", 1)[1]), file) for file in files))


def from_run(row: str, seed: int, folder: Path, command: str, commit: str | None = None) -> Record:
    """The record of a finished run folder; ``commit`` is the one that it ran from, by default the current one."""
    scores, answers = read_json(folder / "results.json"), load_file(folder / "answers.safetensors")
    config = from_dict(Config, read_json(folder / "config.json"))
    epochs = curve(folder)
    if (kept := kept_spread(epochs, config.loss.act_ramp[1])) is not None:
        scores["kept_spread"] = kept
    right = pack(answers["probs"].argmax(1) == answers["target"])
    found = environment(command, commit)
    return Record(row, seed, **found, config=without_paths(config), scores=scores, curve=epochs, right=right)


def from_average(row: str, seed: int, folders: tuple[Path, Path], config: Config, command: str) -> Record:
    """The record of two networks whose softmax outputs are averaged.

    Raises:
        ValueError: they were not scored on the same images.
    """
    first, second = (load_file(folder / "answers.safetensors") for folder in folders)
    if not torch.equal(first["samples"], second["samples"]) or not torch.equal(first["target"], second["target"]):
        raise ValueError(f"{folders[0]} and {folders[1]} were scored on different images; train both again")
    right = ((first["probs"] + second["probs"]) / 2).argmax(1) == first["target"]
    seconds = sum(read_json(folder / "results.json")["train_seconds"] for folder in folders)
    scores = {"accuracy": float(right.double().mean()), "images": float(len(right)), "train_seconds": seconds}
    found = environment(command)
    return Record(row, seed, **found, config=without_paths(config), scores=scores, curve=[], right=pack(right))


def without_paths(config: Config) -> Config:
    """A config without the paths of one machine."""
    model = replace(config.model, weights=Path(config.model.weights).name)
    return replace(config, data=replace(config.data, root=None), model=model)


def curve(folder: Path) -> list[dict[str, float]]:
    """Means of a run's log by epoch: training accuracy, kept share, terms of the loss, and validation accuracy."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    epochs: dict[int, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for line in lines:
        prefix = "val_" if line.get("split") == "val" else ""
        for key in ("accuracy", "kept", "cls", "act", "con", "sub", "distill", "success", "cam"):
            if key in line:
                epochs[line["epoch"]][prefix + key].append(line[key])
    return [{key: round(fmean(values), 4) for key, values in epochs[epoch].items()} for epoch in sorted(epochs)]


def kept_spread(epochs: Sequence[Mapping[str, float]], ramp_end: float) -> float | None:
    """Standard deviation of the kept share over the second half of the epochs, without those in which beta grows.

    None if fewer than two epochs are left.
    """
    first = max(len(epochs) // 2, math.ceil(ramp_end))
    kept = [epoch["kept"] for epoch in epochs[first:] if "kept" in epoch]
    return round(spread(kept), 4) if len(kept) > 1 else None


def pack(right: Tensor) -> str:
    """Which of n images were classified correctly, (n,) bool, as "n:" and hexadecimal digits.

    >>> pack(torch.tensor([False, False, True]))
    '3:9'
    """
    return f"{len(right)}:{int('1' + ''.join('1' if r else '0' for r in right.tolist()), 2):x}"


def unpack(text: str) -> list[bool]:
    """The inverse of `pack`.

    >>> unpack("3:9")
    [False, False, True]
    """
    return [digit == "1" for digit in f"{int(text.partition(':')[2], 16):b}"[1:]]
