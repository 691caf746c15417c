"""Class activation maps.

B batch, D channels of the last map, H' W' its size.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from scapnet.backbones.cnn import evaluation_mode
from scapnet.hooks import last_maps
from scapnet.network import Network, NetworkOutput, as_module
from scapnet.predict import run_model


class Activation(NamedTuple):
    """The evidence of each place of an image for the predicted class."""

    cam: Tensor  # (B, H', W') on the CPU; negative values speak against the class
    output: NetworkOutput  # of the same forward pass


def activation(model: Network, images: list[Tensor]) -> Activation:
    """Class activation map of the predicted class, from the main branch's last map.

    Each channel is weighted by the sum of its gradient (Grad-CAM, Selvaraju et al., 2017). After an average pool and a
    linear classifier this is the classifier's weight, and the map is the CAM of Zhou et al. (2016) that Fig. 8 shows;
    the map also exists for networks with more layers after the pool.

    Args:
        model: a network with its ``view``.
        images: (3, H, W) uint8 each, of any size.

    Raises:
        ValueError: the network does not end in a feature map, as some vision transformers.
    """
    with evaluation_mode(as_module(model)):
        with last_maps(model) as maps:
            output, _ = run_model(model, images, range(len(images)))
        if maps[0].dim() != 4:
            raise ValueError(
                f"{model.config.backbone} ends in features of shape {tuple(maps[0].shape)}; CAM needs (B, D, H, W)"
            )
        with torch.enable_grad():
            last = maps[0].clone().requires_grad_()  # (B, D, H', W')
            logits = model.classifier(model.backbone.pool(last))
            predicted = logits.gather(1, output.probs.argmax(1, keepdim=True).clone())  # (B, 1)
            gradient = torch.autograd.grad(predicted.sum(), last)[0]
    cam = (gradient.sum((2, 3), keepdim=True) * last.detach()).sum(1)
    return Activation(cam.float().cpu(), output)
