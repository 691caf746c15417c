"""Mixup (Zhang et al., ICLR 2018), CutMix (Yun et al., ICCV 2019) and SnapMix (Huang et al., AAAI 2021) of a batch.

The view and its source are mixed in the same way. B batch, K classes, S side of the view, S' side of the source.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Beta
from torch.nn import functional as F

from scapnet.backbones.cnn import evaluation_mode
from scapnet.cam import class_activation_maps
from scapnet.data.transforms import Views
from scapnet.network import Network, as_module

IMAGES = ("image", "source")


class Rectangle(NamedTuple):
    """A rectangle of an image, in [0, 1] of its sides."""

    x0: float
    y0: float
    x1: float
    y1: float

    def pixels(self, image: Tensor) -> tuple[slice, slice]:
        """The rows and columns of images (..., H, W) that it covers."""
        height, width = image.shape[-2:]
        rows = slice(round(self.y0 * height), round(self.y1 * height))
        return rows, slice(round(self.x0 * width), round(self.x1 * width))


def mix(
    batch: Views,
    num_classes: int,
    mixup: float = 0.0,
    cutmix: float = 0.0,
    snapmix: float = 0.0,
    maps: Callable[[], Tensor] | None = None,
) -> tuple[Views, Tensor]:
    """Mix each image of a batch with another one, and their labels in proportion.

    All randomness comes from torch's own generator.

    Args:
        batch: "image" (B, 3, S, S), "source" (B, 3, S', S') where there is one, and "target" (B,).
        num_classes: K.
        mixup: alpha of the Beta distribution of the weights; 0 switches mixup off.
        cutmix: alpha of the Beta distribution of the areas; 0 switches CutMix off.
        snapmix: alpha of the Beta distribution of the areas; 0 switches SnapMix off. If several are on, each batch
            gets one of them at random.
        maps: for SnapMix, gives the class maps of the batch; see `class_maps`.

    Returns:
        The mixed images by their names, and soft targets (B, K). Their rows sum to 1 but for SnapMix.
    """
    images = {key: batch[key] for key in IMAGES if key in batch}
    target = F.one_hot(batch["target"], num_classes).float()
    other = torch.randperm(len(target)).to(target.device)
    alphas = {name: a for name, a in (("cutmix", cutmix), ("mixup", mixup), ("snapmix", snapmix)) if a}
    chosen = int(torch.rand(()) * len(alphas)) if len(alphas) > 1 else 0
    name, alpha = list(alphas.items())[chosen]
    share = float(Beta(alpha, alpha).sample())  # of an image itself
    if name == "mixup":
        images = {key: share * value + (1 - share) * value[other] for key, value in images.items()}
        return images, share * target + (1 - share) * target[other]
    to = rectangle(share, torch.rand(2))
    if name == "cutmix":
        images = {key: paste(value, value[other], to, to) for key, value in images.items()}
        share = 1 - area(to, images["image"])
        return images, share * target + (1 - share) * target[other]
    assert maps is not None
    source = rectangle(float(Beta(alpha, alpha).sample()), torch.rand(2))
    content = semantic_percent(maps(), images["image"].shape[-1])  # (B, S, S)
    images = {key: paste(value, value[other], to, source) for key, value in images.items()}
    lost, gained = share_inside(content, to), share_inside(content[other], source)
    if not (area(to, content) and area(source, content)):  # nothing was pasted
        lost, gained = torch.zeros_like(lost), torch.zeros_like(gained)
    return images, (1 - lost)[:, None] * target + gained[:, None] * target[other]


def rectangle(share: float, centre: Tensor) -> Rectangle:
    """A rectangle around a centre (2,) x, y in [0, 1] with the area 1 - ``share``, before the border cuts it off."""
    half, (x, y) = (1 - share) ** 0.5 / 2, centre.tolist()
    return Rectangle(max(x - half, 0.0), max(y - half, 0.0), min(x + half, 1.0), min(y + half, 1.0))


def area(place: Rectangle, images: Tensor) -> float:
    """The share of the pixels of images (..., H, W) that a rectangle covers."""
    return images[..., *place.pixels(images)].shape[-2:].numel() / images.shape[-2:].numel()


def paste(images: Tensor, others: Tensor, to: Rectangle, source: Rectangle) -> Tensor:
    """Images (B, C, H, W) with a rectangle of other images pasted into a rectangle of theirs, resized to fit.

    Args:
        images: into which.
        others: from which, of the same shape.
        to: where it goes.
        source: where it comes from.
    """
    patch, (rows, columns) = others[..., *source.pixels(others)], to.pixels(images)
    size = [rows.stop - rows.start, columns.stop - columns.start]
    if not patch.numel() or not all(size):
        return images
    if list(patch.shape[-2:]) != size:
        patch = F.interpolate(patch, size=size, mode="bilinear", align_corners=False)
    images = images.clone()
    images[..., rows, columns] = patch
    return images


def check_maps(model: Network) -> None:
    """Refuse SnapMix for a network that has no class maps.

    Raises:
        ValueError: its main branch does not end in a map.
    """
    try:
        class_maps(model, torch.zeros(1, 3, model.view.size, model.view.size), torch.zeros(1, dtype=torch.long))
    except ValueError as error:
        raise ValueError(f"SnapMix needs class activation maps, but {error}; use mixup or CutMix") from error


@torch.no_grad()
def class_maps(model: Network, images: Tensor, target: Tensor) -> Tensor:
    """Class activation maps (B, H', W') of given classes, from the main branch in evaluation mode, without its gate.

    Args:
        model: a network whose main branch ends in a map.
        images: (B, 3, S, S).
        target: (B,) class indices.

    Raises:
        ValueError: the main branch does not end in a map.
    """
    with evaluation_mode(as_module(model)):
        return class_activation_maps(model, model.backbone.last_map(images), target)


def semantic_percent(maps: Tensor, size: int) -> Tensor:
    """Semantic percent maps (B, S, S) of SnapMix: class maps (B, H', W') at the image's size, from 0 up, with sum 1."""
    large = F.interpolate(maps[:, None], size=[size, size], mode="bilinear", align_corners=False)[:, 0]
    large = large - large.amin((1, 2), keepdim=True)
    total = large.sum((1, 2), keepdim=True)
    uniform = torch.full_like(large, 1 / size**2)  # a flat map says nothing of its places
    return torch.where(total > 0, large / total.clamp(min=1e-12), uniform)


def share_inside(content: Tensor, place: Rectangle) -> Tensor:
    """(B,) the sums of semantic percent maps (B, S, S) in a rectangle."""
    return content[..., *place.pixels(content)].sum((1, 2))
