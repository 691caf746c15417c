"""Make the tiny vision transformer of this package: timm's test_vit2, taught by the tiny test_resnet on drawn larks.

    python benchmarks/tiny_vit.py --out runs/tiny-vit --store

The pictures are larks, as those of `scapnet train larks`, never finches, and each is also seen mirrored. The
transformer learns three things at once: the larks' classes, and, from its patch tokens, the CNN's maps of stage 3,
which has the same 8 x 8 places at 128 px, and of stage 4, one place for 2 x 2 tokens. From classes alone it would have
to find the marks first, which took the CNN 45,000 pictures. An interrupted run continues after its last epoch.
`--store` writes the weights into the package, in half precision.
"""

import argparse
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from scapnet.backbones.cnn import Backbone
from scapnet.backbones.factory import create
from scapnet.backbones.vit import TokenBackbone
from scapnet.config import ViewConfig
from scapnet.data.synthetic.finches import Finches
from scapnet.jsonfile import write_json

WEIGHTS = Path(__file__).parents[1] / "src" / "scapnet" / "weights"
SIZE, CLASSES, TEST = 128, 32, 1000
Scores = dict[str, float]


@dataclass(frozen=True)
class Options:
    """How long and how fast."""

    backbone: str = "test_vit2"
    pictures: int = 20_000
    epochs: int = 9
    batch: int = 64
    lr: float = 2e-3
    weight_decay: float = 0.05
    warmup: float = 0.05  # share of the steps
    seed: int = 0


class Said(NamedTuple):
    """What a network says of B pictures; a teacher says no classes."""

    middle: Tensor  # (B, C, H, W) the map of stage 3
    last: Tensor  # (B, D, H/2, W/2) the map of stage 4
    logits: Tensor | None = None  # (B, K)


class Pupil(nn.Module):
    """A transformer with three linear layers: for the classes, and for the two maps of its teacher."""

    def __init__(self, backbone: TokenBackbone, channels: int, dim: int) -> None:
        super().__init__()
        self.net, self.prefix = backbone.net, backbone.prefix
        self.classes = nn.Linear(backbone.dim, CLASSES)
        self.norm = nn.LayerNorm(backbone.channels)
        self.middle = nn.Linear(backbone.channels, channels)
        self.last = nn.Linear(backbone.channels, dim)

    def forward(self, images: Tensor) -> Said:
        """Images (B, 3, h, w) to what it says."""
        tokens = self.net.forward_features(images)  # type: ignore[operator]
        logits = self.classes(self.net.forward_head(tokens, pre_logits=True))  # type: ignore[operator]
        places = self.norm(tokens[:, self.prefix :])
        side = math.isqrt(places.shape[1])
        middle = self.middle(places).transpose(1, 2).unflatten(2, (side, side))
        last = self.last(F.avg_pool2d(places.transpose(1, 2).unflatten(2, (side, side)), 2).movedim(1, 3))
        return Said(middle, last.movedim(3, 1), logits)


def normalised(images: Tensor) -> Tensor:
    """Pictures (B, 3, h, w) in uint8 as the network sees them."""
    config = ViewConfig()
    mean, std = (torch.tensor(values)[:, None, None] for values in (config.mean, config.std))
    return (images.float() / 255 - mean) / std


def draw(split: str, count: int, folder: Path) -> tuple[Tensor, Tensor]:
    """Larks as in the preset `larks`: pictures (n, 3, 128, 128) uint8 and labels (n,), drawn once."""
    data, file = Finches(split, CLASSES, count, SIZE, 0, "lark", 1.3, 0.05), folder / f"{split}-{count}.pt"
    if not file.exists():
        images = torch.stack([data[i].image for i in range(count)])
        torch.save(images, file)
    return torch.load(file, weights_only=True), torch.tensor(data.labels)


