"""SCAPNet in a Lightning module: Lightning's loop, the network and loss of `scapnet`, and a model folder at the end.

python lightning_module.py photos     # photos/train/CLASS/*.jpg and photos/val/CLASS/*.jpg
"""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning
import torch
from torch.utils.data import DataLoader

import scapnet
from scapnet.build import view_of
from scapnet.data.transforms import EvalViews, TrainViews


class LitSCAPNet(lightning.LightningModule):
    """The network of a config, trained by Eq. 15."""

    def __init__(self, config: scapnet.Config, classes: tuple[str, ...]) -> None:
        super().__init__()
        self.config = config
        self.model = scapnet.build_model(config.model, len(classes), config.data.size)
        self.model.classes, self.model.view = classes, view_of(config, self.model)
        self.loss = self.model.make_loss(config.loss)

    def training_step(self, batch: dict[str, Any], _: int) -> torch.Tensor:
        """Log every term; their weighted sum is what trains."""
        terms = self.loss(self.model(batch["image"], batch.get("source"), batch["index"]), batch["target"])
        self.log_dict({f"train/{name}": term.detach() for name, term in terms.items()})
        return terms["loss"]

    def validation_step(self, batch: dict[str, Any], _: int) -> None:
        """Log the accuracy of both branches together."""
        answer = self.model(batch["image"], batch.get("source"), batch["index"]).probs.argmax(1)
        self.log("val/accuracy", (answer == batch["target"]).float().mean(), prog_bar=True, batch_size=len(answer))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """SGD, as in the paper."""
        return torch.optim.SGD(self.parameters(), lr=self.config.train.lr, momentum=0.9)


def main(config: scapnet.Config, out: Path, **trainer: Any) -> Path:
    """Train on the folders of a config; returns the model folder, for `scapnet predict` and `from_pretrained`."""
    splits = scapnet.load_data(config.data)
    module = LitSCAPNet(config, tuple(splits.train.classes))
    view, size = module.model.view, config.train.batch_size
    train = DataLoader(TrainViews(splits.train, view, config.data, seed=0), size, shuffle=True)
    val = DataLoader(EvalViews(splits.val, view), size)
    lightning.Trainer(gradient_clip_val=config.train.clip or None, **trainer).fit(module, train, val)
    return scapnet.save_pretrained(module.model, out)


if __name__ == "__main__":
    preset = scapnet.get_preset("photos")
    main(replace(preset, data=replace(preset.data, root=Path(sys.argv[1]))), Path("lit-model"), max_epochs=24)
