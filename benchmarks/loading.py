"""Reading and augmenting photos on one core, compared with a plain torchvision pipeline; memory; loader processes.

    python benchmarks/loading.py GROCERY        # the folder of the Grocery Store data set; writes results/loading.*

Speed is CPU time of one thread in one process. The pipelines alternate; ratios are computed within each repeat, and
their minimum, median and maximum are reported.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from PIL import Image
from torch import Tensor
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as tv

from scapnet.config import DataConfig, ViewConfig
from scapnet.data.augment import TrainView
from scapnet.data.files import Listing, find_photos
from scapnet.data.images import read_image, to_photo
from scapnet.data.loaders import cores_here, train_loader
from scapnet.data.photos import PhotoList
from scapnet.data.transforms import TrainViews, to_input

RESULTS = Path(__file__).parents[1] / "results"
VIEW = ViewConfig()
BIG = 2000


def plain(folder: Path, rotation: v2.InterpolationMode) -> ImageFolder:
    steps = [
        v2.Resize(VIEW.resize),
        v2.RandomRotation(15, rotation),
        v2.RandomCrop(VIEW.size),
        v2.RandomHorizontalFlip(),
        v2.ToImage(),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize(VIEW.mean, VIEW.std),
    ]
    return ImageFolder(str(folder), v2.Compose(steps))


def ours(folder: Path, shorter: int | None = VIEW.resize) -> TrainViews:
    paths = list(find_photos(folder, Listing()))
    data = PhotoList(paths, [0] * len(paths), ("a",))
    data.shorter = shorter
    return TrainViews(data, VIEW, DataConfig("folder"), 0)


def fill(folder: Path, photos: list[Path], side: int | None) -> Path:
    """Copies of photos, or JPEGs of them enlarged to a given shorter side."""
    (folder / "photos").mkdir(parents=True)
    for i, path in enumerate(photos):
        place = folder / "photos" / f"{i:04}.jpg"
        if side is None:
            place.write_bytes(path.read_bytes())
            continue
        with Image.open(path) as photo:
            tv.resize(photo.convert("RGB"), [side], v2.InterpolationMode.BICUBIC).save(place, quality=90)
    return folder


def mosaic(photos: list[Path], across: int) -> Image.Image:
    """Photos side by side: large with fine detail, the hardest case for decoding at a reduced scale."""
    sheet = Image.new("RGB", (across * 348, across * 348))
    for i in range(across**2):
        with Image.open(photos[i % len(photos)]) as photo:
            sheet.paste(photo.convert("RGB").resize((348, 348)), (i % across * 348, i // across * 348))
    return sheet


def cpu_time(get: Callable[[int], Any], count: int) -> float:
    start = time.process_time()
    for i in range(count):
        get(i)
    return (time.process_time() - start) / count


def speeds(folder: Path, repeats: int) -> dict[str, Any]:
    """Images per second of one core, and the speed-up of ours over each of the others."""
    nearest, bilinear = v2.InterpolationMode.NEAREST, v2.InterpolationMode.BILINEAR
    sets = {
        "ours": ours(folder),
        "plain": plain(folder, nearest),
        "plain, bilinear": plain(folder, bilinear),
    }
    count = len(sets["ours"])
    for data in sets.values():
        cpu_time(data.__getitem__, min(8, count))
    times: dict[str, list[float]] = {name: [] for name in sets}
    for _ in range(repeats):
        for name, data in sets.items():
            times[name].append(cpu_time(data.__getitem__, count))
    ratios = {name: [t / o for t, o in zip(times[name], times["ours"], strict=True)] for name in sets}
    return {
        name: {
            "images_per_second": round(1 / statistics.median(times[name]), 1),
            "ours_is_times_as_fast": [round(f(ratios[name]), 2) for f in (min, statistics.median, max)],
        }
        for name in sets
    }


def differences(photos: list[Path], folder: Path) -> dict[str, Any]:
    """Differences between a view decoded at a reduced scale and the exact one, in levels of 255."""
    found: dict[str, Any] = {}
    draw = {f"enlarged to {BIG}": None, "mosaic of 6 x 6": 6, "mosaic of 12 x 12": 12}
    for name, across in draw.items():
        apart = []
        for i in range(6):
            path = folder / "x.jpg"
            chosen = photos[i * 36 :] + photos
            picture = mosaic(chosen, across) if across else to_photo(read_image(chosen[0])).resize((BIG, BIG), 3)
            picture.save(path, quality=90)
            for shorter in (300, 512):
                views = [tv.resize(read_image(path, s), [shorter], antialias=True).int() for s in (None, shorter)]
                apart.append((views[0] - views[1]).abs())
        found[name] = {
            "mean": round(max(float(a.float().mean()) for a in apart), 2),
            "max": max(int(a.max()) for a in apart),
        }
    return found


def memory(folder: Path, count: int) -> float:
    """Peak MB after some batches from a list of ``count`` (repeated) photos, in this process."""
    paths = list(find_photos(folder, Listing()))
    data = PhotoList([paths[i % len(paths)] for i in range(count)], [0] * count, ("a",))
    batches = iter(train_loader(data, VIEW, DataConfig("folder"), 8, 0, 0)[0])
    for _ in range(30):
        next(batches)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def peak(folder: Path, count: int) -> float:
    command = [sys.executable, __file__, str(folder), "--memory", str(count)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def workers(folder: Path, counts: tuple[int, ...], repeats: int) -> dict[str, Any]:
    """Wall-clock images per second of training a small network on one thread, by the number of loader processes."""
    paths = list(find_photos(folder, Listing()))
    data = PhotoList(paths, [0] * len(paths), ("a",))
    net = timm.create_model("test_resnet", num_classes=4)
    loaders = {n: train_loader(data, VIEW, DataConfig("folder"), 8, 0, n)[0] for n in counts}
    found: dict[int, list[float]] = {n: [] for n in counts}
    for repeat in range(repeats + 1):
        for n, loader in loaders.items():
            start, images = time.perf_counter(), 0
            for batch in loader:
                net(batch["image"][..., ::2, ::2]).square().mean().backward()
                images += len(batch["target"])
            if repeat:  # the first repeat starts the processes
                found[n].append(images / (time.perf_counter() - start))
    ratios = {n: [a / b for a, b in zip(found[n], found[counts[0]], strict=True)] for n in counts}
    return {
        str(n): {
            "images_per_second": round(statistics.median(found[n]), 1),
            "times_as_fast": [round(f(ratios[n]), 2) for f in (min, statistics.median, max)],
        }
        for n in counts
    }


def augmented(view: TrainView, images: list[Tensor], i: int) -> dict[str, Tensor]:
    return to_input(view(images[i]), VIEW)


def presets(photos: list[Path]) -> dict[str, float]:
    """Milliseconds per image of each augmentation, without reading."""
    images = [read_image(path) for path in photos[:48]]
    views = {name: TrainView(VIEW, name) for name in ("paper", "fgvc", "strong")}
    found: dict[str, list[float]] = {name: [] for name in views}
    for _ in range(5):
        for name, view in views.items():
            found[name].append(cpu_time(partial(augmented, view, images), len(images)))
    return {name: round(1000 * statistics.median(times), 2) for name, times in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("root", type=Path)
    parser.add_argument("--memory", type=int)
    parser.add_argument("--photos", type=int, default=96)
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.memory:
        print(memory(options.root, options.memory))
        return
    every = list(find_photos(options.root / "train", Listing()))
    photos = [every[i] for i in np.linspace(0, len(every) - 1, options.photos).astype(int)]
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as place:
        small, big = fill(Path(place, "small"), photos, None), fill(Path(place, "big"), photos[:32], BIG)
        figures["348 px"] = speeds(small, options.repeats)
        figures[f"{BIG} px"] = speeds(big, options.repeats)
        figures["levels of 255 between a view from fewer pixels and the exact one"] = differences(photos, Path(place))
        figures["peak MB by the number of photos"] = {str(n): round(peak(small, n), 1) for n in (300, 10_000, 100_000)}
        figures["milliseconds of a preset"] = presets(photos)
        figures[f"loader processes on {cores_here()} cores"] = workers(small, (0, 1, 2), options.repeats)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "loading.json").write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
