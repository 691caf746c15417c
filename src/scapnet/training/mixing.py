"""Mixup (Zhang et al., ICLR 2018) and CutMix (Yun et al., ICCV 2019) of a batch, alike for the view and its source.

B batch, K classes, S side of the view, S' side of the source.
"""

import torch
from torch import Tensor
from torch.distributions import Beta
from torch.nn import functional as F

from scapnet.data.transforms import Views

IMAGES = ("image", "source")


def mix(batch: Views, num_classes: int, mixup: float = 0.0, cutmix: float = 0.0) -> tuple[Views, Tensor]:
    """Mix each image of a batch with another one, and their labels in proportion.

    All chance is torch's own generator's.

    Args:
        batch: "image" (B, 3, S, S), "source" (B, 3, S', S') where there is one, and "target" (B,).
        num_classes: K.
        mixup: alpha of the Beta distribution of the weights; 0 does not mix so.
        cutmix: alpha of the Beta distribution of the areas; 0 does not cut. With both, each batch gets one of the two.

    Returns:
        The mixed images by their names, and soft targets (B, K) whose rows sum to 1.
    """
    images = {key: batch[key] for key in IMAGES if key in batch}
    target = F.one_hot(batch["target"], num_classes).float()
    other = torch.randperm(len(target)).to(target.device)
    cuts = bool(cutmix) and (not mixup or float(torch.rand(())) < 0.5)
    alpha = cutmix if cuts else mixup
    share = float(Beta(alpha, alpha).sample())  # of an image itself
    if cuts:
        centre = torch.rand(2)
        pasted = {key: paste(value, value[other], share, centre) for key, value in images.items()}
        images, share = {key: value for key, (value, _) in pasted.items()}, pasted["image"][1]
    else:
        images = {key: share * value + (1 - share) * value[other] for key, value in images.items()}
    return images, share * target + (1 - share) * target[other]


def paste(images: Tensor, others: Tensor, share: float, centre: Tensor) -> tuple[Tensor, float]:
    """Paste a rectangle of other images into images (B, C, H, W), at the same place of both.

    Args:
        images: into which.
        others: from which, of the same shape.
        share: what is to be kept of each image's area.
        centre: (2,) x and y of the rectangle in [0, 1]; it is cut off at the border.

    Returns:
        The images, and the share that was kept.
    """
    height, width = images.shape[-2:]
    half, sides = (1 - share) ** 0.5 / 2, ((float(centre[0]), width), (float(centre[1]), height))
    (x0, x1), (y0, y1) = ((round(max(c - half, 0) * n), round(min(c + half, 1) * n)) for c, n in sides)
    images = images.clone()
    images[..., y0:y1, x0:x1] = others[..., y0:y1, x0:x1]
    return images, 1 - (y1 - y0) * (x1 - x0) / (height * width)
