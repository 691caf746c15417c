"""A network's answers to all photos of a split, branch by branch.

n photos, K classes, D feature size.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.nn.functional import normalize

from scapnet.data.loaders import default_workers, eval_loader
from scapnet.data.sample import FineGrained, Sample
from scapnet.errors import reason
from scapnet.explain.evidence import NEEDED, capturing, main_features
from scapnet.network import Network, device_of
from scapnet.terminal.console import ProgressBar

ANSWERS = "answers.safetensors"  # of a run folder


@dataclass(frozen=True)
class Answered:
    """The answers to the readable photos of a split, in order."""

    samples: Tensor  # (n,) their indices in the split
    target: Tensor  # (n,) labels
    probs: Tensor  # (n, K) the final answer
    main: Tensor  # (n, K) of the main branch
    parts: Tensor | None  # (n, K) of the parts together
    kept: Tensor | None  # (n,) share of the grid that the gate kept
    features: Tensor  # (n, D) of the main branch, of length 1, float16
    unreadable: int

    @property
    def predicted(self) -> Tensor:
        """(n,) the answers."""
        return self.probs.argmax(1)

    @property
    def confidence(self) -> Tensor:
        """(n,) the probabilities of the answers."""
        return self.probs.amax(1)

    @property
    def right(self) -> Tensor:
        """(n,) bool."""
        return self.predicted == self.target


def saved_answers(file: Path, classes: Sequence[str], data: FineGrained) -> Answered:
    """The answers that training saved for the photos that it held out; the branches and features are not among them.

    Args:
        file: of a run folder.
        classes: names of the K classes.
        data: the held-out photos.

    Raises:
        ValueError: no such file, or answers to other photos or with other classes.
    """
    try:
        with safe_open(file, framework="pt") as opened:
            names = json.loads((opened.metadata() or {})["classes"])
            target, probs, samples = (opened.get_tensor(name) for name in ("target", "probs", "samples"))
    except (OSError, SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise ValueError(f"{file} has no answers to held-out photos ({reason(error)}); finish the run first") from error
    labels = torch.tensor(data.labels)
    if names != list(classes) or int(samples.max()) >= len(labels) or not torch.equal(labels[samples], target):
        raise ValueError(f"{file} has other classes or photos; give runs on folds of the same data")
    return Answered(samples, target, probs, probs, None, None, probs.new_zeros(len(probs), 0), 0)


@torch.inference_mode()
def answer_split(
    model: Network,
    data: FineGrained,
    batch_size: int = 32,
    workers: int | None = None,
    bar: ProgressBar | None = None,
) -> Answered:
    """Run a network over a split, in order.

    Args:
        model: with its ``view``, on its device.
        data: the split.
        batch_size: photos at a time.
        workers: loader processes; by default chosen by the number of cores.
        bar: shows how many photos are done.

    Raises:
        ValueError: none of the photos can be read.
    """
    device, rows = device_of(model), list[dict[str, Tensor]]()
    loader = eval_loader(data, model.view, batch_size, default_workers() if workers is None else workers)
    model.eval()
    for batch in loader:
        source = batch["source"].to(device) if "source" in batch else None
        with capturing(model, NEEDED[:1]) as captured:
            output = model(batch["image"].to(device), source, batch["index"].to(device))
        row = {"probs": output.probs, "main": output.logits.float().softmax(1)}
        if output.part_logits is not None:
            row["parts"] = output.part_logits.float().mean(1).softmax(1)
        if output.gate is not None:
            row["kept"] = output.gate.mask.float().mean((1, 2))
        row["features"] = normalize(main_features(captured), dim=1).half()
        row |= {key: batch[key] for key in ("index", "target", "broken")}
        rows.append({key: value.cpu() for key, value in row.items()})
        if bar is not None:
            bar.advance(len(batch["index"]))
    table = {key: torch.cat([row[key] for row in rows]) for key in rows[0]}
    broken = table.pop("broken")
    if broken.all():
        raise ValueError(f"none of the {len(broken)} photos can be read; look at the files")
    table = {key: value[~broken].clone() for key, value in table.items()}
    return Answered(
        table["index"],
        table["target"],
        table["probs"],
        table["main"],
        table.get("parts"),
        table.get("kept"),
        table["features"],
        int(broken.sum()),
    )


@contextmanager
def main_branch_only(model: Network) -> Iterator[Network]:
    """Run a network without its parts, as in stage 1 of training."""
    stage = model.stage
    model.set_stage(1)
    try:
        yield model
    finally:
        model.set_stage(stage)


class Subset:
    """Some photos of a split, as a split.

    Args:
        data: the split.
        indices: of the photos.
    """

    def __init__(self, data: FineGrained, indices: Sequence[int]) -> None:
        self.data, self.indices = data, indices
        self.labels = [int(data.labels[i]) for i in indices]

    @property
    def classes(self) -> Sequence[str]:
        """Of the whole split."""
        return self.data.classes

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Sample:
        return self.data[self.indices[index]]


def main_features_of(
    model: Network, data: FineGrained, most: int, batch_size: int, workers: int | None, bar: ProgressBar
) -> Answered:
    """The main branch's answers to some photos of a split, spread over its length; ``samples`` are indices into it.

    Args:
        model: the network.
        data: the split.
        most: how many photos at most.
        batch_size, workers, bar: see `answer_split`.
    """
    indices = torch.linspace(0, len(data) - 1, min(most, len(data))).long()
    bar.start("features of training photos", len(indices))
    with main_branch_only(model):
        found = answer_split(model, Subset(data, indices.tolist()), batch_size, workers, bar)
    return replace(found, samples=indices[found.samples])
