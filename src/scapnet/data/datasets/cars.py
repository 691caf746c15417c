"""Stanford Cars (Krause et al., ICCV 2013 workshop): 196 models, in the layout of torchvision's StanfordCars."""

from pathlib import Path

import numpy as np
import torch

from scapnet.data.datasets.matfile import digits, read_mat
from scapnet.data.info import DatasetInfo, PublishedSizes
from scapnet.data.lists import Finder, check_classes, find_home, parse_integer, parse_numbers
from scapnet.data.photos import PhotoList
from scapnet.data.sample import Splits

FIELDS = ("fname", "class", "bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2")
INFO = DatasetInfo(
    "cars",
    "Stanford Cars",
    "J. Krause, M. Stark, J. Deng, L. Fei-Fei: 3D Object Representations for Fine-Grained Categorization. "
    "Workshop on 3D Representation and Recognition, ICCV 2013",
    "unknown: its authors' page is gone",
    "",
    "its authors' page is gone (torchvision says so): put a copy that you may use in ROOT as cars_train/, "
    "cars_test/, devkit/ and cars_test_annos_withlabels.mat",
    (PublishedSizes("torchvision.datasets.StanfordCars", 196, 8144, None, 8041),),
)


def load_cars(root: Path | None) -> Splits:
    """Read ``devkit/cars_train_annos.mat`` and ``cars_test_annos_withlabels.mat``, whose classes count from 1.

    Raises:
        ValueError: a list is missing or malformed or names a missing image.
    """
    home = find_home(root, "cars", "devkit/cars_meta.mat", INFO.get)
    classes = [str(name) for name in read_mat(home / "devkit" / "cars_meta.mat", "class_names")[0].tolist()]
    train_list = home / "devkit" / "cars_train_annos.mat"
    train = _read_list(train_list, home / "cars_train", classes)
    test = _read_list(home / "cars_test_annos_withlabels.mat", home / "cars_test", classes)
    check_classes(train, train_list)
    return Splits(train, None, test, INFO)


def _read_list(file: Path, images: Path, classes: list[str]) -> PhotoList:
    (rows,) = read_mat(file, "annotations")
    missing = [field for field in FIELDS if field not in (rows.dtype.names or ())]
    if missing:
        raise ValueError(f"{file} lacks {', '.join(missing)}; the list with labels has them: unpack the data set again")
    paths, labels, boxes, finder = [], [], [], Finder()
    for row, values in enumerate(np.atleast_1d(rows), 1):
        name, label, *box = (values[field] for field in FIELDS)
        place = f"{file}, row {row}"
        paths.append(finder.find(images / str(name), place))
        labels.append(parse_integer(place, "class", digits(label), 1, len(classes)) - 1)
        boxes.append(parse_numbers(place, "a box", [digits(edge) for edge in box]))
    return PhotoList(paths, labels, classes, torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4))
