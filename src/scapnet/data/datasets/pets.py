"""Oxford-IIIT Pet (Parkhi et al., CVPR 2012): 37 breeds of cats and dogs, laid out as torchvision's OxfordIIITPet."""

from pathlib import Path

from scapnet.data.info import Archive, DatasetInfo, PublishedSizes
from scapnet.data.lists import Finder, check_classes, find_home, parse_integer, read_rows
from scapnet.data.photos import PhotoList
from scapnet.data.sample import Splits

TORCHVISION = "torchvision.datasets.OxfordIIITPet"
INFO = DatasetInfo(
    "pets",
    "Oxford-IIIT Pet",
    "O. M. Parkhi, A. Vedaldi, A. Zisserman, C. V. Jawahar: Cats and Dogs. CVPR 2012",
    "CC BY-SA 4.0",
    "https://www.robots.ox.ac.uk/~vgg/data/pets/",
    "get images.tar.gz and annotations.tar.gz from https://www.robots.ox.ac.uk/~vgg/data/pets/ and unpack both in ROOT",
    (PublishedSizes("TensorFlow Datasets, catalog/oxford_iiit_pet", 37, 3680, None, 3669),),
    None,
    (
        Archive(
            "https://www.robots.ox.ac.uk/~vgg/data/pets/data/images.tar.gz",
            "images.tar.gz",
            "5c4f3ee8e5d25df40f4fd59a7f44e54c",
            "md5",
            TORCHVISION,
        ),
        Archive(
            "https://www.robots.ox.ac.uk/~vgg/data/pets/data/annotations.tar.gz",
            "annotations.tar.gz",
            "95a8c909bbe2e81eed6a22bccdf3f68f",
            "md5",
            TORCHVISION,
        ),
    ),
)


def load_pets(root: Path | None) -> Splits:
    """Read ``images`` and ``annotations``; training gets the published trainval list.

    Raises:
        ValueError: a list that is missing or malformed, or that names a missing image, with its file and line.
    """
    home = find_home(root, "pets", "annotations/trainval.txt", INFO.get)
    names: dict[int, str] = {}
    found = {split: _read_list(home, split, names, Finder()) for split in ("trainval", "test")}
    file = home / "annotations" / "trainval.txt"
    if sorted(names) != list(range(len(names))):
        raise ValueError(f"{file}: class ids must run from 1 to {len(names)} without gaps; unpack the data set again")
    classes = [names[i] for i in range(len(names))]
    train, test = (PhotoList(*found[split], classes) for split in ("trainval", "test"))
    check_classes(train, file)
    return Splits(train, None, test, INFO)


def _read_list(home: Path, split: str, names: dict[int, str], finder: Finder) -> tuple[list[Path], list[int]]:
    """Lines of ``IMAGE CLASS SPECIES BREED`` with ids from 1; the image's name contains the breed's."""
    paths, labels = [], []
    for place, (image, number, *_) in read_rows(home / "annotations" / f"{split}.txt", "IMAGE CLASS SPECIES BREED", 4):
        label = parse_integer(place, "class", number, 1, 10_000) - 1
        name = image.rpartition("_")[0].replace("_", " ").title()
        if names.setdefault(label, name) != name:
            raise ValueError(f"{place}: class {number} was {names[label]!r} on an earlier line; correct the line")
        paths.append(finder.find(home / "images" / f"{image}.jpg", place))
        labels.append(label)
    return paths, labels
