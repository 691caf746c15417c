"""The network: one section for each module of the paper."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from scapnet.config.checks import at_least, at_most, one_of, refuse


@dataclass(frozen=True)
class GateConfig:
    """gGAU: the gate and its scorer (Eq. 1, 4-6)."""

    enabled: bool = True
    """Use the gate."""
    mask: Literal["stage3", "stage4", "none"] = "stage3"
    """Where the mask is applied: to the map that enters stage 4 (Eq. 1), to stage 4's output, or nowhere."""
    grid: int = 4
    """N, units per side."""
    hidden: int = 16
    """d of Eq. 4."""
    mode: Literal["hard", "soft"] = "hard"
    """A binary mask, or the keep probability itself (Table VII)."""
    noise: bool = True
    """Gumbel noise in training."""
    tau: float = 1.0
    """Temperature of the Gumbel-softmax."""
    open: float = 0.0
    """Initial bias of the gate; if positive, every unit is kept at the start."""
    unmasked: float = 0.0
    """Share of the training images that are not masked, so that whole images are learnt too; not in the paper."""
    block: int = 0
    """For a vision transformer: number of blocks before the gate; 0 is a third of them."""
    mask_in_evaluation: bool = True
    """Mask in evaluation too, as the paper does; without it the gate only scores the parts."""

    def __post_init__(self) -> None:
        one_of("gate.mask", self.mask, ("stage3", "stage4", "none"))
        one_of("gate.mode", self.mode, ("hard", "soft"))
        at_least("gate.grid", self.grid, 1)
        at_least("gate.hidden", self.hidden, 1)
        at_most("gate.grid", self.grid, 128)
        at_most("gate.hidden", self.hidden, 8192)
        if not 0 <= self.unmasked <= 1:
            refuse(f"gate.unmasked is {self.unmasked}; it must be a share from 0 to 1")
        if self.tau <= 0:
            refuse(f"gate.tau is {self.tau}; a temperature must be positive")


@dataclass(frozen=True)
class PartsConfig:
    """SCAPS and the sub-network that sees the parts."""

    enabled: bool = True
    """Choose parts and classify them."""
    keep: tuple[int, ...] = (3, 2, 1)
    """Parts at scale 1, 2, ..."""
    strategy: Literal["score", "top", "random", "fixed", "sample"] = "score"
    """How parts are chosen (Tables VIII and IX). Ours: "fixed", a control, takes the same evenly spaced windows always,
    and "sample" draws windows by their score in training."""
    total: int | None = None
    """M of the strategy "top"."""
    size: int = 224
    """Side of a cropped part in pixels."""
    shared: bool = False
    """Run the parts through the main branch's backbone instead of a second one."""
    classifier: Literal["shared", "each", "concat"] = "shared"
    """One classifier for all parts, one for each part, or one on the concatenated features of all parts (Table X)."""
    pool: tuple[float, float] | None = None
    """Weights of the main branch's and the parts' logits, whose sum's softmax is the answer (not in the paper); without
    them it is the mean of both softmaxes. `--train.pool` finds them on the validation images."""

    def __post_init__(self) -> None:
        one_of("parts.strategy", self.strategy, ("score", "top", "random", "fixed", "sample"))
        one_of("parts.classifier", self.classifier, ("shared", "each", "concat"))
        at_least("parts.size", self.size, 8)
        at_most("parts.size", self.size, 2048)
        at_most("the number of parts", self.count, 256)
        if self.pool is not None:
            for weight in self.pool:
                at_least("a weight of parts.pool", weight, 0)
                at_most("a weight of parts.pool", weight, 100)
            if not any(self.pool):
                refuse("both weights of parts.pool are 0; give at least one branch a weight above 0")
        if self.classifier != "shared" and not self.enabled:
            refuse(f"parts.classifier {self.classifier} needs parts; enable them, or use shared")

    @property
    def count(self) -> int:
        """M, the number of parts of an image."""
        return self.total if self.strategy == "top" and self.total else sum(self.keep)


@dataclass(frozen=True)
class RelationConfig:
    """PRM, or another way to relate the parts."""

    enabled: bool = True
    """Relate the parts before they are classified."""
    type: Literal["attention", "gcn"] = "attention"
    """PRM's attention, or a graph convolution over the boxes (Table X)."""
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

    def __post_init__(self) -> None:
        one_of("relation.type", self.type, ("attention", "gcn"))
        for name in ("heads", "key_dim"):
            at_least(f"relation.{name}", getattr(self, name), 1)
            at_most(f"relation.{name}", getattr(self, name), 8192)
        at_most("relation.geo_dim", self.geo_dim, 8192)
        if self.geo_dim < 8 or self.geo_dim % 8:
            refuse(f"relation.geo_dim is {self.geo_dim}; it must be a positive multiple of 8")
        if self.type == "gcn" and not self.enabled:
            refuse("relation.type gcn needs the relation; enable it, or use attention")
        if self.type == "gcn" and not (self.heads == 1 and self.appearance and self.geometry):
            refuse("heads, appearance and geometry belong to relation.type attention; leave them out for gcn")


@dataclass(frozen=True)
class ModelConfig:
    """The network. Each row of Table IV is a combination of `gate`, `parts` and `relation`."""

    backbone: str = "resnet50.tv_in1k"
    """A timm network; this one is ResNet-50 with torchvision's IMAGENET1K_V1 weights."""
    weights: str = "pretrained"
    """"pretrained" (timm's own, downloaded), "none", "tiny" (in the package, for test_resnet and test_vit2), a weight
    file, or a run folder, model folder or hub id whose model to start from; its classifier is left out if the classes
    differ."""
    network: Literal["scapnet", "nts", "rra", "plain"] = "scapnet"
    """SCAPNet; another paper's network, NTS-Net (with PRM if the relation is enabled) or RRA (with gGAU if the gate
    is); or the plain backbone, for which the settings below have no meaning."""
    dropout: float | None = None
    """NTS-Net: share of the pooled features of image and parts that training drops; by default 0.5, as in its public
    code. The other networks have no dropout."""
    gate: GateConfig = field(default_factory=GateConfig)
    """gGAU."""
    parts: PartsConfig = field(default_factory=PartsConfig)
    """SCAPS and the sub-network."""
    relation: RelationConfig = field(default_factory=RelationConfig)
    """PRM."""

    RENAMED: ClassVar[dict[str, str]] = {
        **{key: f"gate.{key}" for key in ("mask", "grid", "hidden", "mode", "noise", "tau", "open")},
        **{key: f"parts.{key}" for key in ("keep", "strategy", "total", "shared")},
        **{key: f"relation.{key}" for key in ("heads", "key_dim", "geo_dim", "appearance", "geometry")},
        "gate": "gate.enabled",
        "parts": "parts.enabled",
        "part_size": "parts.size",
        "part_classifier": "parts.classifier",
        "relation": "relation.enabled",
        "way": "relation.type",
        "host": "network",
    }

    def __post_init__(self) -> None:
        one_of("model.network", self.network, ("scapnet", "nts", "rra", "plain"))
        if self.dropout is not None:
            if self.network != "nts":
                refuse(f"network {self.network} has no dropout; leave model.dropout out, or use --model.network nts")
            if not 0 <= self.dropout < 1:
                refuse(f"model.dropout is {self.dropout}; it must be a share from 0 to below 1")
