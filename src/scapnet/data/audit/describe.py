"""A data set as plain values: its sizes beside the published ones, its origin and its licence."""

from collections import Counter
from dataclasses import asdict
from statistics import median
from typing import Any

from scapnet.config import DataConfig
from scapnet.data.info import PublishedSizes
from scapnet.data.layout import layout
from scapnet.data.sample import SPLITS, FineGrained, Splits, mark_names


def describe(splits: Splits, config: DataConfig) -> dict[str, Any]:
    """A data set as plain values for a table or a JSON file; no photo is read.

    Returns:
        name, title, root, level, classes: what it is;
        splits: for each split, its images, its classes, the sizes of the smallest, median and largest class, and the
        number of images of every class by name;
        boxes, marks: whether objects are annotated, and the names of annotated parts;
        get, homepage, licence, citation: where it comes from;
        published, paper: published sizes, with their sources;
        agrees: the sources with which all sizes agree, None if there is no source;
        notes, drawn: what was found, and how photos were held out;
        layout: the splits, their sources, and the files that are not used, in one line.
    """
    info, train = splits.info, splits.train
    sizes = {name: _sizes(data) for name in SPLITS if (data := getattr(splits, name)) is not None}
    return {
        "name": config.name,
        "title": info.title,
        "root": None if config.root is None else str(config.root),
        "level": config.level,
        "classes": len(train.classes),
        "splits": sizes,
        "boxes": getattr(train, "boxes", None) is not None,
        "marks": sorted(mark_names(train)),
        "get": info.get,
        "homepage": info.homepage,
        "licence": info.licence,
        "citation": info.citation,
        "published": [asdict(counts) for counts in info.counts],
        "paper": None if info.paper is None else asdict(info.paper),
        "agrees": _agreeing(splits) if info.counts else None,
        "layout": layout(splits),
        "notes": list(splits.notes),
        "drawn": None if splits.drawn is None else {k: v for k, v in splits.drawn.items() if k not in SPLITS},
    }


def _sizes(data: FineGrained) -> dict[str, Any]:
    counts = Counter(data.labels)
    found = sorted(counts.values())
    return {
        "images": len(data),
        "classes": len(counts),
        "smallest": found[0],
        "median": median(found),
        "largest": found[-1],
        "per_class": {name: counts[label] for label, name in enumerate(data.classes)},
    }


def _agreeing(splits: Splits) -> list[str]:
    """Sources whose published sizes agree with those found; held-out photos count as training photos."""
    here: dict[str, int] = {"classes": len(splits.train.classes)}
    here |= {name: len(data) for name in SPLITS if (data := getattr(splits, name)) is not None}
    if splits.drawn is not None:
        here["train"] += here.pop("val")
    return [counts.source for counts in splits.info.counts if not differences(here, counts)]


def differences(here: dict[str, int], counts: PublishedSizes) -> list[str]:
    """A phrase for each size that differs from the published one; sizes that one side lacks are not compared."""
    published = asdict(counts)
    return [
        f"{name}: {found:,} instead of {published[name]:,}"
        for name, found in here.items()
        if published[name] is not None and published[name] != found
    ]
