"""Caltech-UCSD Birds-200-2011 (Wah et al. 2011): 200 species, with object boxes and 15 part points."""

from pathlib import Path

from scapnet.data.datasets.birds import read_birds
from scapnet.data.info import Archive, DatasetInfo, PublishedSizes
from scapnet.data.lists import check_root, find_home
from scapnet.data.sample import Splits

INFO = DatasetInfo(
    "cub",
    "Caltech-UCSD Birds-200-2011 (CUB-200-2011)",
    "C. Wah, S. Branson, P. Welinder, P. Perona, S. Belongie: The Caltech-UCSD Birds-200-2011 Dataset. "
    "California Institute of Technology, CNS-TR-2011-001, 2011",
    "see its homepage; the photos come from Flickr and belong to their photographers",
    "https://www.vision.caltech.edu/datasets/cub_200_2011/",
    "get CUB_200_2011.tgz from Caltech (https://data.caltech.edu/records/65de6-vp158) and unpack it in ROOT",
    (PublishedSizes("Table II of the SCAPNet paper; 11,788 images in total", 200, 5994, None, 5794),),
    PublishedSizes("Table II", 200, 5994, None, 5794),
    (
        Archive(
            "https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz",
            "CUB_200_2011.tgz",
            "0c685df5597a8b24909f6a7c9db6d11e008733779a671760afef78feb49bf081",
            "sha256",
            "TensorFlow Datasets, url_checksums/caltech_birds2011.txt",
        ),
    ),
)


def load_cub(root: Path | None) -> Splits:
    """Read CUB-200-2011 from the folder of ``images.txt``, or the one above it.

    Raises:
        ValueError: the 2010 edition, or a list that is missing or malformed, with its file and line.
    """
    root = check_root(root, "cub", INFO.get)
    try:
        home = find_home(root, "cub", "images.txt", INFO.get)
    except ValueError:
        _refuse_2010(root)
        raise
    train, test = read_birds(home, all_classes=True)
    return Splits(train, None, test, INFO)


def _refuse_2010(root: Path) -> None:
    """Refuse the 2010 edition: the same species with half the photos and no parts, so no figures are comparable."""
    for home in (root, *sorted(root.iterdir())):
        if (home / "lists").is_dir() and not (home / "train_test_split.txt").is_file():
            raise ValueError(
                f"{home} is CUB-200-2010, the older edition (it has lists/ and no train_test_split.txt); "
                f"CUB-200-2011 is needed: {INFO.get}"
            )
