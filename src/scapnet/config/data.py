"""Which pictures to use, how they are split, and how they become a network's view."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from scapnet.config.checks import at_least, at_most, check_expression, one_of, refuse

DataName = Literal[
    "finches",
    "folder",
    "csv",
    "hub",
    "cub",
    "aircraft",
    "veg200",
    "fru92",
    "vegfru",
    "veg200-trainval",
    "fru92-trainval",
    "vegfru-trainval",
    "grocery",
    "cars",
    "dogs",
    "flowers",
    "pets",
    "nabirds",
]


@dataclass(frozen=True)
class ViewConfig:
    """How a photo becomes a network's input; it travels with a trained model."""

    size: int = 448
    resize: int = 512
    source_size: int | None = None
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    fit: Literal["crop", "pad", "squash"] = "crop"

    def __post_init__(self) -> None:
        one_of("data.fit", self.fit, ("crop", "pad", "squash"))
        if min(self.std) <= 0:
            refuse(f"data.std is {self.std}; a photo cannot be divided by that")
        if self.size < 32:
            refuse(f"a view of {self.size} px is too small for a network; use at least 32")
        for name in ("size", "resize", "source_size"):
            at_most(f"data.{name}", getattr(self, name) or 0, 4096)
        if self.fit == "crop" and self.resize < self.size:
            refuse(f"photos resized to {self.resize} px cannot be cropped to {self.size}; use resize >= size")
        if self.source_size is not None and self.source_size < self.size:
            refuse(f"source_size {self.source_size} is smaller than the view; use at least {self.size}")


@dataclass(frozen=True)
class SyntheticConfig:
    """The drawn birds."""

    num_classes: int = 32
    """Number of species, 2 to 64."""
    train_length: int = 2000
    """Training pictures."""
    test_length: int = 1000
    """Test pictures."""
    family: Literal["finch", "lark"] = "finch"
    """The birds; larks have other marks and only pretrain the tiny backbone."""
    mark_scale: float = 1.0
    """Size of the marks."""
    hide: float = 0.15
    """Probability that a mark is hidden."""
    bird_scale: float = 1.0
    """Size of the birds, as a share of their usual size, 0.2 to 1; at 0.6 they fill about a tenth of the picture."""

    def __post_init__(self) -> None:
        one_of("synthetic.family", self.family, ("finch", "lark"))
        if not 2 <= self.num_classes <= 64:
            refuse(f"synthetic.num_classes is {self.num_classes}; use 2 to 64 species")
        for name in ("train_length", "test_length"):
            at_least(f"synthetic.{name}", getattr(self, name), 1)
        if not 0.2 <= self.bird_scale <= 1:
            refuse(f"synthetic.bird_scale is {self.bird_scale}; use a share from 0.2 to 1")


@dataclass(frozen=True)
class DataConfig:
    """Which pictures to use, and how they become a network's view."""

    name: DataName = "folder"
    """The drawn finches, your class folders or table (csv), a Hugging Face data set (hub), or a published one."""
    root: Path | None = None
    """The data set's folder; the built-in one needs none, but caches its pictures there if one is given."""
    download: bool = False
    """Download the data set into `root` (data/NAME by default) if its authors allow it and it is not there yet."""
    level: Literal["variant", "family", "manufacturer", "fine", "coarse"] | None = None
    """Which labels of aircraft (variant by default) or grocery (fine by default)."""
    table: Path | None = None
    """csv: the table with the header `path,label`, and optionally `split`; by default ROOT/labels.csv."""
    hub: str | None = None
    """hub: the name of the data set on the Hugging Face hub, or a folder written by `save_to_disk`."""
    size: int = 448
    """Side of the network's view in pixels."""
    resize: int = 512
    """Shorter side of the photo in pixels before the crop to `size`; our choice, as the paper does not say."""
    fit: Literal["crop", "pad", "squash"] = "crop"
    """How a photo becomes square: cropped, padded with the mean colour, or squashed. With pad and squash, training and
    evaluation see the whole photo, and `resize` is not used."""
    source_size: int | None = None
    """Side of a larger view of the same crop, from which the parts are cut; by default the network's own view."""
    augment: Literal["paper", "fgvc", "strong"] = "paper"
    """Random rotation, crop and mirroring as in the paper; the usual crop and mirroring; or these two with
    TrivialAugmentWide and random erasing. The presets fgvc and strong set everything that goes with the last two."""
    rotation: float = 15.0
    """Largest random rotation of augment paper, in degrees either way; our choice, as the paper does not say."""
    flip: bool = True
    """Random horizontal flip in training."""
    val_fraction: float = 0.1
    """Fraction of each class to hold out if your own data has neither val nor test; 0 holds out none."""
    folds: int = 0
    """Number of stratified folds of the training and validation photos; 0 uses the data set's own splits."""
    fold: int = 0
    """The fold that is held out, from 0."""
    fold_by: Literal["photos", "neighbours"] = "photos"
    """Assign single photos to folds, or keep neighbouring files of a class together: they often show the same thing."""
    group: str | None = None
    """Keep photos of one animal, plant or burst together when some are held out: "folder" for the folders below that of
    the class, or a regular expression to search for in the file names, whose group names the photo's group, such as
    "(.+)_[0-9]+" for nest7_003.jpg. A table may have a column `group` instead."""
    order: Literal["numbers", "text"] = "numbers"
    """Sort your own files and classes by the numbers in their names (2 before 10), or letter by letter, as versions
    before 0.2 did."""
    seed: int = 0
    """Built-in data: which pictures are drawn; your own data: which photos are held out."""
    synthetic: SyntheticConfig = field(default_factory=SyntheticConfig)
    """The drawn birds."""
    broken_share: float = 0.01
    """Stop training if more than this fraction of its images is unreadable; below it, they are replaced."""
    workers: int | None = None
    """Loader processes per training process; by default chosen by the number of cores."""

    def __post_init__(self) -> None:
        if not 0 <= self.broken_share <= 1:
            refuse(f"data.broken_share is {self.broken_share}; it must be a share from 0 to 1")
        if not 0 <= self.val_fraction < 1:
            refuse(f"data.val_fraction is {self.val_fraction}; it must be 0, or a share below 1")
        check_expression("data.group", self.group)
        ViewConfig(self.size, self.resize, self.source_size, fit=self.fit)

    RENAMED: ClassVar[dict[str, str]] = {
        **{key: f"synthetic.{key}" for key in ("train_length", "test_length", "family", "mark_scale", "hide")},
        "classes": "synthetic.num_classes",
        "deal": "fold_by",
    }
