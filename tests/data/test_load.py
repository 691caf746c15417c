"""Every data set by its name."""

from pathlib import Path

import pytest

from samples import COLOURS, cub, photo, write
from scapnet.config import DataConfig
from scapnet.data.datasets.vegfru import NAMES
from scapnet.data.load import LOADERS, dataset_info, load_data

PLANES = (
    ("0003", "707-320", "Boeing 707", "Boeing", "trainval"),
    ("0001", "A330 neo", "A330", "Airbus", "trainval"),
    ("0002", "A330-200", "A330", "Airbus", "trainval"),
    ("0004", "A330-200", "A330", "Airbus", "test"),
    ("0005", "707-320", "Boeing 707", "Boeing", "test"),
)


NAMED = {
    "variant": ("A330-200", "707-320", "A330 neo"),
    "family": ("Boeing 707", "A330"),
    "manufacturer": ("Airbus", "Boeing"),
}


FILES = {"variant": "variants.txt", "family": "families.txt", "manufacturer": "manufacturers.txt"}


def aircraft(root: Path, level: str, end: str = "\n") -> Path:
    column = 1 + list(NAMED).index(level)
    for plane in PLANES:
        photo(root / "data" / "images" / f"{plane[0]}.jpg", COLOURS[NAMED[level].index(plane[column])])
    for i, (name, classes) in enumerate(NAMED.items(), 1):
        write(root / "data" / FILES[name], classes, end)
        for split in ("trainval", "test"):
            lines = [f"{plane[0]} {plane[i]}" for plane in PLANES if plane[4] == split]
            write(root / "data" / f"images_{name}_{split}.txt", lines, end)
    write(root / "data" / "images_box.txt", ["0003 1 1 8 8", "0001 3 2 6 4"], end)
    return root


def test_every_name_has_a_loader_and_its_facts() -> None:
    for name in LOADERS:
        about = dataset_info(name)
        assert about.get
        assert about.licence
        assert all(counts.source for counts in about.counts)
        assert all(file.url.startswith("http") and bool(file.checksum) == bool(file.source) for file in about.downloads)
    assert set(NAMES) <= set(LOADERS)
    with pytest.raises(ValueError, match="there is no data set 'cars196'; choose one of"):
        dataset_info("cars196")


def test_every_data_set_has_its_page() -> None:
    pages = Path(__file__).parents[2] / "docs" / "data"
    index = (pages / "README.md").read_text(encoding="utf-8")
    for name in set(LOADERS) - {name for name in NAMES if name.endswith("-trainval")}:
        about, file = dataset_info(name), pages / f"{'vegfru' if name in NAMES else name}.md"
        text = file.read_text(encoding="utf-8")
        assert f"[`{name}`]({file.name})" in index
        assert f"`{name}`" in text
        assert about.homepage in text
        figures = [f"{v:,}" for c in about.counts for v in (c.classes, c.train, c.val, c.test) if v is not None]
        assert all(figure in text for figure in figures)
        assert all(file.url in text and (file.checksum or "") in text for file in about.downloads)


def test_a_level_that_a_data_set_lacks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"aircraft data set has no level 'coarse'; --data\.level must be one of variant"
    ):
        load_data(DataConfig("aircraft", tmp_path, level="coarse"))
    with pytest.raises(ValueError, match=r"the cub data set has no level 'fine'; --data\.level must be left out"):
        load_data(DataConfig("cub", tmp_path, level="fine"))
    aircraft(tmp_path, "family")
    assert load_data(DataConfig("aircraft", tmp_path, level="family")).train.classes == NAMED["family"]


@pytest.mark.parametrize("name", sorted(set(LOADERS) - {"finches", "hub"}))
def test_an_empty_folder_is_not_a_data_set(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"--data\.root|labels\.csv|class folders"):
        load_data(DataConfig(name, tmp_path))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"--data\.root"):
        load_data(DataConfig(name))  # type: ignore[arg-type]


def test_a_training_half_alone_has_no_empty_test_split(tmp_path: Path) -> None:
    root = cub(tmp_path)
    lines = (root / "train_test_split.txt").read_text().splitlines()
    write(root / "train_test_split.txt", [f"{line.split()[0]} 1" for line in lines])
    splits = load_data(DataConfig("cub", root))
    assert splits.test is None
    assert len(splits.train) == len(lines)
