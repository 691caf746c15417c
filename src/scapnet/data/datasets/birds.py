"""The layout of CUB-200-2011 and NABirds: lists whose lines begin with the id of an image or a class.

n images, R part names.
"""

from collections.abc import Collection
from pathlib import Path

import torch
from torch import Tensor

from scapnet.data.lists import Finder, check_classes, parse_integer, parse_numbers, read_rows
from scapnet.data.photos import PhotoList

LinesById = dict[str, tuple[str, str]]  # id: "FILE, line N", and the rest of the line


def read_lines(file: Path, shape: str, among: Collection[str] | None = None) -> LinesById:
    """A list of ``ID REST`` lines.

    Args:
        file: the list.
        shape: what a line should look like, for messages.
        among: the ids that must each have one line.

    Raises:
        ValueError: a malformed line, or an id that is repeated, unknown or missing.
    """
    found: LinesById = {}
    for place, (key, rest) in read_rows(file, shape, 2):
        if key in found:
            raise ValueError(f"{place}: id {key} was on an earlier line; keep one of them")
        if among is not None and key not in among:
            raise ValueError(f"{place}: id {key} is not in the list of images; remove the line")
        found[key] = place, rest
    if among is not None and len(found) < len(among):
        missing = next(key for key in among if key not in found)
        raise ValueError(f"{file} has no line for image id {missing} ({len(found)} of {len(among)}); unpack it again")
    return found


def _read_labels(home: Path, images: LinesById, all_classes: bool) -> tuple[list[int], list[str]]:
    """The label of each image, and the names of the classes in the order of ``classes.txt``."""
    names = read_lines(home / "classes.txt", "CLASS_ID NAME")
    labels = read_lines(home / "image_class_labels.txt", "IMAGE_ID CLASS_ID", images)
    for place, key in labels.values():
        if key not in names:
            raise ValueError(f"{place}: classes.txt has no class {key}; correct the line or unpack the data set again")
    used = {key for _, key in labels.values()}
    order = [key for key in names if all_classes or key in used]
    number = {key: i for i, key in enumerate(order)}  # ids need not start at 0
    return [number[labels[key][1]] for key in images], [names[key][1] for key in order]


def _read_boxes(file: Path, images: LinesById) -> Tensor | None:
    """(n, 4) xyxy from lines of ``IMAGE_ID X Y WIDTH HEIGHT``."""
    if not file.is_file():
        return None
    lines = read_lines(file, "IMAGE_ID X Y WIDTH HEIGHT", images)
    rows = []
    for place, rest in (lines[key] for key in images):
        values = parse_numbers(place, "a box", rest.split())
        if len(values) != 4:
            raise ValueError(f"{place}: a box has 4 numbers, X Y WIDTH HEIGHT, and not {len(values)}; correct the line")
        x, y, width, height = values
        rows.append((x, y, x + width, y + height))
    return torch.tensor(rows, dtype=torch.float32).reshape(-1, 4)


def _read_points(folder: Path, images: LinesById) -> tuple[Tensor | None, list[str]]:
    """(n, R, 4) visible part points as boxes of size 0, NaN where hidden, and the R part names."""
    if not (folder / "part_locs.txt").is_file():
        return None, []
    names = read_lines(folder / "parts.txt", "PART_ID NAME")
    column = {key: i for i, key in enumerate(names)}
    row = {key: i for i, key in enumerate(images)}
    points = [[[torch.nan] * 4 for _ in names] for _ in images]
    for place, (image, part, *point, seen) in read_rows(folder / "part_locs.txt", "IMAGE_ID PART_ID X Y VISIBLE", 5):
        if image not in row or part not in column:
            raise ValueError(f"{place}: there is no image {image} or no part {part}; remove the line")
        if parse_integer(place, "visible", seen, 0, 1):
            points[row[image]][column[part]] = parse_numbers(place, "a part's location", point) * 2
    marks = torch.tensor(points, dtype=torch.float32).reshape(len(images), len(names), 4)
    return marks, [name for _, name in names.values()]


def read_birds(home: Path, all_classes: bool) -> tuple[PhotoList, PhotoList]:
    """Training and test photos with the boxes and the visible part points that the authors annotated.

    Args:
        home: the folder of ``images.txt``.
        all_classes: whether every line of ``classes.txt`` is a class, or only those with images.

    Raises:
        ValueError: a list that is missing or malformed, or that names a missing image, with its file and line.
    """
    images = read_lines(home / "images.txt", "IMAGE_ID PATH")
    labels, classes = _read_labels(home, images, all_classes)
    split = read_lines(home / "train_test_split.txt", "IMAGE_ID IS_TRAINING", images)
    training = [bool(parse_integer(place, "is_training", text, 0, 1)) for place, text in (split[key] for key in images)]
    finder = Finder()
    paths = [finder.find(home / "images" / name, place) for place, name in images.values()]
    boxes = _read_boxes(home / "bounding_boxes.txt", images)
    every = PhotoList(paths, labels, classes, boxes, *_read_points(home / "parts", images))
    train, test = (every.subset([i for i, own in enumerate(training) if own is side]) for side in (True, False))
    check_classes(train, home / "train_test_split.txt")
    return train, test
