"""Where a network saw its answer: class activation maps, and photos under them.

B batch, D channels of the last map, H' W' its size.
"""

from typing import NamedTuple

import torch
from PIL import Image, ImageColor
from torch import Tensor
from torch.nn import functional as F

from scapnet.backbones.cnn import evaluation_mode
from scapnet.data.images import to_photo
from scapnet.experiments.hooks import last_maps
from scapnet.network import Network, NetworkOutput, as_module
from scapnet.predict import run_model

# Every sixteenth colour of matplotlib's inferno, whose steps look equal.
INFERNO = (
    *("#000004", "#0b0724", "#210c4a", "#3d0965", "#57106e", "#71196e", "#8a226a", "#a32c61", "#bc3754"),
    *("#d24644", "#e45a31", "#f1731d", "#f98e09", "#fcac11", "#f9cb35", "#f2ea69", "#fcffa4"),
)


class Activation(NamedTuple):
    """Where a network saw its answer."""

    cam: Tensor  # (B, H', W') on the CPU; negative where a place speaks against the class
    output: NetworkOutput  # of the same run


def activation(model: Network, images: list[Tensor]) -> Activation:
    """Class activation map of the predicted class, from the main branch's last map.

    The channels are weighted by their gradients' sums (Grad-CAM, Selvaraju et al., 2017). Behind an average pool and a
    linear classifier these are the classifier's weights, and the map is the CAM of Zhou et al. (2016) that Fig. 8
    shows; networks that have more layers behind their pool get theirs all the same.

    Args:
        model: with its ``view``.
        images: (3, H, W) uint8 each, of any size.

    Raises:
        ValueError: the network has no last map, as a plain vision transformer has none.
    """
    with evaluation_mode(as_module(model)):
        with last_maps(model) as maps:
            output, _ = run_model(model, images, range(len(images)))
        if maps[0].dim() != 4:
            raise ValueError(f"{model.config.backbone} ends in {tuple(maps[0].shape)}, which is no map; CAM needs one")
        with torch.enable_grad():
            last = maps[0].clone().requires_grad_()  # (B, D, H', W')
            logits = model.classifier(model.backbone.pool(last))
            said = logits.gather(1, output.probs.argmax(1, keepdim=True).clone())  # (B, 1)
            gradient = torch.autograd.grad(said.sum(), last)[0]
    cam = (gradient.sum((2, 3), keepdim=True) * last.detach()).sum(1)
    return Activation(cam.float().cpu(), output)


def heat(tile: Image.Image, cam: Tensor) -> Image.Image:
    """A tile in grey under a map (h, w) in colours from its least to its greatest value."""
    size = (tile.height, tile.width)
    smooth = F.interpolate(cam[None, None], size=size, mode="bilinear", align_corners=False)[0, 0]
    level = (smooth - cam.min()) / (cam.max() - cam.min()).clamp(min=1e-12)
    colour = palette()[(level.clamp(0, 1) * 255).round().long()]  # (h, w, 3)
    return Image.blend(tile.convert("L").convert("RGB"), to_photo(colour.permute(2, 0, 1)), 0.6)


def palette() -> Tensor:
    """The colours (256, 3) uint8 from least to greatest."""
    anchors = torch.tensor([ImageColor.getrgb(colour) for colour in INFERNO], dtype=torch.float32)
    table = F.interpolate(anchors.T[None], size=256, mode="linear", align_corners=True)[0].T
    return table.round().to(torch.uint8)
