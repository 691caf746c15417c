"""Loading a data set by name."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from scapnet.config import DataConfig
from scapnet.data.datasets import aircraft, cars, cub, dogs, flowers, grocery, hub, nabirds, pets, vegfru
from scapnet.data.datasets import table as csvfile
from scapnet.data.datasets.folder import load_folder
from scapnet.data.fetch import download
from scapnet.data.info import FOLDER, DatasetInfo
from scapnet.data.sample import Splits
from scapnet.data.splits import by_folds
from scapnet.data.synthetic import finches
from scapnet.data.synthetic.cache import CachedFinches
from scapnet.data.synthetic.finches import Finches
from scapnet.terminal.hints import option

LOADERS: dict[str, Callable[[DataConfig], Splits]] = {
    "finches": lambda config: _finches(config),
    "folder": lambda config: load_folder(config.root, _share(config), config.seed, config.order, config.group),
    "csv": lambda config: _table(config),
    "hub": lambda config: hub.load_hub(config.hub, _share(config), config.seed),
    "cub": lambda config: cub.load_cub(config.root),
    "aircraft": lambda config: aircraft.load_aircraft(config.root, config.level or "variant"),
    "grocery": lambda config: grocery.load_grocery(config.root, config.level or "fine"),
    "cars": lambda config: cars.load_cars(config.root),
    "dogs": lambda config: dogs.load_dogs(config.root),
    "flowers": lambda config: flowers.load_flowers(config.root),
    "pets": lambda config: pets.load_pets(config.root),
    "nabirds": lambda config: nabirds.load_nabirds(config.root),
    **{name: lambda config: vegfru.load_vegfru(config.root, config.name) for name in vegfru.NAMES},
}
KNOWN: tuple[DatasetInfo, ...] = (
    *(finches.INFO, csvfile.INFO, hub.INFO, cub.INFO, aircraft.INFO, grocery.INFO, cars.INFO, dogs.INFO),
    *(flowers.INFO, pets.INFO, nabirds.INFO, *vegfru.INFOS.values(), FOLDER),
)
INFOS = {info.name: info for info in KNOWN}
LEVELS = {"aircraft": tuple(aircraft.LEVELS), "grocery": tuple(grocery.COLUMNS)}


def dataset_info(name: str) -> DatasetInfo:
    """What is known about a data set without reading it; a VegFru name may end in "-trainval".

    Raises:
        ValueError: no data set has this name.
    """
    info = INFOS.get(name.removesuffix("-trainval"))
    if info is None:
        raise ValueError(f"there is no data set {name!r}; choose one of {', '.join(LOADERS)}")
    return info


def load_data(config: DataConfig) -> Splits:
    """The splits of the data set that a config names.

    Raises:
        ValueError: a data set that is missing or damaged, or a setting that does not apply to it.
    """
    levels = LEVELS.get(config.name, ())
    if config.level is not None and config.level not in levels:
        known = f"one of {', '.join(levels)}" if levels else "left out"
        raise ValueError(
            f"the {config.name} data set has no level {config.level!r}; {option('data.level')} must be {known}"
        )
    dataset_info(config.name)
    if config.group is not None and config.name not in ("folder", "csv"):
        raise ValueError(f"only folder and csv data have groups; leave out {option('data.group')} for {config.name}")
    config = _fetched(config) if config.download else config
    splits = LOADERS[config.name](config)
    # If only the training half of a data set is there, its other lists have no photos.
    splits = splits._replace(val=splits.val or None, test=splits.test or None)
    if not config.folds:
        return splits
    return by_folds(splits, config.folds, config.fold, config.seed, data_root(config), config.fold_by == "neighbours")


def data_root(config: DataConfig) -> Path | None:
    """The folder that the names of a data set's files are relative to."""
    if config.name == "hub":
        return Path(config.hub or "")
    if config.root is None and config.download:
        return Path("data") / config.name
    return config.table.parent if config.root is None and config.table is not None else config.root


def _fetched(config: DataConfig) -> DataConfig:
    """The config with the root that the data set was downloaded to."""
    info = dataset_info(config.name)
    if not info.downloads:
        raise ValueError(f"the {config.name} data set cannot be downloaded by a program: {info.get}")
    root = data_root(config)
    assert root is not None
    return replace(config, root=download(info.downloads, root))


def _table(config: DataConfig) -> Splits:
    return csvfile.load_csv(config.root, config.table, _share(config), config.seed, config.order, config.group)


def _share(config: DataConfig) -> float | None:
    """The fraction of the training photos to hold out; None holds out none, or leaves it to the folds."""
    return None if config.folds else config.val_fraction or None


def _finches(config: DataConfig) -> Splits:
    side = round(config.resize * (config.source_size or config.size) / config.size)
    birds = config.synthetic
    lengths = {"train": birds.train_length, "test": birds.test_length}
    style = (side, config.seed, birds.family, birds.mark_scale, birds.hide, birds.bird_scale)
    drawn = [Finches(split, birds.num_classes, length, *style) for split, length in lengths.items()]
    train, test = [CachedFinches(data, config.root) for data in drawn] if config.root else drawn
    return Splits(train, None, test, finches.INFO)
