"""Backbones by timm's names, with their starting weights."""

from importlib import resources
from typing import Any

import timm

from scapnet.backbones.cnn import Backbone
from scapnet.backbones.vit import TokenBackbone, is_vit
from scapnet.backbones.weights import load_weights, network_name, weight_file
from scapnet.config import ModelConfig
from scapnet.errors import reason
from scapnet.terminal.hints import option

TINY = resources.files("scapnet") / "weights"  # a file for each network that has weights in this package
SUFFIX = ".safetensors"


def create(name: str, weights: str, size: int, cut: bool = True, block: int = 0) -> Backbone:
    """A timm network by name, without its classifier.

    Args:
        name: a name that `timm.create_model` accepts.
        weights: "pretrained" for timm's own, "none", "tiny" for the weights in this package (for test_resnet and
            test_vit2), or a file, run folder, model folder or hub id that holds weights.
        size: side of its input in pixels.
        cut: see `Backbone`.
        block: see `TokenBackbone`.

    Raises:
        ValueError: the network is unknown or cannot be cut, or the weights are of another network.
    """
    if not name.startswith("hf-hub:") and not timm.is_model(name.split(".")[0]):
        near = timm.list_models(f"*{name.split('.')[0].split('_')[0]}*")[:4]
        hint = f"; similar names are {', '.join(near)}" if near else ""
        raise ValueError(f"timm has no network named {name}{hint}; see timm.list_models()")
    if weights == "tiny":
        _check_tiny(name)
    try:
        config = timm.get_pretrained_cfg(name, allow_unregistered=True)
        sized: dict[str, Any] = {"img_size": size} if config is not None and config.fixed_input_size else {}
        net = timm.create_model(name, pretrained=weights == "pretrained", num_classes=0, **sized)
    except Exception as error:  # the hub client and timm raise many kinds of errors
        if weights != "pretrained":
            raise ValueError(f"timm cannot create {name} ({reason(error)})") from error
        raise ValueError(
            f"timm's weights for {name} cannot be downloaded ({type(error).__name__}); "
            f"name a file with {option('model.weights')} FILE, or use none to train from scratch"
        ) from error
    loaded = None
    if weights == "tiny":
        with resources.as_file(TINY / f"{name.split('.')[0]}{SUFFIX}") as path:
            load_weights(net, path)
    elif weights not in ("pretrained", "none"):
        loaded = load_weights(net, weight_file(weights))
    backbone = TokenBackbone(net, size, block) if cut and is_vit(net) else Backbone(net, size, cut)
    backbone.loaded = loaded
    return backbone


def _check_tiny(name: str) -> None:
    """Refuse a network that has no weights in this package.

    Raises:
        ValueError: it names those that have.
    """
    known = sorted(file.name.removesuffix(SUFFIX) for file in TINY.iterdir() if file.name.endswith(SUFFIX))
    if name.split(".")[0] not in known:
        raise ValueError(
            f"this package has tiny weights for {' and '.join(known)}, not for {name}; give it pretrained, none or a "
            f"file with {option('model.weights')}, or choose one of those with {option('model.backbone')}"
        )


def check_tokens(backbone: Backbone, config: ModelConfig, size: int) -> None:
    """Refuse settings that a vision transformer cannot have.

    Raises:
        ValueError: a mask of stage 4, or a sub-network that shares weights with another size of image.
    """
    if not isinstance(backbone, TokenBackbone):
        return
    name = network_name(backbone.net)
    if config.gate.mask == "stage4":
        raise ValueError(f"{name} has tokens and no stage 4; use {option('model.gate.mask')} stage3, or none")
    if config.parts.enabled and config.parts.shared and config.parts.size != size:
        raise ValueError(
            f"{name} takes images of {size} px only, so it cannot be shared with parts of {config.parts.size} px; use "
            f"{option('model.parts.size')} {size}, or a sub-network of its own"
        )
