"""Everything that ``scapnet eval RUN --explain`` measures, as one dictionary and one file."""

import math
from pathlib import Path
from typing import Any

from scapnet.data.sample import FineGrained
from scapnet.evaluate import RunScore
from scapnet.faithfulness.drawn import drawn_birds, measure_drawn
from scapnet.jsonfile import write_json
from scapnet.network import Network, as_module
from scapnet.terminal.console import ProgressBar


def measure(model: Network, data: FineGrained, images: int = 200, bar: ProgressBar | None = None) -> dict[str, Any]:
    """Measure how faithful a network's explanations are.

    Args:
        model: with its ``view``.
        data: the split to measure on.
        images: of how many of its pictures, at most.
        bar: shows how many pictures are done.

    Returns:
        "drawn" for drawn birds: see `scapnet.faithfulness.drawn.measure_drawn`.

    Raises:
        ValueError: fewer than one picture, or nothing that can be measured on this data.
    """
    check_images(images)
    as_module(model).eval()
    found: dict[str, Any] = {}
    if drawn_birds(data) is not None:
        found["drawn"] = measure_drawn(model, data, images, bar)
    if not found:
        raise ValueError("explanations are measured on drawn birds only")
    return found


def check_images(images: int) -> None:
    """Refuse a number of pictures that is none.

    Raises:
        ValueError: it is.
    """
    if images < 1:
        raise ValueError(f"explanations cannot be measured on {images} pictures; give 1 or more")


def explain_run(score: RunScore, images: int = 200) -> dict[str, Any]:
    """Measure the explanations of a run that was scored, and write ``STEM-explain.json`` beside its scores.

    Args:
        score: of the run, by `scapnet.evaluate.score_run`.
        images: of how many pictures of the split, at most.

    Returns:
        What the file holds: "preset", "split" and "model" as in the scores, and what `measure` found.

    Raises:
        ValueError: as `measure`.
    """
    with ProgressBar("images") as bar:
        found = measure(score.model, score.data, images, bar)
    head = {key: score.result[key] for key in ("preset", "split", "model", "root") if key in score.result}
    result: dict[str, Any] = without_nan(head | found)
    write_json(score.stem.with_name(f"{score.stem.name}-explain.json"), result)
    return result


def without_nan(value: Any) -> Any:
    """The same with None for NaN, which JSON has no word for."""
    if isinstance(value, dict):
        return {key: without_nan(inner) for key, inner in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


def explain_file(run: Path, split: str) -> Path:
    """Where the figures of a run's own split are, for the model of the last epoch."""
    return run / f"eval-{split}-explain.json"
