"""gGAU in a torchvision ResNet: a gate between layer3 and layer4, trained on a folder of photos.

python gate_in_resnet.py photos --arch resnet50 --weights DEFAULT --epochs 10     # photos/CLASS/*.jpg
"""

import argparse

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torchvision import models, transforms
from torchvision.datasets import ImageFolder

from scapnet.losses import activation_loss
from scapnet.modules import GateOutput, GridGate


class GatedResNet(nn.Module):
    """A ResNet whose stage 4 sees only the units of a 4 x 4 grid that the gate keeps."""

    def __init__(self, resnet: models.ResNet, num_classes: int) -> None:
        super().__init__()
        stem = resnet.conv1, resnet.bn1, resnet.relu, resnet.maxpool
        self.head = nn.Sequential(*stem, resnet.layer1, resnet.layer2, resnet.layer3)
        self.gate = GridGate(resnet.layer4[0].conv1.in_channels, grid=4, open=1.5)  # open: all units are kept at first
        self.tail = resnet.layer4
        self.classifier = nn.Linear(resnet.fc.in_features, num_classes)

    def forward(self, images: Tensor) -> tuple[Tensor, GateOutput]:
        """Images (B, 3, H, W) to logits (B, K), and what the gate kept."""
        kept = self.gate(self.head(images))
        return self.classifier(self.tail(kept.features).mean((2, 3))), kept


def main(arguments: list[str] | None = None) -> None:
    """Train; prints the loss and how much the gate keeps."""
    parser = argparse.ArgumentParser()
    parser.add_argument("photos")
    parser.add_argument("--arch", default="resnet50")
    parser.add_argument("--weights", help="DEFAULT downloads torchvision's weights")
    parser.add_argument("--size", type=int, default=224, help="at least 64: a cell of the map for each unit")
    parser.add_argument("--epochs", type=int, default=1)
    args = parser.parse_args(arguments)
    steps = transforms.RandomResizedCrop(args.size, (0.5, 1)), transforms.RandomHorizontalFlip(), transforms.ToTensor()
    data = ImageFolder(args.photos, transforms.Compose(steps))
    model = GatedResNet(models.get_model(args.arch, weights=args.weights), len(data.classes)).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    for epoch in range(args.epochs):
        for images, labels in DataLoader(data, 8, shuffle=True, drop_last=True):
            logits, kept = model(images)
            loss = F.cross_entropy(logits, labels) + 0.2 * activation_loss(kept.mask)  # Eq. 2 closes the gate
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch}: loss {loss.item():.3f}, kept {kept.mask.mean().item():.0%} of the grid")


if __name__ == "__main__":
    main()
