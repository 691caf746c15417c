"""The model card of a model folder: what the model knows, how it was trained, how good it is and where it ends."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any, NamedTuple

from scapnet import __version__
from scapnet.build import title
from scapnet.config import Config
from scapnet.data.info import DatasetInfo
from scapnet.network import Network
from scapnet.terminal.console import printable

MOST_CLASSES = 200  # that are listed
CODE = """```python
import scapnet

predictor = scapnet.Predictor.from_pretrained("OWNER/NAME")  # or the folder of this model
prediction = predictor("photo.jpg")
print(prediction.answer, prediction.probabilities[0])
prediction.plot().save("parts.png")
```"""
METHOD = (
    "The method is SCAPNet: Liu, Li, Li, See, Lin: Learning Scale-Consistent Attention Part Network for Fine-grained "
    "Image Recognition, IEEE TMM 2022."
)


class TrainingFacts(NamedTuple):
    """What the card says of a run."""

    config: Config
    data: DatasetInfo
    images: Mapping[str, int]  # photos of each split


def escaped(text: object) -> str:
    r"""A text from outside as it is, on one line of Markdown: no markup, no HTML, no links.

    >>> print(escaped("<b>[a](x) *1*"))
    \<b\>\[a\]\(x\) \*1\*
    """
    return re.sub(r"([\\`*_{}\[\]<>()#|~!&$:.@^])", r"\\\1", printable(text))


def wilson(right: float, count: int) -> tuple[float, float]:
    """The 95% interval of a share (Wilson, 1927).

    >>> [round(edge, 3) for edge in wilson(0.5, 10)]
    [0.237, 0.763]
    """
    z = 1.959964
    middle, scale = (right + z * z / (2 * count)), 1 + z * z / count
    half = z * math.sqrt(right * (1 - right) / count + z * z / (4 * count * count))
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


def model_card(model: Network, scores: Mapping[str, Any], facts: TrainingFacts | None = None) -> str:
    """The card as Markdown, with the metadata that the Hugging Face hub reads.

    Args:
        model: with its ``classes`` and ``view``.
        scores: its figures, as ``results.json`` holds them.
        facts: of the run that trained it.
    """
    count, size = len(model.classes), model.view.size
    name, backbone = title(model.config), PurePath(model.config.backbone).name
    what = f"A {escaped(backbone)} at {size} px that names one of {count} classes"
    shows = " and shows the parts of the photo that it judged by" if model.config.parts.enabled else ""
    listed = ", ".join(escaped(known) for known in model.classes[:MOST_CLASSES])
    more = f", and {count - MOST_CLASSES} more" if count > MOST_CLASSES else ""
    sections = [
        (f"# {name} for {count} classes", [f"{what}{shows}; trained with scapnet {__version__}. {METHOD}"]),
        ("## Use", [CODE]),
        ("## Classes", [f"{listed}{more}."]),
        ("## Data", [] if facts is None else list(_data(facts))),
        ("## Recipe", [] if facts is None else [_table(_recipe(facts.config, scores))]),
        ("## Figures", list(_figures(scores))),
        ("## Limits", [_list(_limits(model, scores))]),
        ("## Licence", [] if facts is None else [_licence(facts.data)]),
    ]
    text = "\n\n".join("\n\n".join([head, *body]) for head, body in sections if body)
    return f"---\n{_metadata(name, scores, facts)}\n---\n\n{text}\n"


def _metadata(name: str, scores: Mapping[str, Any], facts: TrainingFacts | None) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    results = None
    if facts is not None and "accuracy" in scores:
        data, split = facts.data, str(scores.get("split", "test"))
        task, value = "image-classification", round(float(scores["accuracy"]), 4)
        results = [EvalResult(task, data.name, printable(data.title), "accuracy", value, dataset_split=split)]
    card = ModelCardData(
        library_name="scapnet",
        pipeline_tag="image-classification",
        tags=["fine-grained", "part-attention", "scapnet"],
        model_name=name,
        eval_results=results,
    )
    return str(card.to_yaml()).strip()


def _data(facts: TrainingFacts) -> Iterator[str]:
    info = facts.data
    counts = [f"{count:,} {split}" for split, count in facts.images.items() if count]
    yield f"{escaped(info.title)}: {', '.join(counts)} photos."
    for text in (info.citation, info.homepage):
        if text:
            yield escaped(text)


def _recipe(config: Config, scores: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    data, model, train, loss = config.data, config.model, config.train, config.loss
    yield "preset", escaped(config.preset)
    yield "starting weights", escaped(PurePath(model.weights).name)
    larger = f", parts from {data.source_size} px" if data.source_size else ""
    yield "view", f"{data.size} px of {data.resize} px, {data.fit}{larger}"
    yield "augmentation", f"{data.augment}, rotation {data.rotation:g}°{', flip' if data.flip else ''}"
    stage1 = f", the first {train.stage1_epochs} without parts" if train.stage1_epochs else ""
    yield "epochs", f"{train.epochs}{stage1}"
    steps = f" x {train.accumulate}" if train.accumulate > 1 else ""
    yield "optimizer", f"{train.optimizer}, learning rate {train.lr:g}, {train.schedule} schedule"
    yield "batch size, weight decay", f"{train.batch_size}{steps}, {train.weight_decay:g}"
    yield "loss weights", f"cls {loss.cls:g}, act {loss.act:g}, con {loss.con:g}, sub {loss.sub:g}"
    yield "seed", f"{train.seed}"
    if "train_seconds" in scores:
        yield "training time", f"{scores['train_seconds'] / 60:.0f} minutes"


def _figures(scores: Mapping[str, Any]) -> Iterator[str]:
    names = {
        "accuracy": "accuracy",
        "accuracy_main": "accuracy of the main branch",
        "accuracy_parts": "accuracy of the parts",
        "mean_per_class": "accuracy, mean per class",
        "kept": "kept share of the grid",
    }
    rows, count = [], int(scores.get("images", 0))
    for key, name in names.items():
        if isinstance(scores.get(key), float):
            interval = ""
            if count and key.startswith("accuracy"):
                low, high = wilson(scores[key], count)
                interval = f" ({low:.1%} to {high:.1%})"
            rows.append((name, f"{scores[key]:.1%}{interval}"))
    if not rows:
        return
    if count:
        yield f"On {count:,} photos of the {escaped(scores.get('split', 'test'))} split, with 95% intervals:"
    yield _table(rows)


def _limits(model: Network, scores: Mapping[str, Any]) -> Iterator[str]:
    yield f"It answers any photo with one of its {len(model.classes)} classes, also where something else is on it."
    if model.threshold is None:
        yield "It has no threshold of its own for the answer `unknown`; give one with `at_least`."
    else:
        yield (
            f'With `at_least="auto"` the answer is `unknown` below a probability of {model.threshold:.2f}: at that '
            f"threshold 95% of the answers on the validation split were right. Other photos may need another one."
        )
    if scores.get("split") == "val":
        yield "There was no test split. The figures are of the validation split, by which settings may be chosen."
    if "accuracy" in scores:
        yield "Its figures are of photos from the same collection. Other cameras, places and seasons were not measured."
    if model.view.fit == "crop":
        share = f"{model.view.size / model.view.resize:.0%}" if model.view.resize else "part"
        yield f"It sees the middle of a photo, a square whose side is {share} of the shorter side, and nothing outside."
    if scores.get("unreadable"):
        yield f"{scores['unreadable']:.0f} photos of the split could not be read and are not in the figures."


def _licence(info: DatasetInfo) -> str:
    if info.name == "folder" or not info.licence:
        return (
            "The photos are the trainer's own, or their licence is not known here. Add it before you share the model."
        )
    return f"Data: {escaped(info.licence)}. Check that it allows what you want to do with a model trained on it."


def _table(rows: Iterator[tuple[str, str]] | Sequence[tuple[str, str]]) -> str:
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def _list(lines: Iterator[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
