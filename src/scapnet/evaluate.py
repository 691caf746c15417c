"""Exact scores of a model on a split, also on several processes, and how well its parts meet the annotated marks.

B batch, M parts, R marks, N grid, n = N - u + 1.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.data import DataLoader

from scapnet.checkpoint import from_pretrained, read_run, write_json
from scapnet.data.load import default_workers, eval_loader, load_data
from scapnet.data.transforms import Views
from scapnet.model import SCAPNetOutput
from scapnet.modules.boxes import cxcywh_to_xyxy, window_boxes


class Evaluation(NamedTuple):
    """Scores, and what they are made of, one row for each readable sample in order of its index."""

    scores: dict[str, float]
    target: Tensor  # (n,)
    probs: Tensor  # (n, K) the final answer
    samples: Tensor  # (n,) their indices


def holds(boxes: Tensor, marks: Tensor) -> Tensor:
    """Which boxes hold the centre of a mark.

    Args:
        boxes: (B, M, 4) cxcywh in [0, 1].
        marks: (B, R, 4) xyxy in [0, 1]; rows without a mark are NaN.

    Returns:
        (B, M) bool.
    """
    corners = cxcywh_to_xyxy(boxes).unsqueeze(2)  # (B, M, 1, 4)
    centre = ((marks[..., :2] + marks[..., 2:]) / 2).unsqueeze(1)  # (B, 1, R, 2)
    inside = (corners[..., :2] <= centre) & (centre < corners[..., 2:])  # NaN compares false
    return inside.all(-1).any(-1)


def mark_columns(output: SCAPNetOutput, marks: Tensor) -> dict[str, Tensor]:
    """Per image and scale, the share of chosen windows that hold a mark's centre, and the share of all windows.

    The second is what windows chosen at random would get, exactly and without drawing any. Images without a visible
    mark in the view, and scales without a part, give NaN.
    """
    assert output.gate is not None
    assert output.parts is not None
    chosen = holds(output.parts.boxes, marks)  # (B, M)
    visible = ((marks[..., :2] + marks[..., 2:]) / 2 - 0.5).abs().amax(-1).le(0.5).any(1)  # (B,)
    columns = {}
    height, width = output.gate.features.shape[-2:]
    for scale, scores in enumerate(output.parts.maps, 1):
        every = window_boxes(height, width, output.gate.mask.shape[-1], scale, device=marks.device)
        random = holds(every.expand(len(marks), -1, -1), marks).float().mean(1)
        here = (output.parts.scales == scale).to(scores)
        mine = (chosen * here).sum(1) / here.sum(1)  # 0 / 0 is NaN
        columns[f"hit_scale{scale}"] = torch.where(visible, mine, torch.nan)
        columns[f"random_scale{scale}"] = torch.where(visible & here.any(1), random, torch.nan)
    return columns


def columns(output: SCAPNetOutput, target: Tensor, marks: Tensor | None = None) -> dict[str, Tensor]:
    """Per-image figures (B,) of one batch."""
    found = {
        "accuracy": (output.probs.argmax(1) == target).float(),
        "accuracy_main": (output.logits.argmax(1) == target).float(),
    }
    if output.part_logits is not None:
        found["accuracy_parts"] = (output.part_logits.float().mean(1).argmax(1) == target).float()
    if output.gate is not None:
        found["kept"] = output.gate.mask.float().mean((1, 2))
    if output.parts is not None and marks is not None:
        found |= mark_columns(output, marks)
    return found


@torch.no_grad()
def evaluate(
    model: nn.Module,
    loader: DataLoader[Views],
    accelerator: Accelerator,
    on_batch: Callable[[int], Any] = lambda _: None,
) -> Evaluation:
    """Run a model over a prepared loader; every sample counts exactly once on any number of processes.

    Args:
        model: a (prepared) `SCAPNet`.
        loader: a prepared loader of `EvalViews`.
        accelerator: which prepared them.
        on_batch: told how many images each batch had.

    Returns:
        Mean scores in [0, 1]: accuracy of both branches together, of the main branch and of the parts, kept share
        of the grid, and the hit rates of `mark_columns` where the data has marks; and two counts, "images" that were
        scored and "unreadable" ones that were left out.

    Raises:
        ValueError: no image of the split can be read.
    """
    model.eval()
    rows: list[dict[str, Tensor]] = []
    for batch in loader:
        output = model(batch["image"], batch.get("source"), batch["index"])
        row = columns(output, batch["target"], batch.get("marks"))
        row |= {key: batch[key] for key in ("index", "target", "broken")} | {"probs": output.probs}
        rows.append({key: value.cpu() for key, value in accelerator.gather_for_metrics(row).items()})
        on_batch(len(batch["target"]) * accelerator.num_processes)
    table = {key: torch.cat([row[key] for row in rows]) for key in rows[0]}
    broken = table.pop("broken")
    if broken.all():
        raise ValueError(f"none of the {len(broken)} images of the split can be read; look at its files")
    # In the order of the samples: a sum of floats depends on it, and the number of processes must not matter.
    order = table["index"].argsort()
    table = {key: value[order[~broken[order]]] for key, value in table.items()}
    samples, target, probs = (table.pop(key) for key in ("index", "target", "probs"))
    scores = {key: float(value.nanmean()) for key, value in table.items() if not value.isnan().all()}
    counts = {"images": float(len(samples)), "unreadable": float(broken.sum())}
    return Evaluation(scores | counts, target, probs, samples)


def evaluate_run(run: Path, split: str | None = None, root: Path | None = None, best: bool = False) -> dict[str, Any]:
    """Score a run's model and write ``eval-SPLIT.json`` (``eval-best-SPLIT.json``) into its folder.

    Args:
        run: the run folder.
        split: "test", "val" or "train"; by default test, or val where there is no test.
        root: where the data lies now.
        best: the model that was best on the validation split instead of the last epoch's.

    Raises:
        ValueError: no run there, data of other classes, no such split.
    """
    config = read_run(run)
    model = from_pretrained(run / "best" if best else run)
    splits = load_data(replace(config.data, root=root or config.data.root))
    if tuple(splits.train.classes) != model.classes:
        raise ValueError(
            f"the data has {len(splits.train.classes)} classes and the model {len(model.classes)}, or other names; "
            f"give the data set that the run was trained on with --root"
        )
    name = split or next((name for name in ("test", "val") if getattr(splits, name) is not None), "train")
    data = getattr(splits, name)
    if data is None:
        raise ValueError(f"the data has no {name} split; choose another with --split")
    accelerator = Accelerator(mixed_precision=config.train.precision)
    loader = eval_loader(data, model.view, max(config.train.batch_size, 32), default_workers(accelerator.num_processes))
    net, prepared = accelerator.prepare(model, loader)
    found = evaluate(net, prepared, accelerator)
    result = {"preset": config.preset, "split": name, "model": "best" if best else "last"} | found.scores
    if accelerator.is_main_process:
        write_json(run / f"eval-{'best-' if best else ''}{name}.json", result)
    return result
