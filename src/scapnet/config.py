"""A run's settings as frozen dataclasses.

Nothing heavy is imported here, so that the command line can show every setting at once.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from scapnet.plain import from_dict as from_dict
from scapnet.plain import to_dict as to_dict

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
class DataConfig:
    """Which pictures, and the view that a network gets of them."""

    name: DataName = "folder"
    """The drawn finches, your class folders or table (csv), a Hugging Face data set (hub), or a published one."""
    root: Path | None = None
    """Where the data set lies; the built-in one needs no place, but keeps its pictures in one that it is given."""
    download: bool = False
    """Fetch the data set into `root` (data/NAME by default) where its authors allow it and it is not there yet."""
    level: Literal["variant", "family", "manufacturer", "fine", "coarse"] | None = None
    """Which labels of aircraft (variant by default) or grocery (fine by default)."""
    table: Path | None = None
    """csv: the table with a header `path,label` and, where photos have one, `split`; by default ROOT/labels.csv."""
    hub: str | None = None
    """hub: the name of the data set on the Hugging Face hub, or a folder that its `save_to_disk` wrote."""
    size: int = 448
    """Side of the network's view in pixels."""
    resize: int = 512
    """Shorter side of the photo before the crop to `size`; the paper does not say (ours)."""
    source_size: int | None = None
    """Side of a larger view of the same crop, from which the parts are cut; by default the network's own view."""
    augment: Literal["paper", "fgvc", "strong"] = "paper"
    """Random rotation, crop and mirroring as in the paper; the field's usual crop and mirroring; or these two with
    TrivialAugmentWide and random erasing. The presets fgvc and strong set what goes with the last two."""
    rotation: float = 15.0
    """Random rotation of augment paper, degrees either way; the paper does not say how far (ours)."""
    flip: bool = True
    """Random horizontal flip in training."""
    val_fraction: float = 0.1
    """Share of the training photos held out, by class, where your own data has neither val nor test."""
    folds: int = 0
    """Parts that training and validation photos are dealt into, by class, of which one is held out; 0 deals none."""
    fold: int = 0
    """Which of them is held out, from 0."""
    deal: Literal["photos", "neighbours"] = "photos"
    """Deal photo by photo, or runs of neighbouring files of a class together, which often show the same thing."""
    classes: int = 32
    """Built-in data: number of species."""
    train_length: int = 2000
    """Built-in data: training pictures."""
    test_length: int = 1000
    """Built-in data: test pictures."""
    family: Literal["finch", "lark"] = "finch"
    """Built-in data: the birds; larks have other marks and only pretrain the tiny backbone."""
    mark_scale: float = 1.0
    """Built-in data: size of the marks."""
    hide: float = 0.15
    """Built-in data: how often a mark is hidden."""
    seed: int = 0
    """Built-in data: which pictures are drawn; your own: which are held out."""
    broken_share: float = 0.01
    """Training stops where a larger share of its images cannot be read; up to it, others of their class stand in."""
    workers: int | None = None
    """Loader processes for each training process; by default from the number of cores."""


@dataclass(frozen=True)
class ViewConfig:
    """How a photo becomes a network's input; it travels with a trained model."""

    size: int = 448
    resize: int = 512
    source_size: int | None = None
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)

    def __post_init__(self) -> None:
        if self.size < 32:
            raise ValueError(f"a view of {self.size} px is too small for a network; use at least 32")
        if self.resize < self.size:
            raise ValueError(f"photos resized to {self.resize} px cannot be cropped to {self.size}; use resize >= size")
        if self.source_size is not None and self.source_size < self.size:
            raise ValueError(f"source_size {self.source_size} is smaller than the view; use at least {self.size}")