@torch.no_grad()
def ask(teacher: Backbone, images: Tensor) -> Said:
    """The teacher's maps of pictures (n, 3, h, w), in half precision; their logarithm, because few values are large."""
    middle, last = [], []
    for rows in torch.split(images, 100):
        found = teacher.head(normalised(rows).contiguous(memory_format=torch.channels_last))
        middle.append(found.log1p().half())
        last.append(teacher.tail(found).log1p().half())
    return Said(torch.cat(middle), torch.cat(last))


def standards(said: Said) -> list[tuple[Tensor, Tensor]]:
    """Mean and standard deviation of each channel of the two maps."""
    maps = said.middle[:1000].float(), said.last[:1000].float()
    return [(x.mean((0, 2, 3), keepdim=True), x.std((0, 2, 3), keepdim=True).clamp(min=1e-3)) for x in maps]


def losses(said: Said, labels: Tensor, taught: Said, scales: list[tuple[Tensor, Tensor]]) -> Tensor:
    """(3,) cross-entropy, and the mean squared errors of both maps, 1 for the mean of each channel."""
    assert said.logits is not None
    pairs = zip((said.middle, said.last), (taught.middle, taught.last), scales, strict=True)
    errors = [F.mse_loss(found, (wanted.float() - mean) / std) for found, wanted, (mean, std) in pairs]
    return torch.stack([F.cross_entropy(said.logits, labels), *errors])


@torch.no_grad()
def score(pupil: Pupil, teacher: Backbone, scales: list[tuple[Tensor, Tensor]], test: tuple[Tensor, Tensor]) -> Scores:
    """On pictures that were not used for training."""
    pupil.eval()
    total, right = torch.zeros(3), 0
    for images, labels in zip(*(torch.split(one, 100) for one in test), strict=True):
        said = pupil(normalised(images))
        total += losses(said, labels, ask(teacher, images), scales) * len(images)
        right += int((said.logits.argmax(1) == labels).sum())
    pupil.train()
    names, count = ("cross_entropy", "middle_error", "last_error"), len(test[0])
    return {"accuracy": right / count, **dict(zip(names, (total / count).tolist(), strict=True))}


