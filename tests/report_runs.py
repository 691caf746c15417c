"""Run folders for the tests of reports, with hostile names and networks that nobody trained."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from samples import TINY, model_with
from scapnet.build import build_model
from scapnet.checkpoint import save_pretrained
from scapnet.config import Config, DataConfig, ModelConfig, ViewConfig
from scapnet.data.record import write_record
from scapnet.data.recorded import data_of_run
from scapnet.jsonfile import write_json
from scapnet.serialization import to_dict

HALF_OPEN = model_with(TINY.model, gate__open=0.0)
PLAIN = model_with(TINY.model, network="plain")

# Each is a name that a folder can have.
HOSTILE = ("<script>alert(1)<", "a\"b'c&d", "\u202egnp.exe", "\u0637\u0627\u0626\u0631", "{{ 7*7 }}", "plain_bird")
LOG = (
    '{"epoch": 0, "step": 2, "cls": 1.5, "loss": 1.5, "accuracy": 0.25, "kept": 0.9}\n'
    '{"epoch": 0, "split": "val", "accuracy": 0.5, "accuracy_main": 0.25, "accuracy_parts": 0.5}\n'
    '{"epoch": 1, "step": 2, "cls": 1.0, "loss": 1.0, "accuracy": 0.5, "kept": 0.8}\n{"epoch": 1, "st'
)


def paint(root: Path, classes: tuple[str, ...], count: int, seed: int) -> None:
    """Pictures of smooth noise, whose names are hostile, too."""
    random = torch.Generator().manual_seed(seed)
    for k, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for i in range(count):
            pixels = torch.rand(3, 6, 6, generator=random) + torch.linspace(0, 1, len(classes))[k]
            image = (pixels * 127).clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()
            Image.fromarray(image).resize((80, 80)).save(root / name / f'{seed}_{i}"><img src=x onerror=alert(2)>.png')


def make_run(home: Path, model: ModelConfig = HALF_OPEN, classes: tuple[str, ...] = HOSTILE, test: bool = True) -> Path:
    """A run folder as training leaves it, but for the training."""
    photos = home / "photos"
    for seed, split in enumerate(("train", "val", "test") if test else ("train", "val")):
        paint(photos / split, classes, 3, seed)
    config: Config = replace(TINY, model=model, data=DataConfig("folder", photos, size=64, resize=72, workers=0))
    splits, record, _ = data_of_run(config.data, None)
    torch.manual_seed(0)
    network: Any = build_model(config.model, len(classes), 64)
    network.view, network.classes = ViewConfig(64, 72), tuple(splits.train.classes)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "classifier" in name:
                parameter.mul_(20)
    folder = home / "run"
    folder.mkdir()
    write_json(folder / "config.json", to_dict(config))
    (folder / "log.jsonl").write_text(LOG)
    write_record(folder, record)
    save_pretrained(network, folder / "model")
    return folder
