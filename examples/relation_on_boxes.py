"""PRM on boxes of your own: parts that a detector or a person marked, related by what they show and where they lie.

python relation_on_boxes.py photo.jpg 40,30,160,150 100,80,220,200 20,120,90,210     # x0,y0,x1,y1 in pixels
"""

import sys

import torch
from PIL import Image
from torch import Tensor, nn
from torchvision import models
from torchvision.ops import box_convert
from torchvision.transforms.functional import to_tensor

from scapnet.modules import PartRelation, crop_parts, relation_weights


class BoxClassifier(nn.Module):
    """A backbone from crops (B*M, 3, S, S) to features (B*M, D), PRM over the boxes, and a vote for each box."""

    def __init__(self, backbone: nn.Module, dim: int, num_classes: int, crop: int = 96) -> None:
        super().__init__()
        self.backbone, self.crop = backbone, crop
        self.relation = PartRelation(dim)
        self.classifier = nn.Linear(dim, num_classes)

    def features(self, images: Tensor, boxes: Tensor) -> Tensor:
        """Images (B, 3, H, W) and boxes (B, M, 4) cxcywh in [0, 1] to features (B, M, D)."""
        return self.backbone(crop_parts(images, boxes, self.crop)).unflatten(0, boxes.shape[:2])

    def forward(self, images: Tensor, boxes: Tensor) -> Tensor:
        """The same to logits (B, K), the mean over the boxes."""
        return self.classifier(self.relation(self.features(images, boxes), boxes)).mean(1)

    def weights(self, images: Tensor, boxes: Tensor) -> Tensor:
        """(B, heads, M, M): how much each box takes from each other one, Eq. 11; rows sum to 1."""
        appearance = self.relation.appearance(self.features(images, boxes))
        return relation_weights(appearance, self.relation.geometry(boxes))


def main(photo: str, *corners: str) -> Tensor:
    """Print how the boxes of a photo are related, here by an untrained network."""
    with Image.open(photo) as opened:
        image = to_tensor(opened.convert("RGB"))[None]  # (1, 3, H, W)
    height, width = image.shape[-2:]
    pixels = torch.tensor([[float(edge) for edge in box.split(",")] for box in corners])
    boxes = box_convert(pixels, "xyxy", "cxcywh")[None] / torch.tensor([width, height, width, height])
    resnet = models.resnet18(weights=None)  # "DEFAULT" downloads torchvision's weights
    dim, resnet.fc = resnet.fc.in_features, nn.Identity()
    model = BoxClassifier(resnet, dim, num_classes=2).eval()
    with torch.no_grad():
        print("logits", model(image, boxes)[0].tolist())
        found = model.weights(image, boxes)[0, 0]
    for box, row in zip(corners, found.tolist(), strict=True):
        print(f"box {box} takes", ", ".join(f"{share:.0%}" for share in row))
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
