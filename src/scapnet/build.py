"""Building the network that a config describes, SCAPNet or a baseline."""

from scapnet.baselines.nts import NTSNet
from scapnet.baselines.plain import PlainNet
from scapnet.baselines.rra import RRA
from scapnet.config import Config, ModelConfig, ViewConfig
from scapnet.model import SCAPNet
from scapnet.network import Network

NETWORKS: dict[str, type[Network]] = {"scapnet": SCAPNet, "nts": NTSNet, "rra": RRA, "plain": PlainNet}


def build_model(config: ModelConfig, num_classes: int, size: int, start: bool = True) -> Network:
    """The network that a config describes.

    Args:
        config: see `ModelConfig`.
        num_classes: K.
        size: S, side of the view in pixels.
        start: load the starting weights that the config names; False if a checkpoint is loaded next.

    Raises:
        ValueError: settings that do not fit together, the view or the backbone.
    """
    if num_classes < 2:
        raise ValueError(f"a classifier needs at least 2 classes, and got {num_classes}")
    return NETWORKS[config.network].from_config(config, num_classes, size, start)


def title(config: ModelConfig) -> str:
    """The name of a config's network.

    >>> title(ModelConfig(network="nts"))
    'PRM + NTS-Net'
    """
    return NETWORKS[config.network].title(config)


def part_count(config: ModelConfig) -> int:
    """M, the number of crops of each image that a config's network looks at."""
    return NETWORKS[config.network].part_count(config)


def sections(config: ModelConfig) -> frozenset[str]:
    """The sections "gate", "parts" and "relation" that a config's network uses."""
    return NETWORKS[config.network].sections(config)


def view_of(config: Config, model: Network) -> ViewConfig:
    """The view of a config, with the mean and standard deviation that the backbone's weights were trained with."""
    known = getattr(model.backbone.net, "pretrained_cfg", None) or {}
    default, data = ViewConfig(), config.data
    mean, std = known.get("mean", default.mean), known.get("std", default.std)
    return ViewConfig(data.size, data.resize, data.source_size, mean, std, data.fit)
