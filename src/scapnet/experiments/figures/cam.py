"""Class activation maps.

B batch, H' W' size of the last map.
"""

from typing import NamedTuple

from torch import Tensor

from scapnet.backbones.cnn import evaluation_mode
from scapnet.cam import class_activation_maps, last_maps
from scapnet.network import Network, NetworkOutput, as_module
from scapnet.predict import run_model


class Activation(NamedTuple):
    """The evidence of each place of an image for the predicted class."""

    cam: Tensor  # (B, H', W') on the CPU; negative values speak against the class
    output: NetworkOutput  # of the same forward pass


def activation(model: Network, images: list[Tensor]) -> Activation:
    """Class activation map of the predicted class, as Fig. 8 shows it.

    Args:
        model: a network with its ``view``.
        images: (3, H, W) uint8 each, of any size.

    Raises:
        ValueError: see `scapnet.cam.class_activation_maps`.
    """
    with evaluation_mode(as_module(model)):
        with last_maps(model.backbone) as maps:
            output, _ = run_model(model, images, range(len(images)))
        return Activation(class_activation_maps(model, maps[0], output.probs.argmax(1)).cpu(), output)
