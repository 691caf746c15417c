"""Make the tiny backbone of this package: timm's test_resnet, trained on drawn larks, not on finches.

    scapnet train larks --out runs/larks
    python benchmarks/tiny_backbone.py runs/larks

The first command trains it. The second stores its weights in half precision (0.9 MB) and prints how much this
changes the features.
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

import scapnet
from scapnet.backbones.weights import load_weights

TARGET = Path(__file__).parents[1] / "src" / "scapnet" / "weights" / "test_resnet.safetensors"


def main(run: str) -> None:
    model = scapnet.from_pretrained(run)
    images = torch.randn(8, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = model.backbone(images)
    weights = {
        key: value.half() if value.is_floating_point() else value
        for key, value in model.backbone.net.state_dict().items()
    }
    TARGET.parent.mkdir(exist_ok=True)
    save_file(weights, TARGET, {"network": model.config.backbone, "learned_from": "drawn larks"})
    load_weights(model.backbone.net, TARGET)
    with torch.no_grad():
        moved = (model.backbone(images) - before).norm() / before.norm()
    print(f"{TARGET.name}: {TARGET.stat().st_size / 1e6:.2f} MB, features changed by {float(moved):.1e}")


if __name__ == "__main__":
    main(*sys.argv[1:])