def optimizer_of(pupil: Pupil, options: Options) -> torch.optim.AdamW:
    """AdamW that decays matrices only."""
    matrices, rest = ([p for p in pupil.parameters() if (p.dim() > 1) == wanted] for wanted in (True, False))
    decay = options.weight_decay
    groups = [{"params": matrices, "weight_decay": decay}, {"params": rest, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, options.lr, fused=True)


def begin(net: nn.Module, images: Tensor) -> None:
    """Initialise a transformer for short training.

    Patches are projected on their principal components, of variance 1, and positions are sines of the place, so that
    it does not start with the brightness alone and without neighbours.
    """
    own: Any = net
    for name, parameter in net.named_parameters():
        if name.endswith((".ls1.gamma", ".ls2.gamma")):
            nn.init.ones_(parameter)  # timm's 1e-5 is meant for far longer training
        elif name.startswith("blocks.") and parameter.dim() == 2:
            nn.init.xavier_uniform_(parameter)
    projection = own.patch_embed.proj
    dim, _, patch, _ = projection.weight.shape
    patches = F.unfold(normalised(images), patch, stride=patch).transpose(1, 2).flatten(0, 1)  # (n, 3 patch^2)
    mean = patches.mean(0)
    values, vectors = torch.linalg.eigh((patches - mean).T @ (patches - mean) / len(patches))
    weight = (vectors / (values + 0.1).sqrt()).T.flip(0)[:dim]
    side, steps = SIZE // patch, 20 ** -(torch.arange(dim // 4) / (dim // 4))
    y, x = (place.flatten()[:, None] * steps for place in torch.meshgrid(2 * [torch.arange(side)], indexing="ij"))
    with torch.no_grad():
        projection.weight.copy_(weight.reshape(projection.weight.shape))
        projection.bias.copy_(-weight @ mean)
        own.pos_embed[:, -side * side :] = torch.cat([x.sin(), x.cos(), y.sin(), y.cos()], 1) / 2


def train(options: Options, folder: Path) -> tuple[Pupil, list[Scores]]:
    """Train or continue; the pupil and its scores after each epoch."""
    torch.manual_seed(options.seed)
    images, labels = draw("train", options.pictures, folder)
    test = draw("test", min(TEST, options.pictures), folder)
    cnn = create("test_resnet", "tiny", SIZE).eval().to(memory_format=torch.channels_last)
    vit = create(options.backbone, "none", SIZE)
    if not isinstance(vit, TokenBackbone):
        raise SystemExit(f"{options.backbone} is no vision transformer")
    begin(vit.net, images[:1500])
    pupil = Pupil(vit, cnn.channels, cnn.dim)
    optimizer, file = optimizer_of(pupil, options), folder / "checkpoint.pt"
    scores: list[Scores] = []
    if file.exists():
        state = torch.load(file, weights_only=True)
        if state["options"] != asdict(options):
            raise SystemExit(f"{folder} holds a run with other options; choose another folder")
        pupil.load_state_dict(state["pupil"])
        optimizer.load_state_dict(state["optimizer"])
        scores = state["scores"]
        torch.manual_seed(options.seed + len(scores))
    if len(scores) == options.epochs:
        return pupil, scores
    taught = [ask(cnn, images), ask(cnn, images.flip(-1))]  # as they are, and mirrored
    scales, steps = standards(taught[0]), math.ceil(len(images) / options.batch)
    for epoch in range(len(scores), options.epochs):
        started, total = time.process_time(), torch.zeros(3)
        for i, rows in enumerate(torch.split(torch.randperm(len(images)), options.batch)):
            done = (epoch + i / steps) / options.epochs
            for group in optimizer.param_groups:
                group["lr"] = options.lr * min(1.0, done / options.warmup) * (1 + math.cos(math.pi * done)) / 2
            mirror = int(torch.randint(2, ()))
            view = normalised(images[rows])
            said = pupil(view.flip(-1) if mirror else view)
            terms = losses(said, labels[rows], Said(taught[mirror].middle[rows], taught[mirror].last[rows]), scales)
            optimizer.zero_grad()
            terms.sum().backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(pupil.parameters(), 1.0)
            optimizer.step()
            total += terms.detach()
        means = [round(value, 3) for value in (total / steps).tolist()]
        scores.append({**score(pupil, cnn, scales, test), "cpu_seconds": round(time.process_time() - started, 1)})
        print(f"epoch {epoch + 1} of {options.epochs}: in training {means}, then {scores[-1]}", flush=True)
        state = {"pupil": pupil.state_dict(), "optimizer": optimizer.state_dict()}
        torch.save({**state, "scores": scores, "options": asdict(options)}, file.with_suffix(".part"))
        file.with_suffix(".part").replace(file)
    return pupil, scores


def store(pupil: Pupil, name: str) -> None:
    """Write the weights into the package, and say how much half precision changes what the tokens say."""
    target, images = WEIGHTS / f"{name}.safetensors", torch.randn(8, 3, SIZE, SIZE)
    pupil.eval()
    with torch.no_grad():
        before = pupil(images).middle
        weights = {key: value.half() for key, value in pupil.net.state_dict().items()}
        save_file(weights, target, {"network": name, "learned_from": "drawn larks"})
        pupil.net.load_state_dict({key: value.float() for key, value in weights.items()})
        moved = (pupil(images).middle - before).norm() / before.norm()
    print(f"{target.name}: {target.stat().st_size / 1e6:.2f} MB, maps changed by {float(moved):.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/tiny-vit"), help="folder of pictures and checkpoint")
    parser.add_argument("--store", action="store_true", help="write the weights into the package")
    for name, value in asdict(Options()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    given = vars(parser.parse_args())
    folder, keep = given.pop("out"), given.pop("store")
    options = Options(**given)
    folder.mkdir(parents=True, exist_ok=True)
    pupil, scores = train(options, folder)
    write_json(folder / "scores.json", {"options": asdict(options), "scores": scores})
    if keep:
        store(pupil, options.backbone)


if __name__ == "__main__":
    main()
