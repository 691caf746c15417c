"""A network's last feature maps, and class activation maps from them.

B batch, D channels of the last map, H' W' its size, K classes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from scapnet.backbones.cnn import Backbone
from scapnet.network import Network


@contextmanager
def last_maps(backbone: Backbone, as_leaves: bool = False) -> Iterator[list[Tensor]]:
    """Collect the last maps (B, D, H', W'), masked where the gate masks, in the order in which they are pooled.

    Of a network's main branch, the image's map is the first; parts that share its weights add one of their own. The
    network is unchanged afterwards.

    Args:
        backbone: of either branch.
        as_leaves: cut each map off from what it was computed from, so that the rest of the network can be
            differentiated by it.
    """
    net, found = backbone.net, list[Tensor]()
    forward_head: Any = net.forward_head

    # No module returns this map, so no forward hook sees it: the halves of a cut network are methods. Both the cut and
    # the whole network end in forward_head.
    def collect(features: Tensor, *arguments: Any, **options: Any) -> Any:
        features = features.detach().requires_grad_() if as_leaves else features
        found.append(features.permute(0, 3, 1, 2) if backbone.channels_last else features)
        return forward_head(
            found[-1].permute(0, 2, 3, 1) if backbone.channels_last else features, *arguments, **options
        )

    net.forward_head = collect  # type: ignore[assignment]
    try:
        yield found
    finally:
        del net.forward_head


def class_activation_maps(model: Network, last: Tensor, classes: Tensor) -> Tensor:
    """Class activation maps (B, H', W') of the main branch in its present mode; negative values speak against a class.

    Each channel is weighted by the sum of its gradient (Grad-CAM, Selvaraju et al., ICCV 2017). After an average pool
    and a linear classifier this is the classifier's weight, as in CAM (Zhou et al., CVPR 2016, Fig. 8 of the paper);
    the map also exists for networks with more layers after the pool.

    Args:
        model: a network.
        last: (B, D, H', W') its last map.
        classes: (B,) indices.

    Raises:
        ValueError: the main branch does not end in a map, as in some vision transformers.
    """
    if last.dim() != 4:
        raise ValueError(
            f"{model.config.backbone} ends in features of shape {tuple(last.shape)}; CAM needs (B, D, H, W)"
        )
    with torch.inference_mode(False), torch.enable_grad():
        leaf = last.detach().clone().requires_grad_()
        logits = model.classifier(model.backbone.pool(leaf))  # (B, K)
        chosen = logits.gather(1, classes[:, None].to(logits.device))
        gradient = torch.autograd.grad(chosen.sum(), leaf)[0]
    return (gradient.sum((2, 3), keepdim=True) * leaf.detach()).sum(1).float()
