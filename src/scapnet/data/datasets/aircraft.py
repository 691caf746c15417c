"""FGVC-Aircraft (Maji et al. 2013): 100 variants in 70 families by 30 manufacturers, as torchvision's FGVCAircraft."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from scapnet.data.info import Archive, DatasetInfo, PublishedSizes
from scapnet.data.lists import Finder, check_classes, find_home, parse_numbers, read_names, read_rows
from scapnet.data.photos import PhotoList, parents_of
from scapnet.data.sample import NO_BOX, Splits

LEVELS = {"variant": "variants.txt", "family": "families.txt", "manufacturer": "manufacturers.txt"}
CLASSES = {"variant": 100, "family": 70, "manufacturer": 30}
INFO = DatasetInfo(
    "aircraft",
    "FGVC-Aircraft (2013b)",
    "S. Maji, J. Kannala, E. Rahtu, M. Blaschko, A. Vedaldi: Fine-Grained Visual Classification of Aircraft. "
    "arXiv:1306.5151, 2013",
    "photos for non-commercial research; they belong to their photographers",
    "https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/",
    "get fgvc-aircraft-2013b.tar.gz from https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/ and unpack it in ROOT",
    (
        PublishedSizes(
            "Table II of the SCAPNet paper; classes also by torchvision.datasets.FGVCAircraft", 100, 6667, None, 3333
        ),
    ),
    PublishedSizes("Table II", 100, 6667, None, 3333),
    (
        Archive(
            "https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/archives/fgvc-aircraft-2013b.tar.gz",
            "fgvc-aircraft-2013b.tar.gz",
            "d5f68b1b81d6d7831eb9d5c5517074176b5dfbce6bcb43dc14ed1c66a87b8d75",
            "sha256",
            "TensorFlow Datasets, url_checksums/fgvc.txt",
        ),
    ),
)


def load_aircraft(root: Path | None, level: str = "variant") -> Splits:
    """Read the folder that holds ``data/images``, or the one above it; training gets the published trainval list.

    Args:
        root: the data set's folder.
        level: "variant" (100 classes), "family" (70) or "manufacturer" (30).

    Raises:
        ValueError: a list that is missing or malformed, or that names a missing image, with its file and line.
    """
    home = find_home(root, "aircraft", "data/images_variant_trainval.txt", INFO.get) / "data"
    classes = read_names(home / LEVELS[level])
    boxes = _read_boxes(home / "images_box.txt")
    finder = Finder()
    train, test = (
        _read_list(home / f"images_{level}_{split}.txt", classes, boxes, finder) for split in ("trainval", "test")
    )
    train.parents = test.parents = _read_parents(home, level, classes)
    check_classes(train, home / f"images_{level}_trainval.txt")
    counts = tuple(replace(counts, classes=CLASSES[level]) for counts in INFO.counts)
    return Splits(train, None, test, replace(INFO, counts=counts))


def _read_parents(home: Path, level: str, classes: list[str]) -> tuple[str, ...]:
    """The family of each variant, and the manufacturer of each family, from the lists that name both for a photo."""
    above = {"variant": "family", "family": "manufacturer"}.get(level)
    files = [home / f"images_{one}_trainval.txt" for one in (level, above)]
    if above is None or not files[1].is_file():
        return ()
    of_photo, coarser = (dict(fields for _, fields in read_rows(file, "IMAGE CLASS", 2)) for file in files)
    return parents_of(classes, {name: coarser.get(photo, "") for photo, name in of_photo.items()})


def _read_boxes(file: Path) -> dict[str, Tensor]:
    """Boxes by image name: the published corners count from 1 and are inclusive, xyxy edges are not."""
    boxes = {}
    for place, (name, *corners) in read_rows(file, "IMAGE XMIN YMIN XMAX YMAX", 5) if file.is_file() else ():
        x0, y0, x1, y1 = parse_numbers(place, "a box", corners)
        boxes[name] = torch.tensor([x0 - 1, y0 - 1, x1, y1], dtype=torch.float32)
    return boxes


def _read_list(file: Path, classes: list[str], boxes: dict[str, Tensor], finder: Finder) -> PhotoList:
    number = {name: i for i, name in enumerate(classes)}
    paths, labels, found = [], [], []
    for place, (image, name) in read_rows(file, "IMAGE CLASS", 2):
        if name not in number:
            raise ValueError(f"{place}: {name!r} is none of the {len(classes)} classes; correct the line")
        paths.append(finder.find(file.parent / "images" / f"{image}.jpg", place))
        labels.append(number[name])
        found.append(boxes.get(image, NO_BOX))
    return PhotoList(paths, labels, classes, torch.stack(found) if found else None)
