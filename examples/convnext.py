"""SCAPNet on a ConvNeXt: what it costs beside its backbone, one step of training, and a model folder.

python convnext.py convnext_tiny pretrained     # any timm backbone; "none" starts from random weights
"""

import sys
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

import scapnet
from scapnet.config import GateConfig, ModelConfig, PartsConfig


def gmacs(model: torch.nn.Module, images: Tensor) -> float:
    """Billions of multiply-adds for one image."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(images[:1])
    return counter.get_total_flops() / 2e9


def main(backbone: str, weights: str, out: str = "convnext-model", size: int = 224, part_size: int = 128) -> None:
    """Build both networks, print what they cost, and train the larger one for a step."""
    config = ModelConfig(
        backbone,
        weights,
        gate=GateConfig(mask="stage4", open=1.5),  # the mask of the preset `photos`: on stage 4's output
        parts=PartsConfig(keep=(0, 3, 2, 1), size=part_size, shared=True),  # one backbone for the view and the parts
    )
    images, labels = torch.randn(4, 3, size, size), torch.tensor([0, 1, 2, 0])  # normalised views, from your loader
    plain = scapnet.build_model(replace(config, network="plain"), num_classes=3, size=size)
    model = scapnet.build_model(config, num_classes=3, size=size)
    print(f"{backbone}: {gmacs(plain, images):.2f} GMACs; with six parts: {gmacs(model, images):.2f} GMACs")

    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-5, weight_decay=0.05)
    terms = scapnet.SCAPNetLoss(act=0.05, con=0.1)(model.train()(images), labels)
    optimizer.zero_grad()
    terms["loss"].backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 10)
    optimizer.step()
    print("terms of the loss:", {name: round(term.item(), 3) for name, term in terms.items()})

    model.view, model.classes = scapnet.ViewConfig(size, size * 8 // 7), ("crow", "jay", "rook")
    print("saved in", scapnet.save_pretrained(model, Path(out)))


if __name__ == "__main__":
    main(*sys.argv[1:])
