"""After training: scoring the model, saving it, drawing its parts and printing the result."""

from typing import Any, NamedTuple

import torch

from scapnet.data.broken import readable_samples
from scapnet.data.sample import FineGrained
from scapnet.evaluate import Evaluation
from scapnet.jsonfile import write_json
from scapnet.metrics.coverage import ERROR_RATE, calibrate
from scapnet.metrics.parts_gain import advice
from scapnet.metrics.per_class import rejection_threshold
from scapnet.metrics.pooling import pool_weights
from scapnet.metrics.skipping import can_skip, parts_cost
from scapnet.model import SCAPNet
from scapnet.prototypes import look_at_training
from scapnet.summary import show_classes, show_scores, write_tables
from scapnet.terminal.console import ProgressBar, say
from scapnet.training.run import Run
from scapnet.visualize import part_grid


class Held(NamedTuple):
    """The photos that a finished run is scored on."""

    split: str  # "test", or "val" if there is no test
    data: FineGrained


def held_out(run: Run) -> Held | None:
    """The photos to score; None if there are neither test nor validation photos."""
    splits = ((name, getattr(run.data, name)) for name in ("test", "val"))
    return next((Held(name, data) for name, data in splits if data is not None), None)


def finish(run: Run, bar: ProgressBar) -> tuple[dict[str, Any], Evaluation | None]:
    """Score the last epoch's model, or with early stopping the best one, and complete the run folder.

    Returns:
        The content of ``results.json``, and the answers if there are photos to score.
    """
    position, best = run.position, run.config.train.patience > 0
    if best:
        run.take_best()
    held = held_out(run)
    found = score(run, held, bar) if held is not None else None
    result: dict[str, Any] = {
        "preset": run.config.preset,
        "epochs": run.config.train.epochs,
        "model": "best" if best else "last",
        **early_stop(run),
        "train_images": len(run.data.train),
        "train_seconds": round(position.seconds, 1),
        "train_unreadable": len(position.broken),
    }
    if held is not None and found is not None:
        result |= {"split": held.split} | found.figures()
    if pool := getattr(run.scored, "pool", None):
        result["pool"] = list(pool)
    run.save("model", result)
    if run.accelerator.is_main_process:
        if held is not None:
            draw(run, held.data)
        write_json(run.folder.path / "results.json", result)
    return result, found


def early_stop(run: Run) -> dict[str, int]:
    """The epochs of the best validation accuracy and of early stopping, as far as they apply."""
    position = run.position
    found = {"best_epoch": position.best_epoch} if run.data.val is not None else {}
    return found | ({"stopped_epoch": position.epoch} if position.epoch < run.config.train.epochs else {})


def weigh(run: Run, bar: ProgressBar, scored: str) -> None:
    """Weigh the branches of the answer by the validation images, with `train.pool`, before a split is scored."""
    model = run.scored
    if not run.config.train.pool or run.data.val is None or not isinstance(model, SCAPNet) or model.selection is None:
        return
    too = ", which are scored, too, so the accuracy may be a little too high" if scored == "val" else ""
    bar.note(f"weighing both branches by {len(run.data.val)} val images{too}")
    found = run.score(run.eval_loader(run.data.val))
    assert found.main is not None
    assert found.parts is not None
    if weights := pool_weights(found.target, found.main, found.parts):
        model.set_pool(weights)
        bar.note("the logits of the main branch count {:.2f} and those of the parts {:.2f}".format(*weights))


def score(run: Run, held: Held, bar: ProgressBar) -> Evaluation:
    """Score photos, write the answers and their tables, and calibrate the model on its validation split."""
    model, folder = run.scored, run.folder.path
    weigh(run, bar, held.split)
    model.prototypes = look_at_training(model, run.data.train, workers=run.workers)
    if held.split != "val" and run.data.val is not None:
        bar.note(f"calibrating on {len(run.data.val)} val images")
        known = run.score(run.eval_loader(run.data.val))
        model.threshold, model.sure = rejection_threshold(known.target, known.probs), known.sure(model)
        model.calibration = calibrate(known.held, True)
    bar.note(f"evaluating {len(held.data)} {held.split} images")
    found = run.score(run.eval_loader(held.data))
    if model.calibration is not None or held.split == "val":
        found = found.calibrated(model.calibration, model.parents, ERROR_RATE)
    if held.split == "val":
        model.threshold, model.sure = rejection_threshold(found.target, found.probs), found.sure(model)
        model.calibration = calibrate(found.held, True)
    if run.accelerator.is_main_process:
        found.save(folder / "answers.safetensors", model.classes)
        names = run.record.names(held.split, held.data)
        write_tables(folder, f"eval-{held.split}", found.target, found.probs, found.samples, model.classes, names)
    return found


def draw(run: Run, data: FineGrained, most: int = 8) -> None:
    """Draw the parts of a few photos as ``parts.png``."""
    chosen = torch.linspace(0, len(data) - 1, min(most, len(data))).long().tolist()
    if samples := readable_samples(data, chosen)[0]:
        part_grid(run.scored.eval(), samples).save(run.folder.path / "parts.png", compress_level=1)


def show(run: Run, result: dict[str, Any], found: Evaluation | None) -> None:
    """Print the result of a finished run."""
    show_scores(result)
    if found is not None:
        show_classes(found.target, found.probs, run.model.classes)
    if found is not None and found.main is not None and can_skip(run.scored):
        told = advice(found.target, found.main, found.probs, run.scored.sure, parts_cost(run.scored))
        say(f"on these photos {told.sentence}")
    folder = run.folder.path
    shown = folder / "parts.png"
    say(f"run folder: {folder}")
    if shown.exists():
        say(f"parts of some photos: {shown}")
