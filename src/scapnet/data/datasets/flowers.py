"""Oxford 102 Flower (Nilsback and Zisserman, ICVGIP 2008), in the layout of torchvision's Flowers102."""

from pathlib import Path

import numpy as np
from torchvision.datasets import Flowers102

from scapnet.data.datasets.matfile import digits, read_mat
from scapnet.data.info import Archive, DatasetInfo, PublishedSizes
from scapnet.data.lists import Finder, check_classes, find_home, parse_integer
from scapnet.data.photos import PhotoList
from scapnet.data.sample import Splits

URL = "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/"
TORCHVISION = "torchvision.datasets.Flowers102"
LISTS = {"train": "trnid", "val": "valid", "test": "tstid"}
INFO = DatasetInfo(
    "flowers",
    "Oxford 102 Flower",
    "M.-E. Nilsback, A. Zisserman: Automated Flower Classification over a Large Number of Classes. ICVGIP 2008",
    "see its homepage",
    URL,
    f"get 102flowers.tgz, imagelabels.mat and setid.mat from {URL} and put them in ROOT, the first unpacked to jpg/",
    (PublishedSizes("TensorFlow Datasets, catalog/oxford_flowers102", 102, 1020, 1020, 6149),),
    None,
    (
        Archive(f"{URL}102flowers.tgz", "102flowers.tgz", "52808999861908f626f3c1f4e79d11fa", "md5", TORCHVISION),
        Archive(f"{URL}imagelabels.mat", "imagelabels.mat", "e0620be6f572b9609742df49c70aed4d", "md5", TORCHVISION),
        Archive(f"{URL}setid.mat", "setid.mat", "a5357ecc9cb78c4bef273ce3793fc85c", "md5", TORCHVISION),
    ),
)


def load_flowers(root: Path | None) -> Splits:
    """Read ``jpg``, ``imagelabels.mat`` and ``setid.mat``, whose labels and image numbers count from 1.

    Raises:
        ValueError: a list is missing or malformed, or names a missing image.
    """
    home = find_home(root, "flowers", "imagelabels.mat", INFO.get)
    numbers = np.atleast_1d(read_mat(home / "imagelabels.mat", "labels")[0]).tolist()
    names, finder, file = tuple(Flowers102.classes), Finder(), home / "setid.mat"
    found = []
    for key, ids in zip(LISTS.values(), read_mat(file, *LISTS.values()), strict=True):
        paths, labels = [], []
        for i in np.atleast_1d(ids).tolist():
            image = parse_integer(f"{file}, {key}", "image", digits(i), 1, len(numbers))
            place = f"{home / 'imagelabels.mat'}, image {image}"
            paths.append(finder.find(home / "jpg" / f"image_{image:05d}.jpg", f"{file}, {key}"))
            labels.append(parse_integer(place, "label", digits(numbers[image - 1]), 1, len(names)) - 1)
        found.append(PhotoList(paths, labels, names))
    check_classes(found[0], file)
    train, val, test = found
    return Splits(train, val, test, INFO)
