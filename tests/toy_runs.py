"""What the tests of experiments share: a table of toys with records that nobody trained, and finished run folders."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from samples import TINY
from scapnet.config import Config
from scapnet.experiments.comparison import RowResults
from scapnet.experiments.record import Record, pack
from scapnet.experiments.rows import Row, Table
from scapnet.experiments.tables.changes import PLAIN
from scapnet.jsonfile import write_json
from scapnet.serialization import to_dict

TABLE = Table(
    "toy",
    "Toys",
    (
        Row("base", "bare", paper={"cub": 80.0}),
        Row("", "quoted", paper={"cub": 81.5}),
        Row("good", "better", paper={"cub": 82.0, "aircraft": 91.0}, note="ours"),
        Row("bad", "worse", paper={"aircraft": 90.0}),
    ),
    scores=("kept", "covered"),
    notes=("Toys are no birds.",),
    claims=(("good", "base"), ("bad", "base"), ("good", "bad"), ("bad", "other")),
)


def answers(correct: int, of: int = 100) -> list[bool]:
    return [i < correct for i in range(of)]


def record(seed: int, right: Sequence[bool], config: Config = TINY, **scores: float) -> Record:
    """What a run leaves, without the run."""
    found = {"accuracy": sum(right) / len(right), "images": float(len(right)), "train_seconds": 1800.0} | scores
    curve = [{"accuracy": 0.5}]
    return Record("?", seed, "c", "abc1234", "an abacus", "9.0", "1.0", config, found, curve, pack(torch.tensor(right)))


def results(records: Mapping[str, Sequence[Record]]) -> list[RowResults]:
    return [RowResults(row, {r.seed: r for r in records.get(row.name, [])}) for row in TABLE.rows]


THREE: dict[str, list[Record]] = {
    "base": [record(s, answers(n), kept=0.5) for s, n in enumerate((50, 52, 51))],
    "good": [record(s, answers(n), kept=0.25) for s, n in enumerate((60, 61, 62))],
    "bad": [record(s, answers(n)) for s, n in enumerate((51, 48, 52))],
}

# --- For the runner ---

BASE = replace(TINY, preset="toys", train=replace(TINY.train, epochs=2, checkpoint_steps=2))
ROWS = (
    Row("plain-0.5", "bare", PLAIN),
    Row("plain-b", "again", {**PLAIN, "train.seed": 7}),
    Row("two", "both", PLAIN, average=("plain-0.5", "plain-b")),
)


def finished(folder: Path, config: Config, probs: torch.Tensor, **changes: Any) -> Path:
    """A run folder as training leaves it: (n, K) answers to n images whose labels are 0, 1, 2, 0, 1, 2, ..."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", to_dict(config))
    (folder / "log.jsonl").write_text('{"epoch": 0, "accuracy": 0.5}\n')
    tensors = {"probs": probs, "target": torch.arange(len(probs)) % 3, "samples": torch.arange(len(probs))} | changes
    save_file(tensors, folder / "answers.safetensors")
    accuracy = float((probs.argmax(1) == tensors["target"]).double().mean())
    write_json(folder / "results.json", {"accuracy": accuracy, "train_seconds": 3.5})
    return folder


def guesses(seed: int, count: int = 40) -> torch.Tensor:
    """Softmax outputs (count, 3) by chance."""
    return torch.randn(count, 3, generator=torch.Generator().manual_seed(seed)).mul(3).softmax(-1)
