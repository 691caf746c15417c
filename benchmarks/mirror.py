"""Whether gate and parts follow the content of a photo or fixed places, tested on photos and their mirror images.

    python benchmarks/mirror.py RUN [RUN ...] --out results/mirror

A gate that follows the content gives the mirrored mask for the mirrored photo; one that prefers places gives the same
mask. The agreement with another photo's mask shows how much any two masks agree. For hard gates whose grid divides the
map, and for parts chosen by score.

B photos, N grid, M parts.
"""

import argparse
import json
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.transforms.functional import hflip

from scapnet.checkpoint import from_pretrained, read_run
from scapnet.data.broken import readable_samples
from scapnet.data.load import load_data
from scapnet.data.sample import FineGrained
from scapnet.experiments.environment import environment
from scapnet.metrics.gate import intraclass_correlation
from scapnet.model import SCAPNet
from scapnet.predict import run_model

AGREES = ("mirrored mask", "same mask", "another's mask", "mirrored parts", "same parts", "another's parts")
HEADERS = ("run", "photos", "kept", "by place", *AGREES)


class Choice(NamedTuple):
    """A network's masks and parts."""

    mask: Tensor  # (B, N, N)
    boxes: Tensor  # (B, M, 4) cxcywh; M is 0 without parts


def choose(model: SCAPNet, images: list[Tensor]) -> Choice:
    """Run a network on photos (3, H, W) uint8.

    Raises:
        ValueError: its gate is soft, or the units of its grid differ in size, so that they have no mirror image.
    """
    masks, boxes = [], []
    for start in range(0, len(images), 32):
        batch = images[start : start + 32]
        output, _ = run_model(model, batch, range(start, start + len(batch)))
        gate = output.gate
        if (
            gate is None
            or gate.features.shape[-1] % gate.mask.shape[-1]
            or not ((gate.mask == 0) | (gate.mask == 1)).all()
        ):
            raise ValueError("pass runs with a hard gate whose grid divides the map")
        masks.append(gate.mask.float())
        boxes.append(output.parts.boxes if output.parts is not None else torch.zeros(len(batch), 0, 4))
    return Choice(torch.cat(masks), torch.cat(boxes))


def shared(boxes: Tensor, other: Tensor) -> float:
    """The share of boxes (B, M, 4) that another photo also has (B, M, 4)."""
    return float(torch.isclose(boxes.unsqueeze(2), other.unsqueeze(1), atol=1e-4).all(-1).any(2).float().mean())


def compare(model: SCAPNet, images: list[Tensor]) -> dict[str, float | None]:
    """Agreement of the choices for mirrored photos (3, H, W) uint8 with the mirrored and with the same choices."""
    photo, mirror = choose(model, images), choose(model, [hflip(image) for image in images])
    turned = photo.boxes.clone()
    turned[..., 0] = 1 - turned[..., 0]
    parts = photo.boxes.shape[1] > 0
    return {
        "photos": len(images),
        "kept": float(photo.mask.mean()),
        "by place": float(intraclass_correlation(photo.mask)),
        "mirrored mask": float((photo.mask.flip(-1) == mirror.mask).float().mean()),
        "same mask": float((photo.mask == mirror.mask).float().mean()),
        "another's mask": float((photo.mask == photo.mask.roll(1, 0)).float().mean()),
        "mirrored parts": shared(turned, mirror.boxes) if parts else None,
        "same parts": shared(photo.boxes, mirror.boxes) if parts else None,
        "another's parts": shared(photo.boxes, photo.boxes.roll(1, 0)) if parts else None,
    }


def photos(data: FineGrained, count: int) -> list[Tensor]:
    """Photos (3, H, W) uint8 of a split in a fixed random order, because neighbours in its own order share a class."""
    wanted = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))[:count].tolist()
    return [sample.image for sample in readable_samples(data, wanted)[0]]


def _scapnet(run: Path) -> SCAPNet:
    model = from_pretrained(run)
    assert isinstance(model, SCAPNet), "pass runs of SCAPNet"
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--photos", type=int, default=500)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = {}
    head = environment("python benchmarks/mirror.py " + " ".join(map(str, options.runs)))
    for run in options.runs:
        splits = load_data(read_run(run).data)
        held_out = splits.test or splits.val
        assert held_out is not None
        rows[f"{run.parent.name} {run.name}"] = compare(_scapnet(run), photos(held_out, options.photos))
        text = json.dumps(head | {"rows": rows}, indent=1) + "\n"
        options.out.with_suffix(".json").write_text(text, encoding="utf-8")
        print("| " + " | ".join(HEADERS) + " |\n" + "|---" * len(HEADERS) + "|")
        for name, row in rows.items():
            cells = [str(row["photos"])] + ["-" if (v := row[header]) is None else f"{v:.0%}" for header in HEADERS[2:]]
            print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
