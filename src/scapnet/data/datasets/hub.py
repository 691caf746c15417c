"""A data set from the Hugging Face hub, by name, or one that its datasets library saved to disk."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scapnet.data.images import UnreadableImage, photo_to_tensor
from scapnet.data.info import DatasetInfo
from scapnet.data.sample import SPLITS, Sample, Splits
from scapnet.data.spelling import split_name
from scapnet.data.splits import by_fraction
from scapnet.errors import reason
from scapnet.terminal.hints import option

INFO = DatasetInfo("hub", "a Hugging Face data set", licence="see its card", get="give its name, OWNER/NAME")


class HubPhotos:
    """Rows of a `datasets.Dataset`; images are decoded on demand.

    Args:
        rows: the data set's rows.
        image: the name of the image column.
        labels: the label of every row.
        classes: names of all classes.
        title: what messages call the data set.
    """

    def __init__(self, rows: Any, image: str, labels: Sequence[int], classes: Sequence[str], title: str) -> None:
        self.rows, self.image, self.title = rows, image, title
        self.labels, self.classes = tuple(labels), tuple(classes)
        self.numbers: Sequence[int] = range(len(self.labels))  # of the rows, before any subset

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Sample:
        name = self.name(index)
        try:
            image = photo_to_tensor(self.rows[self.numbers[index]][self.image])
        # As in read_image: Pillow's plug-ins raise errors of many kinds on broken files.
        except Exception as error:
            raise UnreadableImage(f"{name} is not a readable image ({reason(error)})") from error
        return Sample(image, self.labels[index], name)

    def name(self, index: int) -> str:
        """The data set, the split and the row."""
        return f"{self.title}/{self.numbers[index]}"

    def subset(self, indices: Sequence[int]) -> "HubPhotos":
        """The rows at some indices."""
        chosen = HubPhotos(self.rows, self.image, [self.labels[i] for i in indices], self.classes, self.title)
        chosen.numbers = [self.numbers[i] for i in indices]
        return chosen


def load_hub(name: str | None, val_fraction: float | None, seed: int) -> Splits:
    """Read a data set with one image column and a label column.

    Args:
        name: its name on the hub, or a folder that ``save_to_disk`` wrote.
        val_fraction: the fraction of the training photos to hold out if there is neither val nor test; None holds out
            none.
        seed: determines which photos are held out.

    Raises:
        ValueError: the library is missing, there is no such data set, or it has no images or labels.
    """
    if not name:
        raise ValueError(f"a hub data set needs its name; give it with {option('data.hub')} OWNER/NAME")
    found = _open(name)
    named: dict[str, str | None] = dict.fromkeys(SPLITS)
    for own in sorted(found, key=len):  # "train" before "train_2"
        if (split := split_name(own)) and named[split] is None:
            named[split] = own
    if named["train"] is None:
        raise ValueError(f"{name} has the splits {', '.join(found)}, and none is train; use another data set")
    image, label = _columns(name, found[named["train"]].features)
    classes = _classes(found[named["train"]], label)
    lists: dict[str, HubPhotos | None] = {}
    notes = [f"the split {own} is not used" for own in found if own not in named.values()]
    for split, key in named.items():
        lists[split] = _split(found[key], image, label, classes, f"{name}/{key}") if key else None
        if key and lists[split] is None:
            notes.append(f"{name}/{key} is left out: it has rows without a known label")
    train, val, test, drawn = lists["train"], lists["val"], lists["test"], None
    if train is None or set(train.labels) != set(range(len(classes))):
        raise ValueError(
            f"{name} has classes without a training image, or images without a label; use another data set"
        )
    if val is None and test is None and val_fraction is not None:
        train, val, drawn = by_fraction(train, val_fraction, seed, None)
    sources = {split: f"{name}/{key}" for split, key in named.items() if key}
    return Splits(train, val, test, _info(name, found[named["train"]]), tuple(notes), drawn, sources)


def _open(name: str) -> dict[str, Any]:
    try:
        import datasets
    except ImportError as error:
        raise ValueError("a hub data set needs the datasets library; install it with: pip install datasets") from error
    saved = Path(name)
    try:
        on_disk = (saved / "dataset_dict.json").is_file() or (saved / "state.json").is_file()
        found = datasets.load_from_disk(name) if on_disk else datasets.load_dataset(name)
    # The library raises errors of many kinds: no network, no such name, a licence that must be accepted.
    except Exception as error:
        raise ValueError(f"the datasets library cannot load {name} ({reason(error)}); check its name") from error
    return dict(found) if isinstance(found, dict) else {"train": found}


def _columns(name: str, features: Any) -> tuple[str, str]:
    """The image column and the label column: the first of the right type, or a column called label."""
    kinds = {key: type(kind).__name__ for key, kind in features.items()}
    images = [key for key, kind in kinds.items() if kind == "Image"]
    labels = [key for key, kind in kinds.items() if kind == "ClassLabel"] or [
        key for key in ("label", "labels", "class") if key in kinds and key not in images
    ]
    if not images or not labels:
        raise ValueError(
            f"{name} has the columns {', '.join(f'{key} ({kind})' for key, kind in kinds.items())}; an image column "
            f"and a label column are needed: use another data set"
        )
    return images[0], labels[0]


def _classes(rows: Any, label: str) -> list[str]:
    names = getattr(rows.features[label], "names", None)
    return list(names) if names else [str(value) for value in sorted(set(rows[label]))]


def _split(rows: Any, image: str, label: str, classes: list[str], title: str) -> HubPhotos | None:
    """The rows of a split; None if any of them has no label, as in the test sets of competitions."""
    number: dict[Any, int] = {value: i for i, value in enumerate(classes)}
    values = list(rows[label])
    if getattr(rows.features[label], "names", None):
        number = {i: i for i in range(len(classes))}
    else:
        values = [str(value) for value in values]
    if any(value not in number for value in values):
        return None
    return HubPhotos(rows.select_columns([image]), image, [number[value] for value in values], classes, title)


def _info(name: str, rows: Any) -> DatasetInfo:
    info = rows.info
    return DatasetInfo("hub", name, info.citation or "", info.license or "", info.homepage or "", "given by its name")
