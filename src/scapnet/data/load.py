"""A data set by name, and the loaders of a run."""

import copy
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch.utils.data import DataLoader, Sampler

from scapnet.config import DataConfig, ViewConfig
from scapnet.data.augment import sides
from scapnet.data.datasets import aircraft, cars, cub, dogs, flowers, grocery, hub, nabirds, pets, vegfru
from scapnet.data.datasets import table as csvfile
from scapnet.data.datasets.folder import load_folder
from scapnet.data.fetch import download
from scapnet.data.info import FOLDER, DatasetInfo
from scapnet.data.sample import FineGrained, Splits
from scapnet.data.splits import by_folds
from scapnet.data.synthetic import finches
from scapnet.data.synthetic.cache import CachedFinches
from scapnet.data.synthetic.finches import Finches
from scapnet.data.transforms import EvalViews, TrainViews, Views, seed_of

LOADERS: dict[str, Callable[[DataConfig], Splits]] = {
    "finches": lambda config: _finches(config),
    "folder": lambda config: load_folder(config.root, _share(config), config.seed),
    "csv": lambda config: csvfile.load_csv(config.root, config.table, _share(config), config.seed),
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
    """What is known of a data set without reading it; a VegFru name with "-trainval" is the data set of its stem.

    Raises:
        ValueError: no data set has this name.
    """
    info = INFOS.get(name.removesuffix("-trainval"))
    if info is None:
        raise ValueError(f"there is no data set {name!r}; choose one of {', '.join(LOADERS)}")
    return info


def load_data(config: DataConfig) -> Splits:
    """The splits that a config names.

    Raises:
        ValueError: a data set that is not where it should be, or is not as it should be.
    """
    levels = LEVELS.get(config.name, ())
    if config.level is not None and config.level not in levels:
        known = f"one of {', '.join(levels)}" if levels else "left out"
        raise ValueError(f"the {config.name} data set has no level {config.level!r}; --data.level must be {known}")
    dataset_info(config.name)
    config = _fetched(config) if config.download else config
    splits = LOADERS[config.name](config)
    if not config.folds:
        return splits
    return by_folds(splits, config.folds, config.fold, config.seed, config.root, config.fold_by == "neighbours")


def _fetched(config: DataConfig) -> DataConfig:
    """The config with the root that the data set was downloaded to."""
    info = dataset_info(config.name)
    if not info.downloads:
        raise ValueError(f"the {config.name} data set cannot be downloaded by a program: {info.get}")
    root = config.root or Path("data") / config.name
    return replace(config, root=download(info.downloads, root))


def _share(config: DataConfig) -> float | None:
    """The share of the training photos to hold out; folds hold out theirs later."""
    return None if config.folds else config.val_fraction


def _finches(config: DataConfig) -> Splits:
    side = round(config.resize * (config.source_size or config.size) / config.size)
    birds = config.synthetic
    lengths = {"train": birds.train_length, "test": birds.test_length}
    style = (side, config.seed, birds.family, birds.mark_scale, birds.hide)
    drawn = [Finches(split, birds.num_classes, length, *style) for split, length in lengths.items()]
    train, test = [CachedFinches(data, config.root) for data in drawn] if config.root else drawn
    return Splits(train, None, test, finches.INFO)


class EpochSampler(Sampler[int]):
    """Every sample once in an order of the seed and the epoch; an interrupted epoch goes on where it stopped.

    Yields ``epoch * length + i``, from which `TrainViews` knows the epoch in every worker.
    """

    def __init__(self, length: int, seed: int) -> None:
        self.length, self.seed = length, seed
        self.epoch, self.skip = 0, 0

    def __len__(self) -> int:
        return self.length - self.skip

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(seed_of(self.seed, self.epoch))
        order = torch.randperm(self.length, generator=generator)[self.skip :]
        return iter((order + self.epoch * self.length).tolist())


def cores_here() -> int:
    """The cores that this process may use; not every system can tell them from the machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_workers(processes: int = 1, cores: int | None = None) -> int:
    """Loader processes for each of ``processes`` training processes on this machine.

    One core is left to each of these: where there is no other, a loader process only costs (``results/loading.md``).
    Each holds two batches that wait, so that more than 8 would rather fill the memory.
    """
    return min(8, max(0, (cores or cores_here()) // processes - 1))


def _loader(dataset: TrainViews | EvalViews, batch_size: int, workers: int, **options: object) -> DataLoader[Views]:
    return DataLoader(
        dataset,
        batch_size,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
        # Loaders draw a seed for their workers: from a generator of their own, or a resumed run's noise would differ.
        generator=torch.Generator().manual_seed(0),
        **options,  # type: ignore[arg-type]
    )


def train_loader(
    data: FineGrained, view: ViewConfig, config: DataConfig, batch_size: int, seed: int, workers: int
) -> tuple[DataLoader[Views], EpochSampler]:
    """Shuffled, augmented batches, and the sampler that is told the epoch. An incomplete last batch is dropped.

    Large photos are read in fewer pixels here alone: evaluation takes the exact path, as `predict` does, and must know
    where the marks lie.
    """
    sampler = EpochSampler(len(data), seed)
    # Batch norm cannot normalise a single image, and a small batch would weigh as much as a full one.
    drop = len(data) >= batch_size
    if hasattr(data, "shorter"):
        data = copy.copy(data)
        data.shorter = sides(view)[1]
    views = TrainViews(data, view, config, seed)
    return _loader(views, batch_size, workers, sampler=sampler, drop_last=drop), sampler


def eval_loader(data: FineGrained, view: ViewConfig, batch_size: int, workers: int) -> DataLoader[Views]:
    """Centre views in order."""
    return _loader(EvalViews(data, view), batch_size, workers)
