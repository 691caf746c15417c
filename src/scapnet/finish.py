"""What follows training: the scores of the model, its folder, a picture of the parts, and what is printed."""

from typing import Any, NamedTuple

import torch

from scapnet.console import ProgressBar
from scapnet.data.broken import sort_out
from scapnet.data.sample import FineGrained
from scapnet.evaluate import Evaluation, evaluate_model, write_tables
from scapnet.jsonfile import write_json
from scapnet.metrics.per_class import rejection_threshold
from scapnet.summary import show_classes, show_scores
from scapnet.trainer import Trainer
from scapnet.visualize import part_grid


class Held(NamedTuple):
    """The photos that a finished run is scored on."""

    split: str  # "test", or "val" where there is no test
    data: FineGrained


def held_out(trainer: Trainer) -> Held | None:
    """The photos to score; None where there are neither test nor validation photos."""
    splits = ((name, getattr(trainer.data, name)) for name in ("test", "val"))
    return next((Held(name, data) for name, data in splits if data is not None), None)


def finish(trainer: Trainer, bar: ProgressBar) -> tuple[dict[str, Any], Evaluation | None]:
    """Score the last epoch's model and write all that a finished run holds.

    Returns:
        What ``results.json`` holds, and the answers where there are photos to score.
    """
    held = held_out(trainer)
    found = score(trainer, held, bar) if held is not None else None
    result = {
        "preset": trainer.config.preset,
        "epochs": trainer.config.train.epochs,
        **early_stop(trainer),
        "train_images": len(trainer.data.train),
        "train_seconds": round(trainer.position.seconds, 1),
        "train_unreadable": len(trainer.position.broken),
    }
    if held is not None and found is not None:
        result |= {"split": held.split} | found.figures()
    trainer.save("model", result)
    if trainer.accelerator.is_main_process:
        if held is not None:
            draw(trainer, held.data)
        write_json(trainer.folder.path / "results.json", result)
    return result, found


def early_stop(trainer: Trainer) -> dict[str, int]:
    """After how many epochs a run was stopped early, and had its best validation accuracy; empty if it was not."""
    position = trainer.position
    if position.epoch == trainer.config.train.epochs:
        return {}
    return {"stopped_epoch": position.epoch, "best_epoch": position.best_epoch}


def score(trainer: Trainer, held: Held, bar: ProgressBar) -> Evaluation:
    """Score photos, and write the answers and their tables."""
    bar.note(f"evaluating {len(held.data)} {held.split} images")
    found = evaluate_model(trainer.net, trainer.eval_loader(held.data), trainer.accelerator)
    model, folder = trainer.model, trainer.folder.path
    if held.split == "val":
        model.threshold = rejection_threshold(found.target, found.probs)
    if trainer.accelerator.is_main_process:
        found.save(folder / "answers.safetensors", model.classes)
        names = trainer.record.names(held.split, held.data)
        write_tables(folder, f"eval-{held.split}", found, model.classes, names)
    return found


def draw(trainer: Trainer, data: FineGrained, most: int = 8) -> None:
    """Draw the parts of a few photos as ``parts.png``."""
    chosen = torch.linspace(0, len(data) - 1, min(most, len(data))).long().tolist()
    if samples := sort_out(data, chosen)[0]:
        part_grid(trainer.model.eval(), samples).save(trainer.folder.path / "parts.png")


def show(trainer: Trainer, result: dict[str, Any], found: Evaluation | None) -> None:
    """Print the result of a finished run."""
    show_scores(result)
    if found is not None:
        show_classes(found.target, found.probs, trainer.model.classes)
    folder = trainer.folder.path
    shown = folder / "parts.png"
    print(f"run folder: {folder}" + (f"\nparts of some photos: {shown}" if shown.exists() else ""))
