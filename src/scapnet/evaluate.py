"""Exact scores of a model on a split, also on several processes.

B batch, K classes, R marks, n samples.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from accelerate import Accelerator
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader

from scapnet.checkpoint import from_pretrained, read_run
from scapnet.data.load import load_data
from scapnet.data.loaders import default_workers, eval_loader
from scapnet.data.sample import mark_names
from scapnet.data.transforms import Views
from scapnet.jsonfile import write_json
from scapnet.metrics.gate import gate_overlap, intraclass_correlation
from scapnet.metrics.localization import coverage, coverage_by_mark, hit_rates
from scapnet.network import NetworkOutput


class Evaluation(NamedTuple):
    """Scores, and what they are made of, one row for each readable sample in order of its index."""

    scores: dict[str, float]
    target: Tensor  # (n,)
    probs: Tensor  # (n, K) the final answer
    samples: Tensor  # (n,) their indices
    marks: dict[str, dict[str, float]]  # by the name of a mark, where the data has marks: see `coverage_by_mark`

    def figures(self) -> dict[str, Any]:
        """Everything that a result file tells."""
        return self.scores | ({"marks": self.marks} if self.marks else {})

    def save(self, path: Path) -> None:
        """Write the answers, "target", "probs" and "samples", as safetensors."""
        save_file({"target": self.target, "probs": self.probs, "samples": self.samples}, path)


def columns(output: NetworkOutput, batch: Views) -> dict[str, Tensor]:
    """Figures of one batch, (B,) for each image; where there are marks and parts also "marks", see `coverage`."""
    target = batch["target"]
    found = {
        "accuracy": (output.probs.argmax(1) == target).float(),
        "accuracy_main": (output.logits.argmax(1) == target).float(),
    }
    if output.part_logits is not None:
        found["accuracy_parts"] = (output.part_logits.float().mean(1).argmax(1) == target).float()
    if output.gate is not None:
        found["kept"] = output.gate.mask.float().mean((1, 2))
        found |= gate_overlap(output, batch["box"])
    # A baseline's parts are not windows of a gate's grid.
    if output.parts is not None and output.gate is not None and batch["marks"].shape[1]:
        cover = coverage(output, batch["marks"])
        together = cover[:, :, 0].nanmean(1)  # (B, 2)
        found |= hit_rates(output, batch["marks"])
        found |= {"covered": together[:, 0], "random_covered": together[:, 1], "marks": cover}
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
        of the grid and `intraclass_correlation` of its masks; where the data has marks the `hit_rates` and the
        share of an image's marks that a part covers, and where it has boxes `gate_overlap`; and two counts, "images"
        that were scored and "unreadable" ones that were left out.

    Raises:
        ValueError: no image of the split can be read.
    """
    model.eval()
    rows = list[dict[str, Tensor]]()
    for batch in loader:
        output = model(batch["image"], batch.get("source"), batch["index"])
        row = columns(output, batch) | {"probs": output.probs}
        row |= {key: batch[key] for key in ("index", "target", "broken")}
        row |= {"masks": output.gate.mask} if output.gate is not None else {}
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
    marks = coverage_by_mark(table.pop("marks"), mark_names(loader.dataset)) if "marks" in table else {}
    table |= {"gate_by_place": intraclass_correlation(table.pop("masks"))} if "masks" in table else {}
    scores = {key: float(value.nanmean()) for key, value in table.items() if not value.isnan().all()}
    counts = {"images": float(len(samples)), "unreadable": float(broken.sum())}
    return Evaluation(scores | counts, target, probs, samples, marks)


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
    result = {"preset": config.preset, "split": name, "model": "best" if best else "last"} | found.figures()
    if accelerator.is_main_process:
        write_json(run / f"eval-{'best-' if best else ''}{name}.json", result)
    return result
