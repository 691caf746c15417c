"""Stanford Dogs (Khosla et al., FGVC workshop at CVPR 2011): 120 breeds from ImageNet."""

from pathlib import Path

import numpy as np

from scapnet.data.datasets.matfile import digits, read_mat
from scapnet.data.info import Archive, DatasetInfo, PublishedSizes
from scapnet.data.lists import Finder, check_classes, find_home, parse_integer
from scapnet.data.photos import PhotoList
from scapnet.data.sample import Splits

URL = "http://vision.stanford.edu/aditya86/ImageNetDogs/"
TFDS = "TensorFlow Datasets, url_checksums/stanford_dogs.txt"
INFO = DatasetInfo(
    "dogs",
    "Stanford Dogs",
    "A. Khosla, N. Jayadevaprakash, B. Yao, L. Fei-Fei: Novel Dataset for Fine-Grained Image Categorization. "
    "Workshop on Fine-Grained Visual Categorization, CVPR 2011",
    "see its homepage; the photos are ImageNet's, whose terms allow non-commercial research and teaching",
    f"{URL}main.html",
    f"get images.tar and lists.tar from {URL}main.html and unpack both in ROOT",
    (PublishedSizes("TensorFlow Datasets, catalog/stanford_dogs", 120, 12000, None, 8580),),
    None,
    (
        Archive(
            f"{URL}images.tar",
            "images.tar",
            "a443fc2f9a851aa1a7b8e4fa4af94b8459fce2c9f5a2f4dd4669cf9673a4ec58",
            "sha256",
            TFDS,
        ),
        Archive(
            f"{URL}lists.tar",
            "lists.tar",
            "34b47cacd9a98b5d150e084f24d29391c084c55272295ec65c85651bc35f4d6c",
            "sha256",
            TFDS,
        ),
    ),
)


def load_dogs(root: Path | None) -> Splits:
    """Read ``Images``, ``train_list.mat`` and ``test_list.mat``, whose labels count from 1.

    Raises:
        ValueError: a list is missing or malformed, or names a missing image.
    """
    home = find_home(root, "dogs", "train_list.mat", INFO.get)
    names: dict[int, str] = {}
    found = [_read_list(home, home / f"{split}_list.mat", names, Finder()) for split in ("train", "test")]
    if sorted(names) != list(range(len(names))):
        raise ValueError(f"{home}/train_list.mat: labels must run from 1 to {len(names)}; unpack the data set again")
    train, test = (PhotoList(*lists, [names[i] for i in range(len(names))]) for lists in found)
    check_classes(train, home / "train_list.mat")
    return Splits(train, None, test, INFO)


def _read_list(home: Path, file: Path, names: dict[int, str], finder: Finder) -> tuple[list[Path], list[int]]:
    """Photos named ``n02085620-Chihuahua/n02085620_7.jpg``: the folder holds the breed, after the first dash."""
    files, numbers = (np.atleast_1d(values).tolist() for values in read_mat(file, "file_list", "labels"))
    paths, labels = [], []
    for row, (path, number) in enumerate(zip(files, numbers, strict=True), 1):
        place = f"{file}, row {row}"
        label = parse_integer(place, "label", digits(number), 1, 10_000) - 1
        name = Path(path).parts[0].partition("-")[2].replace("_", " ")
        if names.setdefault(label, name) != name:
            raise ValueError(
                f"{place}: label {digits(number)} was {names[label]!r} on an earlier row; unpack the lists again"
            )
        paths.append(finder.find(home / "Images" / path, place))
        labels.append(label)
    return paths, labels
