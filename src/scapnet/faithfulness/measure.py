"""Everything that ``scapnet eval RUN --explain`` measures, as one dictionary and one file."""

import math
from pathlib import Path
from typing import Any

from scapnet.checkpoint import read_run
from scapnet.data.sample import FineGrained
from scapnet.data.scored import choose
from scapnet.evaluate import RunScore
from scapnet.faithfulness.drawn import drawn_birds, measure_drawn
from scapnet.faithfulness.photos import measure_photos
from scapnet.faithfulness.pixels import measure_pixels
from scapnet.faithfulness.slots import measure_slots
from scapnet.jsonfile import write_json
from scapnet.network import Network, as_module
from scapnet.terminal.console import ProgressBar

REMOVALS = 4  # pixels are removed from one picture in this many, because it is slow


def measure(
    model: Network,
    data: FineGrained,
    train: FineGrained | None = None,
    images: int = 200,
    bar: ProgressBar | None = None,
) -> dict[str, Any]:
    """Measure how faithful a network's explanations are.

    Args:
        model: a network with its ``view``.
        data: the split to measure on.
        train: the training split, on which part embeddings are clustered; without it there are no figures on slots.
        images: the largest number of its pictures to use.
        bar: shows the progress.

    Returns:
        "photos": see `scapnet.faithfulness.photos.measure_photos`; "drawn" for drawn birds: see
        `scapnet.faithfulness.drawn.measure_drawn`; "pixels" where a gate closes units: see
        `scapnet.faithfulness.pixels.measure_pixels`; and "slots" where marks or points are annotated: see
        `scapnet.faithfulness.slots.measure_slots`.

    Raises:
        ValueError: ``images`` is less than 1.
    """
    check_images(images)
    as_module(model).eval()
    found: dict[str, Any] = {}
    if drawn_birds(data) is not None:
        found["drawn"] = measure_drawn(model, data, images, bar)
    found["photos"] = measure_photos(model, data, max(1, images // REMOVALS), bar)
    pixels = measure_pixels(model, data, images, bar)
    slots = measure_slots(model, data, train, images, bar) if train is not None else None
    return found | ({"pixels": pixels} if pixels else {}) | ({"slots": slots} if slots else {})


def check_images(images: int) -> None:
    """Check the number of pictures.

    Raises:
        ValueError: it is less than 1.
    """
    if images < 1:
        raise ValueError(f"explanations cannot be measured on {images} pictures; give 1 or more")


def explain_run(
    score: RunScore, images: int = 200, root: Path | None = None, table: Path | None = None
) -> dict[str, Any]:
    """Measure the explanations of a run that was scored, and write ``STEM-explain.json`` beside its scores.

    Args:
        score: the result of `scapnet.evaluate.score_run`.
        images: the largest number of pictures of the split to use.
        root: the folder of the data now, if it has moved.
        table: likewise for a table of photos.

    Returns:
        The content of the file: "preset", "split" and "model" as in the scores, and the result of `measure`.

    Raises:
        ValueError: see `measure`.
    """
    with ProgressBar("images") as bar:
        found = measure(score.model, score.data, train_photos(score, root, table), images, bar)
    head = {key: score.result[key] for key in ("preset", "split", "model", "root") if key in score.result}
    result: dict[str, Any] = without_nan(head | found)
    write_json(score.stem.with_name(f"{score.stem.name}-explain.json"), result)
    return result


def train_photos(score: RunScore, root: Path | None, table: Path | None) -> FineGrained | None:
    """The photos that a run was trained on; None if they are missing or have changed."""
    run = score.stem.parent
    for place in ((root, table), (None, None)):
        try:
            chosen = choose(run, read_run(run).data, score.classes, "train", *place)
        except (ValueError, OSError):
            continue
        if chosen.other is None:
            return chosen.data
    return None


def without_nan(value: Any) -> Any:
    """Replace NaN, which JSON does not have, by None."""
    if isinstance(value, dict):
        return {key: without_nan(inner) for key, inner in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


def explain_file(run: Path, split: str) -> Path:
    """The file with the figures for a run's own split and the model of the last epoch."""
    return run / f"eval-{split}-explain.json"
