"""Training curves from a run's ``log.jsonl``."""

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TERMS = {
    "loss": "total",
    "cls": "main branch (cls)",
    "sub": "parts (sub)",
    "con": "ranking of scales (con)",
    "distill": "distillation (distill)",
    "success": "choice of parts (success)",
    "act": "gate (act)",
    "cam": "choice of parts (cam)",
}


@dataclass(frozen=True)
class Curve:
    """A series of points."""

    name: str
    points: tuple[tuple[float, float], ...]  # epochs done, value


@dataclass(frozen=True)
class Curves:
    """The curves of a run; a group without values is empty."""

    accuracy: tuple[Curve, ...]
    losses: tuple[Curve, ...]
    kept: tuple[Curve, ...]
    epochs: int  # that are logged


def read_curves(file: Path) -> Curves:
    """The curves of a log; damaged lines are left out, and a missing file has no curves."""
    lines = list(_lines(file))
    steps = [line for line in lines if "step" in line]
    scores = [line for line in lines if line.get("split") == "val"]
    longest = max((line["step"] for line in steps), default=1)
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for line in steps:
        at = line["epoch"] + line["step"] / longest
        for key in (*TERMS, "accuracy", "kept"):
            if key in line:
                found[key].append((at, float(line[key])))
    for line in scores:
        for key in ("accuracy", "accuracy_main", "accuracy_parts"):
            if key in line:
                found[f"val {key}"].append((line["epoch"] + 1, float(line[key])))
    names = {"accuracy": "training, augmented", "val accuracy": "validation, both"}
    names |= {"val accuracy_main": "validation, main branch", "val accuracy_parts": "validation, parts"}
    if "val accuracy_parts" not in found:
        names = {"accuracy": "training, augmented", "val accuracy": "validation"}
    epochs = 1 + max((int(line["epoch"]) for line in lines), default=-1)
    kept = _group(found, {"kept": "kept share, training"})
    return Curves(_group(found, names), _group(found, TERMS), kept, epochs)


def _lines(file: Path) -> Any:
    try:
        text = file.read_text(encoding="utf-8")
    except OSError:
        return
    for row in text.splitlines():
        try:
            line = json.loads(row)
        except ValueError:
            continue
        if isinstance(line, dict) and isinstance(line.get("epoch"), int):
            yield line


def _group(found: dict[str, list[tuple[float, float]]], names: dict[str, str]) -> tuple[Curve, ...]:
    return tuple(Curve(name, tuple(found[key])) for key, name in names.items() if found.get(key))
