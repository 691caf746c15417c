"""Other papers' networks with our modules plugged in, NTS-Net + PRM and RRA + gGAU.

Written anew: the ideas are the papers', figures on which those are silent are their public code's and named as such.

They have the slots of a `SCAPNet` and give what a `SCAPNetOutput` gives, so that the same loop trains them and the same
functions score, save and show them.
"""

from scapnet.config import ModelConfig
from scapnet.hosts.nts import NTSLoss, NTSNet, NTSOutput, build_nts
from scapnet.hosts.rra import RRA, RRALoss, build_rra
from scapnet.model import SCAPNet, build_model

__all__ = ["RRA", "NTSLoss", "NTSNet", "NTSOutput", "RRALoss", "build", "title"]


def build(config: ModelConfig, classes: int, size: int, start: bool = True) -> SCAPNet:
    """The network that a config describes, whichever paper's it is.

    Args:
        config: see `ModelConfig`.
        classes: K.
        size: S, side of the view.
        start: load the starting weights that the config names; False where a checkpoint follows.

    Raises:
        ValueError: settings that do not fit each other, the view or the network.
    """
    if config.host == "scapnet":
        return build_model(config, classes, size, start)
    if config.host not in ("nts", "rra"):
        raise ValueError(f"host {config.host!r} is unknown; use scapnet, nts or rra")
    if classes < 2:
        raise ValueError(f"a classifier needs at least 2 classes, {classes} were given")
    if not config.parts:
        raise ValueError(f"host {config.host} is made for its parts; switch parts on, or use host scapnet")
    if config.part_size < 8:
        raise ValueError(f"a part of {config.part_size} px is too small for a network; use at least 8")
    if config.mask not in ("stage3", "stage4", "none"):
        raise ValueError(f"mask {config.mask!r} is unknown; use stage3, stage4 or none")
    if config.part_classifier != "shared":
        raise ValueError(f"host {config.host} has its own classifiers; leave part_classifier at shared")
    return (build_nts if config.host == "nts" else build_rra)(config, classes, size, start)


def title(config: ModelConfig) -> str:
    """What a config's network is called.

    >>> title(ModelConfig(host="nts"))
    'PRM + NTS-Net'
    """
    if config.host == "nts":
        return "PRM + NTS-Net" if config.relation else "NTS-Net"
    if config.host == "rra":
        return "gGAU + RRA" if config.gate else "RRA"
    return "SCAPNet"
