"""NABirds (Van Horn et al., CVPR 2015): 555 categories of North American birds, with boxes and 11 part points."""

from pathlib import Path

from scapnet.data.datasets.birds import read_birds
from scapnet.data.info import DatasetInfo, PublishedSizes
from scapnet.data.lists import find_home
from scapnet.data.sample import Splits

INFO = DatasetInfo(
    "nabirds",
    "NABirds",
    "G. Van Horn, S. Branson, R. Farrell, S. Haber, J. Barry, P. Ipeirotis, P. Perona, S. Belongie: Building a Bird "
    "Recognition App and Large Scale Dataset with Citizen Scientists. CVPR 2015",
    "the terms of use to accept before the download",
    "https://dl.allaboutbirds.org/nabirds",
    "accept the terms at https://dl.allaboutbirds.org/nabirds (Cornell Lab of Ornithology), and unpack the archive "
    "in ROOT",
    (PublishedSizes("abstract of Van Horn et al. 2015: 48,562 images in total", 555),),
)


def load_nabirds(root: Path | None) -> Splits:
    """Read NABirds; the classes are the categories that images are labelled with, not the groups above them.

    Raises:
        ValueError: a list that is missing or malformed, with its file and line.
    """
    home = find_home(root, "nabirds", "images.txt", INFO.get)
    train, test = read_birds(home, all_classes=False)
    return Splits(train, None, test, INFO)
