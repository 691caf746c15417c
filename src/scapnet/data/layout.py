"""What was found in a data set's folder: its classes, its splits with their sources, and what is not used."""

from collections.abc import Sequence
from typing import Any

from scapnet.data.files import SkippedFile, describe_skipped
from scapnet.data.sample import SPLITS, FineGrained, Splits

NAMED = 8  # the most classes that are named


def layout(splits: Splits) -> str:
    """One line about a data set, for the user to check before training starts.

    Returns:
        For example "2 classes (robin, wren); train: 54 images from data; val: 6 images, held out (10% of each class,
        seed 0); no test; not used: .txt files: 1 (data/notes.txt)".
    """
    parts = [_classes(splits.train.classes), *(_split(splits, name, getattr(splits, name)) for name in SPLITS)]
    return "; ".join([*parts, *splits.notes, *not_used(splits.skipped)])


def layout_of(splits: Splits, name: str, data: FineGrained) -> str:
    """The same for one split, of which ``data`` may hold only some of the images that are there now."""
    return "; ".join([_split(splits, name, data), _classes(splits.train.classes), *not_used(splits.skipped)])


def not_used(skipped: Sequence[SkippedFile]) -> list[str]:
    """One phrase about the skipped files; empty if there are none."""
    return [f"not used: {', '.join(describe_skipped(skipped))}"] if skipped else []


def _classes(names: Sequence[str]) -> str:
    shown = ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")
    return f"{len(names)} classes ({shown})"


def _split(splits: Splits, name: str, data: FineGrained | None) -> str:
    if data is None:
        return f"no {name}"
    source = f" from {splits.sources[name]}" if name in splits.sources else ""
    if name == "val" and splits.drawn is not None:
        source = f", {_held_out(splits.drawn)}"
    return f"{name}: {len(data):,} images{source}"


def _held_out(drawn: dict[str, Any]) -> str:
    group = f", {drawn['groups']} groups kept together" if "groups" in drawn else ""
    if drawn["by"] == "fraction":
        return f"held out ({drawn['fraction']:.0%} of each class, seed {drawn['seed']}{group})"
    return f"held out (fold {drawn['fold']} of {drawn['folds']} by {drawn['by']}, seed {drawn['seed']}{group})"