@dataclass(frozen=True)
class ModelConfig:
    """The network. Every row of Table IV is a combination of `gate`, `mask`, `parts`, `keep` and `relation`."""

    backbone: str = "resnet50.tv_in1k"
    """A timm network; this one is ResNet-50 with torchvision's IMAGENET1K_V1 weights."""
    weights: str = "pretrained"
    """"pretrained" (timm's own, downloaded), "none", "tiny" (shipped, for test_resnet) or a local weight file."""
    gate: bool = True
    """gGAU: the gate and its scorer."""
    mask: Literal["stage3", "stage4", "none"] = "stage3"
    """Where the gate's mask is applied: the map that enters stage 4 (Eq. 1), stage 4's output, or nowhere."""
    grid: int = 4
    """N, units on a side."""
    hidden: int = 16
    """d of Eq. 4."""
    mode: Literal["hard", "soft"] = "hard"
    """A binary mask, or the keep probability itself (Table VII)."""
    noise: bool = True
    """Gumbel noise in training."""
    tau: float = 1.0
    """Temperature of the Gumbel-softmax."""
    open: float = 0.0
    """Starting bias of the gate; a positive one starts with every unit kept."""
    parts: bool = True
    """SCAPS and the sub-network on the parts."""
    keep: tuple[int, ...] = (3, 2, 1)
    """Parts at scale 1, 2, ..."""
    strategy: Literal["score", "top", "random", "fixed"] = "score"
    """How parts are chosen (Tables VIII and IX); "fixed" takes the same evenly spaced windows in every image (ours)."""
    total: int | None = None
    """M of the strategy "top"."""
    part_size: int = 224
    """Side of a cropped part in pixels."""
    shared: bool = False
    """Parts go through the main branch's own backbone instead of a second one."""
    relation: bool = True
    """PRM."""
    way: Literal["attention", "gcn"] = "attention"
    """How the relation is modelled: PRM's attention or a graph convolution over the boxes (Table X)."""
    part_classifier: Literal["shared", "each", "concat"] = "shared"
    """One classifier for all parts, one for each part, or one on all parts' features side by side (Table X)."""
    heads: int = 1
    """N_PRM of Eq. 16."""
    key_dim: int = 64
    """d_k of Eq. 9."""
    geo_dim: int = 64
    """d_p of Eq. 10."""
    appearance: bool = True
    """ARM, Eq. 9."""
    geometry: bool = True
    """GRM, Eq. 10."""
    host: Literal["scapnet", "nts", "rra"] = "scapnet"
    """The network: SCAPNet, or another paper's, NTS-Net (with PRM if `relation`) or RRA (with gGAU if `gate`)."""


@dataclass(frozen=True)
class LossConfig:
    """Weights of Eq. 15 and how they run."""

    cls: float = 1.0
    """alpha."""
    act: float = 1.0
    """beta."""
    con: float = 1.0
    """gamma."""
    sub: float = 1.0
    """lambda."""
    margin: float = 0.1
    """Margin of Eq. 8."""
    smoothing: float = 0.0
    """Label smoothing."""
    act_ramp: tuple[float, float] = (0.0, 0.0)
    """Epochs between which beta grows from 0 to its value; (0, 0) has it from the first step, as the paper does."""


@dataclass(frozen=True)
class TrainConfig:
    """The recipe."""

    epochs: int = 60
    """In all; the paper does not say (ours)."""
    stage1_epochs: int = 0
    """Epochs at the start that train the main branch and the gate only (two-stage training, Sec. IV-C)."""
    part_start: Literal["own", "main"] = "own"
    """The sub-network starts from its own weights, or at stage 2 from the main branch's."""
    batch_size: int = 16
    """Images of a step on one process; the paper does not say for training (ours)."""
    accumulate: int = 1
    """Steps whose gradients are summed into one update."""
    optimizer: Literal["sgd", "adamw"] = "sgd"
    """The paper uses SGD."""
    lr: float = 0.01
    """Initial learning rate."""
    momentum: float = 0.9
    """Of SGD."""
    weight_decay: float = 1e-4
    """The paper does not say (ours)."""
    schedule: Literal["step", "cosine"] = "step"
    """x `step_factor` every `step_epochs`, or a half cosine to 0."""
    step_epochs: int = 10
    """Epochs between two steps."""
    step_factor: float = 0.3
    """What a step multiplies the learning rate by."""
    warmup_epochs: float = 0.0
    """Epochs over which the learning rate grows from 0."""
    clip: float = 0.0
    """Largest norm of the gradient of each branch; 0 does not clip."""
    precision: Literal["no", "bf16", "fp16"] = "no"
    """Mixed precision."""
    seed: int = 0
    """Of the weights, the order, the augmentation and the noise."""
    log_every: int = 20
    """Steps between two lines of the log."""
    checkpoint_steps: int = 0
    """Steps between two checkpoints within an epoch; 0 keeps one at the end of each epoch."""


@dataclass(frozen=True)
class Config:
    """Everything that decides a run."""

    preset: str = "paper"
    """The run's name."""
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    train: TrainConfig = field(default_factory=TrainConfig)


def reason(error: BaseException) -> str:
    """The first line of an error's message, or its name where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
