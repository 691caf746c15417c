"""Rows that train nothing: another row's network with its main branch alone or with weighed branches, and cascades.

A cascade makes a second pass for unsure photos.

n test images, K classes.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from scapnet.config import Config
from scapnet.experiments.environment import environment
from scapnet.experiments.record import Record, pack, without_paths
from scapnet.experiments.rows import source_of
from scapnet.jsonfile import read_json
from scapnet.metrics.pooling import pool_weights
from scapnet.metrics.skipping import PartsCost, sure_threshold
from scapnet.modules.fusion import fused_answer
from scapnet.training.schedule import work_of


def second_pass(
    samples: Tensor, target: Tensor, first: Tensor, both: Tensor, share: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Answers of a cascade, whose second pass is for images with an unsure first answer.

    The threshold of each half of the images is set on the other half.

    Args:
        samples: (n,) indices, by whose parity the images are halved.
        target: (n,) labels.
        first: (n, K) answers.
        both: (n, K) answers after the second pass.
        share: of the images, the least sure, that get a second pass in any case.

    Returns:
        The answers (n, K), and which images had a second pass, (n,) bool.
    """
    looked = torch.ones(len(samples), dtype=torch.bool)
    for half in (0, 1):
        mine = samples % 2 == half
        sure = sure_threshold(target[~mine], first[~mine], both[~mine], share=share)
        if sure is not None:
            looked[mine] = first[mine].float().amax(1) < sure
    return torch.where(looked[:, None], both, first), looked


def pooled(samples: Tensor, target: Tensor, main: Tensor, parts: Tensor) -> Tensor:
    """Answers (n, K) with weighed branches; the weights of each half of the images are set on the other half.

    Args:
        samples: (n,) indices, by whose parity the images are halved.
        target: (n,) labels.
        main: (n, K) answers of the main branch.
        parts: (n, K) answers of the parts.
    """
    found = (main + parts) / 2
    for half in (0, 1):
        mine = samples % 2 == half
        weights = pool_weights(target[~mine], main[~mine], parts[~mine])
        if weights is not None:
            found[mine] = fused_answer(main[mine].log(), parts[mine, None].log(), weights)
    return found


def from_cascade(
    row: str, seed: int, sources: tuple[str, ...], folders: Mapping[str, Path], config: Config, command: str
) -> Record:
    """The record of a branch alone, or of a cascade.

    The second pass is a network's own final answer after its main branch, or the mean of two networks' answers.

    Args:
        row: its name.
        seed: 0, 1, ...
        sources: see `Row.cascade`.
        folders: the run folders, by the names of their rows.
        config: of the row.
        command: that makes it.

    Raises:
        ValueError: the runs were not scored on the same images, or without their main branch's answers.
    """
    found = [_answers(source, folders[source_of(source)]) for source in sources]
    samples, target, first = found[0]
    for other in found[1:]:
        if not torch.equal(samples, other[0]) or not torch.equal(target, other[1]):
            raise ValueError(f"{' and '.join(map(str, folders.values()))} were scored on different images")
    seconds = sum(read_json(folder / "results.json")["train_seconds"] for folder in folders.values())
    scores = {"images": float(len(samples)), "train_seconds": seconds}
    answer = first
    if len(found) > 1:
        second = found[1][2]
        if len(folders) == 1:  # the parts of one network, as `predict --parts unsure` looks at them
            share = PartsCost(1.0, work_of(config, config.train.epochs - 1)).affordable()
            answer, looked = second_pass(samples, target, first, second, share)
        else:
            answer, looked = second_pass(samples, target, first, (first + second) / 2)
        scores["looked"] = float(looked.double().mean())
        scores["accuracy_main"] = float((first.argmax(1) == target).double().mean())
    right = answer.argmax(1) == target
    scores["accuracy"] = float(right.double().mean())
    made = environment(command)
    return Record(row, seed, **made, config=without_paths(config), scores=scores, curve=[], right=pack(right))


def _answers(source: str, folder: Path) -> tuple[Tensor, Tensor, Tensor]:
    """Samples (n,), labels (n,) and answers (n, K) of a run, of its main branch, or with weighed branches."""
    tensors = load_file(folder / "answers.safetensors")
    samples, target, probs = (tensors[key] for key in ("samples", "target", "probs"))
    if source_of(source) == source:
        return samples, target, probs.float()
    if "main" not in tensors:
        raise ValueError(f"{folder} was scored without its main branch's answers; train it again")
    main = tensors["main"].float()
    if source.endswith(".main"):
        return samples, target, main
    least = torch.finfo(torch.float32).tiny
    parts = tensors.get("parts", 2 * probs - main).float()  # earlier runs kept the mean of both, without the parts
    return samples, target, pooled(samples, target, main.clamp(min=least), parts.clamp(min=least))
