"""Features of a frozen backbone, computed once and kept in the user's cache.

n photos, D feature size.
"""

import json
import os
from dataclasses import asdict
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.utils.data import DataLoader

from scapnet.backbones.cnn import evaluation_mode
from scapnet.config import DataConfig
from scapnet.data.sample import FineGrained
from scapnet.data.transforms import EvalViews
from scapnet.network import Network, as_module, device_of
from scapnet.tensorfile import save_tensors
from scapnet.terminal.console import ProgressBar


class Features(NamedTuple):
    """The features of the readable photos of a split, in order."""

    features: Tensor  # (n, D) float32
    labels: Tensor  # (n,)
    samples: Tensor  # (n,) their indices in the split


def features_of(
    model: Network, data: FineGrained, split: str, settings: DataConfig, workers: int, bar: ProgressBar
) -> Features:
    """The main branch's features of a split's centre views, from the cache if they are there.

    Args:
        model: with its ``view``; its backbone is frozen.
        data: the split.
        split: its name.
        settings: of the data.
        workers: loader processes.
        bar: shows how many photos are done.
    """
    path = cache_folder() / f"{key_of(model, data, split, settings)}.safetensors"
    if path.exists():
        found = load_file(path)
        if len(data) >= len(found["labels"]) > 0:
            bar.note(f"{split}: features of {len(found['labels'])} photos are in {path.parent}")
            return Features(found["features"].float(), found["labels"], found["samples"])
    made = compute(model, data, split, workers, bar)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}")
    save_tensors(made._asdict(), draft)
    draft.replace(path)
    return made


def cache_folder() -> Path:
    """Where features are kept: below XDG_CACHE_HOME or ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "scapnet" / "features"


def key_of(model: Network, data: FineGrained, split: str, settings: DataConfig) -> str:
    """A name that changes with the backbone, its weights, the view, the data's settings, and the photos and labels."""
    photos = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in getattr(data, "paths", ())]
    labels = [int(label) for label in data.labels]
    about = [model.config.backbone, asdict(model.view), split, asdict(settings), photos, labels]
    content = blake2b(json.dumps(about, default=str).encode(), digest_size=16)
    for name, tensor in sorted(as_module(model).get_submodule("backbone").state_dict().items()):
        content.update(name.encode() + tensor.cpu().contiguous().view(-1).numpy().tobytes())
    return content.hexdigest()


@torch.no_grad()
def compute(model: Network, data: FineGrained, split: str, workers: int, bar: ProgressBar) -> Features:
    """Run the backbone over a split."""
    loader = DataLoader(EvalViews(data, model.view), 32, num_workers=workers)
    bar.start(f"features of {len(data)} {split} photos", len(data))
    rows, labels, samples = list[Tensor](), list[Tensor](), list[Tensor]()
    with evaluation_mode(as_module(model)):
        for batch in loader:
            good = ~batch["broken"]
            rows.append(model.backbone(batch["image"].to(device_of(model))).float().cpu()[good])
            labels.append(batch["target"][good])
            samples.append(batch["index"][good])
            bar.advance(len(good))
    return Features(torch.cat(rows), torch.cat(labels), torch.cat(samples))
