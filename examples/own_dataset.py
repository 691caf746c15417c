"""SCAPNet with your own Dataset: anything that gives (PIL image, label), a plain loop, and a model for `scapnet`.

python own_dataset.py photos model     # here torchvision's ImageFolder stands for your Dataset
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

import scapnet


class Views(Dataset[tuple[torch.Tensor, int]]):
    """Training views of your Dataset, normalised as `scapnet predict` will normalise photos."""

    def __init__(self, data: Sequence[tuple[Any, int]], view: scapnet.ViewConfig) -> None:
        crop = [v2.PILToTensor(), v2.Resize(view.resize, antialias=True), v2.RandomCrop(view.size)]
        scale = [v2.RandomHorizontalFlip(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(view.mean, view.std)]
        self.data, self.transform = data, v2.Compose([*crop, *scale])

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        image, label = self.data[index]
        return self.transform(image), label


def main(
    photos: str, out: str, backbone: str = "resnet50", weights: str = "pretrained", size: int = 448, epochs: int = 24
) -> None:
    """Train and save."""
    data = ImageFolder(photos)
    gate, parts = scapnet.GateConfig(mask="stage4", open=1.5), scapnet.PartsConfig(keep=(0, 3, 2, 1), size=size // 2)
    model = scapnet.build_model(scapnet.ModelConfig(backbone, weights, gate=gate, parts=parts), len(data.classes), size)
    model.view, model.classes = scapnet.ViewConfig(size, size * 8 // 7), tuple(data.classes)
    loss = scapnet.SCAPNetLoss(act=0.05, con=0.1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    for epoch in range(epochs):
        model.set_stage(1 if epoch < epochs // 4 else 2)  # the main branch first, then the parts (Sec. IV-C)
        for images, labels in DataLoader(Views(data, model.view), 8, shuffle=True, drop_last=True):
            terms = loss(model.train()(images), labels)
            optimizer.zero_grad()
            terms["loss"].backward()
            for group in model.clip_groups():  # each branch by itself, or the parts starve the main branch
                torch.nn.utils.clip_grad_norm_(group, 10)
            optimizer.step()
        print(f"epoch {epoch}: loss {terms['loss'].item():.3f}")
    scapnet.save_pretrained(model, Path(out))


if __name__ == "__main__":
    main(*sys.argv[1:])
