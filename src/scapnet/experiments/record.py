"""The file that a finished row leaves: settings, scores, curve and what it ran on. n pictures, K classes."""

import json
import math
import platform
import subprocess
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import timm
import torch
from safetensors.torch import load_file
from torch import Tensor

from scapnet import __version__
from scapnet.build import sections
from scapnet.config import Config
from scapnet.errors import reason
from scapnet.experiments.stats import spread
from scapnet.jsonfile import read_json
from scapnet.serialization import from_dict, to_dict

PACKAGE = Path(__file__).parent.parent
# They say where and how fast a run goes, and not what comes out of it.
PLACE = ("root", "workers", "download")
PACE = ("precision", "log_every", "checkpoint_steps")


def essence(config: Config) -> dict[str, Any]:
    """The settings that decide what comes out; the same on every machine.

    Settings of modules that the network does not have are left out: without any it is the backbone, whatever its name.
    """
    values: dict[str, Any] = to_dict(config)
    for section, names in (("data", PLACE), ("train", PACE)):
        values[section] = {key: value for key, value in values[section].items() if key not in names}
    model, used = values["model"], sections(config.model)
    model["weights"] = Path(config.model.weights).name
    unused: tuple[str, ...] = ()
    if "relation" not in used:
        del model["relation"]
    if "parts" not in used:
        del model["parts"]
        unused = ("con", "sub")
    if not used & {"gate", "parts"}:  # the parts' grid is the gate's
        del model["gate"], model["network"]
        unused += ("act", "act_ramp")
    values["loss"] = {key: value for key, value in values["loss"].items() if key not in unused}
    values.pop("preset")
    return values


def same_settings(values: dict[str, Any], config: Config) -> bool:
    """Whether written settings are those of a config; ones that they were written before have their defaults."""
    return essence(from_dict(Config, values)) == essence(config)


def same_run(file: Path, config: Config) -> bool:
    """Whether a row's file is of this config.

    Raises:
        ValueError: it is no record, or has settings of another version.
    """
    try:
        return same_settings(read_json(file)["config"], config)
    except (KeyError, ValueError) as error:
        raise ValueError(
            f"{file} cannot be used ({reason(error)}); move it away, or give another --out folder"
        ) from error


def without_place(values: dict[str, Any]) -> dict[str, Any]:
    """Settings without the places that only one machine has."""
    model = values["model"] | {"weights": Path(values["model"]["weights"]).name}
    return values | {"data": values["data"] | {"root": None}, "model": model}


def files_of(row: str, folder: Path) -> dict[int, Path]:
    """The files of a row by seed, in order."""
    files = [file for file in folder.glob(f"{row}-*.json") if file.stem.removeprefix(f"{row}-").isdecimal()]
    return dict(sorted((int(file.stem.rsplit("-", 1)[1]), file) for file in files))


def _git(*words: str) -> str:
    try:
        return subprocess.run(["git", *words], cwd=PACKAGE, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def commit() -> str:
    """The commit that the package runs from, with + where files were changed; its version where there is none."""
    found = _git("rev-parse", "--short", "HEAD")
    if not found or not _git("ls-files", "__init__.py"):  # it may be installed below a repository that is not its own
        return f"scapnet {__version__}"
    return found + ("+" if _git("status", "--porcelain", "--untracked-files=no", ".") else "")


def hardware() -> str:
    """What computes here."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]}, {len(names)} cores" if names else platform.processor() or platform.machine()


def curve(folder: Path) -> list[dict[str, float]]:
    """Means of the log by epoch: training accuracy, kept share, the terms of the loss, and the validation accuracy."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    epochs: dict[int, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for line in lines:
        prefix = "val_" if line.get("split") == "val" else ""
        for key in ("accuracy", "kept", "cls", "act", "con", "sub"):
            if key in line:
                epochs[line["epoch"]][prefix + key].append(line[key])
    return [{key: round(fmean(values), 4) for key, values in epochs[epoch].items()} for epoch in sorted(epochs)]


def pack(right: Tensor) -> str:
    """Which of n pictures were named right, (n,) bool, as hexadecimal digits."""
    return f"{len(right)}:{int('1' + ''.join('1' if r else '0' for r in right.tolist()), 2):x}"


def unpack(text: str) -> list[bool]:
    """What `pack` packed."""
    return [digit == "1" for digit in f"{int(text.partition(':')[2], 16):b}"[1:]]


def facts(command: str, ran: str | None = None) -> dict[str, Any]:
    """What a reader needs to run a row again; ``ran`` is the commit that it ran from, by default this one."""
    return {
        "command": command,
        "commit": ran or commit(),
        "hardware": hardware(),
        "torch": torch.__version__,
        "timm": timm.__version__,
    }


def kept_spread(epochs: Sequence[Mapping[str, float]], ramp_end: float) -> float | None:
    """Standard deviation of the kept share over the later half of the epochs, without those in which beta grows.

    None where fewer than two are left.
    """
    first = max(len(epochs) // 2, math.ceil(ramp_end))
    kept = [epoch["kept"] for epoch in epochs[first:] if "kept" in epoch]
    return round(spread(kept), 4) if len(kept) > 1 else None


def from_run(name: str, seed: int, folder: Path, command: str, ran: str | None = None) -> dict[str, Any]:
    """The record of a finished run folder; ``ran`` is the commit that it ran from, by default this one."""
    scores, answers = read_json(folder / "results.json"), load_file(folder / "answers.safetensors")
    config = read_json(folder / "config.json")
    epochs = curve(folder)
    if (kept := kept_spread(epochs, config["loss"]["act_ramp"][1])) is not None:
        scores["kept_spread"] = kept
    right = answers["probs"].argmax(1) == answers["target"]
    return {
        "row": name,
        "seed": seed,
        **facts(command, ran),
        "config": without_place(config),
        "scores": scores,
        "curve": epochs,
        "right": pack(right),
    }


def from_average(name: str, seed: int, folders: tuple[Path, Path], config: Config, command: str) -> dict[str, Any]:
    """The record of two networks whose softmax outputs are averaged.

    Raises:
        ValueError: they did not answer the same pictures.
    """
    first, second = (load_file(folder / "answers.safetensors") for folder in folders)
    if not torch.equal(first["samples"], second["samples"]) or not torch.equal(first["target"], second["target"]):
        raise ValueError(f"{folders[0]} and {folders[1]} were scored on different pictures; train them anew")
    right = ((first["probs"] + second["probs"]) / 2).argmax(1) == first["target"]
    seconds = sum(read_json(folder / "results.json")["train_seconds"] for folder in folders)
    scores = {"accuracy": float(right.double().mean()), "images": float(len(right)), "train_seconds": seconds}
    about = {"row": name, "seed": seed, **facts(command), "config": without_place(to_dict(config)), "scores": scores}
    return about | {"curve": [], "right": pack(right)}
