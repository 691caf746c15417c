"""Damaged and hostile files, by the thousand: each must be read, or be refused with one sentence.

    python benchmarks/fuzz.py --out results/fuzz

A good file of each kind is damaged at random (bytes cut, flipped, overwritten, moved; values of JSON exchanged;
whole files swapped) and then read as the package reads it, in a forked process of its own. A case fails if it ends in
anything but success or a ValueError or OSError (which the command line prints as one sentence), takes more than 5
seconds of the processor or 1 GB of memory on top of what the process has when it begins, runs a program, opens a
connection, or changes a file of what it refused. ``tests/test_fuzz.py`` runs a few cases of each kind.
"""

import argparse
import io
import json
import os
import pickle
import random
import resource
import shutil
import signal
import sys
import tarfile
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image

from scapnet.backbones.weights import read_weights
from scapnet.build import build_model
from scapnet.checkpoint import from_pretrained, save_pretrained
from scapnet.config import Config, DataConfig, LossConfig, ModelConfig, PartsConfig, TrainConfig, ViewConfig
from scapnet.data.inputs import load_photo
from scapnet.data.load import load_data
from scapnet.data.unpack import unpack
from scapnet.errors import last_line
from scapnet.evaluate import score_run
from scapnet.experiments.environment import environment
from scapnet.predict import predict_photo
from scapnet.terminal.console import printable
from scapnet.terminal.faults import machine_fault
from scapnet.training.train import resume, train

SECONDS, MEMORY, WALL = 5.0, 1_000_000, 60.0  # kB
FORBIDDEN = ("os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "socket.connect", "socket.getaddrinfo")

Rng = random.Random


class Kind(NamedTuple):
    """A kind of input.

    Args:
        build: writes a good one into a folder, where everything is its own.
        harm: damages it, and says how.
        work: reads it.
    """

    build: Callable[[Path], None]
    harm: Callable[[Path, Rng], str]
    work: Callable[[Path], None]


# --- Damage ---


def harm_bytes(content: bytes, rng: Rng, other: bytes = b"") -> tuple[bytes, str]:
    """Bytes with random damage, and its name."""
    data, size = bytearray(content), max(1, len(content))
    at, length = rng.randrange(size), rng.choice([1, 4, 64, 1024])
    if rng.random() < 0.5:
        at = rng.randrange(min(size, 512))  # heads decide more than pixels do
    how = rng.choice(["cut", "empty", "flip", "zeros", "ones", "noise", "gap", "twice", "number", "other", "tail"])
    if how == "cut":
        del data[at:]
    elif how == "empty":
        data = bytearray()
    elif how == "flip":
        for _ in range(rng.choice([1, 8, 64])):
            if data:
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif how in ("zeros", "ones"):
        data[at : at + length] = (b"\0" if how == "zeros" else b"\xff") * min(length, size - at)
    elif how == "noise":
        data[at : at + length] = rng.randbytes(min(length, size - at))
    elif how == "gap":
        del data[at : at + length]
    elif how == "twice":
        data[at:at] = data[at : at + length]
    elif how == "number":  # a length or a size
        value = rng.choice([0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 0x10000, rng.getrandbits(32)])
        data[at : at + 4] = value.to_bytes(4, rng.choice(["little", "big"]))
    elif how == "other":
        data = bytearray(other or rng.randbytes(100))
    else:
        data += rng.randbytes(length)
    return bytes(data), how


def harm_file(path: Path, rng: Rng, other: bytes = b"") -> str:
    """Damage a file."""
    content, how = harm_bytes(path.read_bytes(), rng, other)
    path.write_bytes(content)
    return how


def deep(levels: int) -> Any:
    """Lists in lists."""
    found: Any = []
    for _ in range(levels):
        found = [found]
    return found


WEIRD: list[Callable[[Rng], Any]] = [
    lambda rng: None,
    lambda rng: True,
    lambda rng: rng.choice([0, -1, 1, 2, 7, 10**6, 10**9, 2**63, 10**30]),
    lambda rng: rng.choice([0.5, -1.0, 1e-9, 1e308, float("nan"), float("inf")]),
    lambda rng: rng.choice(["", "x" * 100_000, "../../../etc/passwd", "\x1b[2J[/b]\n", "hf-hub:a/b", "none"]),
    lambda rng: rng.choice(["resnet50", "vit_giant_patch14_clip_224", "test_vit", "hard", "plain", "crop"]),
    lambda rng: [],
    lambda rng: {},
    lambda rng: ["a"] * rng.choice([1, 3, 1000]),
    lambda rng: [rng.choice([0, 1, 10**6])] * rng.choice([1, 3, 100]),
    lambda rng: deep(500),
    lambda rng: {"a": {"b": [1, None]}},
]


def harm_json(value: Any, rng: Rng) -> Any:
    """A JSON value with one of its values exchanged, taken away or repeated."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = rng.choice(list(value))
        if rng.random() < 0.1:
            return {k: v for k, v in value.items() if k != key}
        return value | {key: harm_json(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.6:
        at = rng.randrange(len(value))
        if rng.random() < 0.2:
            return value * rng.choice([0, 2, 1000])
        return [*value[:at], harm_json(value[at], rng), *value[at + 1 :]]
    return rng.choice(WEIRD)(rng)


# --- The kinds ---


def picture(rng: Rng, side: int = 40) -> Image.Image:
    """A photo of noise."""
    pixels = np.random.default_rng(rng.randrange(1000)).integers(0, 255, (side, side + 8, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def build_image(folder: Path) -> None:
    """A photo of a random format and mode."""
    rng = Rng(folder.name)
    photo, exif = picture(rng), Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a description"
    forms: list[tuple[str, str, dict[str, Any]]] = [
        ("a.jpg", "RGB", {"exif": exif}),
        ("a.jpg", "RGB", {"progressive": True}),
        ("a.jpg", "CMYK", {}),
        ("a.jpg", "L", {}),
        ("a.png", "RGB", {"exif": exif}),
        ("a.png", "P", {}),
        ("a.png", "RGBA", {}),
        ("a.png", "I;16", {}),
        ("a.gif", "P", {}),
        ("a.bmp", "RGB", {}),
        ("a.tif", "RGB", {"exif": exif}),
        ("a.tif", "RGB", {"compression": "tiff_lzw"}),
        ("a.tif", "RGB", {"compression": "jpeg"}),
        ("a.tif", "F", {"compression": "tiff_deflate"}),
        ("a.webp", "RGB", {"exif": exif}),
        ("a.ppm", "RGB", {}),
        ("a.tga", "RGB", {"compression": "tga_rle"}),
        ("a.jp2", "RGB", {}),
        ("a.ico", "RGBA", {}),
        ("a.avif", "RGB", {}),
    ]
    name, mode, options = rng.choice(forms)
    if mode in ("I;16", "F"):
        photo = Image.fromarray(np.asarray(photo)[..., 0].astype(np.uint16 if mode == "I;16" else np.float32))
    else:
        photo = photo.convert(mode)
    photo.save(folder / name, **options)


def harm_image(folder: Path, rng: Rng) -> str:
    """Damage it, sometimes under another suffix."""
    (path,) = folder.iterdir()
    how = harm_file(path, rng, b"\xff\xd8\xff\xe0" + rng.randbytes(500))
    if rng.random() < 0.1:
        path.rename(path.with_suffix(rng.choice([".jpg", ".png", ".tif", ".webp"])))
    return f"{path.suffix} {how}"


def read_image(folder: Path) -> None:
    """Read it as every command does."""
    (path,) = folder.iterdir()
    assert load_photo(path).dtype == torch.uint8


def build_table(folder: Path) -> None:
    """Photos in a table of rows."""
    rng = Rng(folder.name)
    rows = ["path,label,split"]
    for i in range(12):
        (folder / f"{i}.png").write_bytes(b"")  # opened later, if at all
        rows.append(f"{i}.png,{'abc'[i % 3]},{('train', 'train', 'val', 'test')[i // 3]}")
    separator = rng.choice([",", ";", "\t"])
    (folder / "list.csv").write_text("\n".join(rows).replace(",", separator) + "\n", encoding="utf-8")


def harm_table(folder: Path, rng: Rng) -> str:
    """Damage bytes, or exchange a cell."""
    path = folder / "list.csv"
    if rng.random() < 0.5:
        return harm_file(path, rng)
    cells = [
        "",
        '"',
        "'",
        "../../../etc/passwd",
        "=1+1",
        "\x00",
        "nan",
        "-1",
        "é" * 1000,
        "a\nb",
        '"a',
        "0.png",
        "train",
    ]
    lines = path.read_text(encoding="utf-8").splitlines()
    at = rng.randrange(len(lines))
    lines[at] = ",".join(
        rng.choice([*lines[at].split(","), rng.choice(cells)]) for _ in range(rng.choice([1, 2, 3, 4]))
    )
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return "cell"


def read_table(folder: Path) -> None:
    """Read the splits."""
    load_data(DataConfig("csv", folder, table=folder / "list.csv"))


CUB = {
    "images.txt": "1 001.Red/a.jpg\n2 001.Red/b.jpg\n3 002.Blue/c.jpg\n4 002.Blue/d.jpg\n",
    "image_class_labels.txt": "1 1\n2 1\n3 2\n4 2\n",
    "train_test_split.txt": "1 1\n2 0\n3 1\n4 0\n",
    "bounding_boxes.txt": "1 0 0 8 8\n2 2 0 4 8\n3 0 1 8 2\n4 0.5 1 8 2\n",
    "classes.txt": "1 001.Red\n2 002.Blue\n",
    "parts/parts.txt": "1 back\n2 left eye\n",
    "parts/part_locs.txt": "3 1 2.0 5.0 1\n3 2 0.0 0.0 0\n2 1 4.5 1.0 1\n2 2 6.0 3.0 1\n",
}


def build_lists(folder: Path) -> None:
    """The lists of CUB-200-2011."""
    for name in ("001.Red/a.jpg", "001.Red/b.jpg", "002.Blue/c.jpg", "002.Blue/d.jpg"):
        path = folder / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (12, 10)).save(path)
    for name, text in CUB.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def harm_lists(folder: Path, rng: Rng) -> str:
    """Damage one of the lists, or exchange one of its words."""
    path = folder / rng.choice(list(CUB))
    if rng.random() < 0.5:
        return f"{path.name} {harm_file(path, rng)}"
    words = path.read_text(encoding="utf-8").split(" ")
    words[rng.randrange(len(words))] = rng.choice(
        ["", "0", "-1", "nan", "1e999", "9" * 5000, "../x", "é", "\x00", "1 1"]
    )
    path.write_text(" ".join(words), encoding="utf-8")
    return f"{path.name} word"


def read_lists(folder: Path) -> None:
    """Read the splits, and a sample with its marks."""
    splits = load_data(DataConfig("cub", folder))
    for data in (splits.train, splits.test):
        if data is not None:
            _ = data[0].marks


def tiny() -> Any:
    """A small network that was never trained."""
    torch.manual_seed(0)
    model = build_model(ModelConfig("test_resnet", "none", parts=PartsConfig(size=32)), 3, 64)
    model.view, model.classes = ViewConfig(64, 72, 96), ("a", "b", "c")
    return model


def build_model_folder(folder: Path) -> None:
    """A model folder."""
    save_pretrained(tiny(), folder / "model")


def harm_config(folder: Path, rng: Rng) -> str:
    """Damage the config of a model folder."""
    path = folder / "model" / "config.json"
    if rng.random() < 0.2:
        return harm_file(path, rng)
    content = json.loads(path.read_text(encoding="utf-8"))
    for _ in range(rng.choice([1, 1, 2, 5])):
        content = harm_json(content, rng)
    path.write_text(json.dumps(content), encoding="utf-8")
    return "values"


def harm_safetensors(folder: Path, rng: Rng) -> str:
    """Damage the weights of a model folder, or their header."""
    path = folder / "model" / "model.safetensors"
    if rng.random() < 0.4:
        return harm_file(path, rng)
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    if rng.random() < 0.2:
        path.write_bytes(rng.choice([0, 1, size * 2, 2**31, 2**63]).to_bytes(8, "little") + content[8:])
        return "header size"
    header = harm_json(json.loads(content[8 : 8 + size]), rng)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + size :])
    return "header"


def read_model(folder: Path) -> None:
    """Load the network and answer a photo."""
    model = from_pretrained(folder / "model")
    found = predict_photo(model, torch.zeros(3, 50, 60, dtype=torch.uint8))
    assert all(0 <= p <= 1 for p in found.probabilities), found.probabilities


class Shell:
    """What a hostile pickle holds."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> Any:
        return self.function, self.arguments


def build_pickle(folder: Path) -> None:
    """A state dict, in either format of PyTorch."""
    rng = Rng(folder.name)
    state = {f"layer{i}.weight": torch.randn(4, 4) for i in range(6)}
    content = rng.choice([state, {"state_dict": state, "epoch": 3}, {"model": state, "args": [1, "a"]}])
    torch.save(content, folder / "weights.pth", _use_new_zipfile_serialization=rng.random() < 0.7)


def harm_pickle(folder: Path, rng: Rng) -> str:
    """Damage it, or put something else in its place."""
    path = folder / "weights.pth"
    if rng.random() < 0.6:
        return harm_file(path, rng)
    call = [(os.system, "true"), (eval, "__import__('os').system('true')"), (exec, "import os; os.system('true')")]
    hostile = Shell(*rng.choice(call))
    how = rng.choice(["pickle", "saved", "nested", "old", "text", "deep", "array"])
    if how == "pickle":
        path.write_bytes(pickle.dumps(hostile))
    elif how in ("saved", "nested", "old"):
        content: Any = {"a": torch.ones(2), "b": hostile} if how == "nested" else hostile
        torch.save(content, path, _use_new_zipfile_serialization=how != "old")
    elif how == "text":
        path.write_text("weights", encoding="utf-8")
    elif how == "deep":
        torch.save({"a": deep(300)}, path)
    else:
        torch.save({"a": np.ones(3), "b": {"c": {"d": torch.ones(2)}}}, path)
    return how


def read_pickle(folder: Path) -> None:
    """Read the tensors."""
    read_weights(folder / "weights.pth")


def build_archive(folder: Path) -> None:
    """An archive of two photos."""
    rng = Rng(folder.name)
    kind = rng.choice(["zip", "tar", "tar.gz", "tar.xz", "tar.bz2"])
    (folder / "out").mkdir()
    (folder / "beside").write_text("beside", encoding="utf-8")
    if kind == "zip":
        with zipfile.ZipFile(folder / "archive", "w", zipfile.ZIP_DEFLATED) as pack:
            for name in ("a/1.txt", "a/2.txt"):
                pack.writestr(name, name * 300)
        return
    mode: Any = f"w:{kind[4:]}"
    with tarfile.open(folder / "archive", mode) as archive:
        for name in ("a/1.txt", "a/2.txt"):
            entry = tarfile.TarInfo(name)
            entry.size = 3000
            archive.addfile(entry, io.BytesIO(b"x" * 3000))


def harm_archive(folder: Path, rng: Rng) -> str:
    """Damage it, or write a hostile one."""
    path = folder / "archive"
    if rng.random() < 0.6:
        return harm_file(path, rng)
    name = rng.choice(
        ["../beside", "/tmp/../" + str(folder / "beside"), "a/../../beside", "..\\beside", "a\x00b", "C:\\x"]
    )
    if rng.random() < 0.4:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as pack:
            info = zipfile.ZipInfo(name)
            info.external_attr = rng.choice([0, 0o120777 << 16, 0o100755 << 16])
            pack.writestr(info, b"\0" * rng.choice([10, 20_000_000]), zipfile.ZIP_DEFLATED)
        return "hostile zip"
    with tarfile.open(path, "w:gz") as archive:
        kind = rng.choice([tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
        entry = tarfile.TarInfo(rng.choice([name, "a/link"]))
        entry.type, entry.linkname, entry.mode = kind, rng.choice([name, str(folder / "beside")]), 0o4777
        entry.size = rng.choice([10, 20_000_000]) if kind == tarfile.REGTYPE else 0
        archive.addfile(entry, io.BytesIO(b"\0" * entry.size))
        second = tarfile.TarInfo("a/link")
        second.size = 4
        archive.addfile(second, io.BytesIO(b"evil"))
    return "hostile tar"


def read_archive(folder: Path) -> None:
    """Unpack at most 10 MB."""
    unpack(folder / "archive", folder / "out", 10_000_000)


@dataclass
class Runs:
    """Two run folders that were trained once: one finished, and one that a kill has left before its end."""

    root: Path

    def __post_init__(self) -> None:
        rng = Rng(0)
        for split, count in (("train", 4), ("val", 2)):
            for name in "abc":
                (self.root / "photos" / split / name).mkdir(parents=True)
                for i in range(count):
                    picture(rng).save(self.root / "photos" / split / name / f"{i}.png")
        self.config = Config(
            "demo",
            DataConfig("folder", self.root / "photos", size=64, resize=72, workers=0, val_fraction=0.0),
            ModelConfig("test_resnet", "none", parts=PartsConfig(size=32)),
            LossConfig(act_ramp=(0.0, 1.0)),
            TrainConfig(epochs=2, batch_size=6, log_every=1, checkpoint_steps=1),
        )
        train(self.config, self.root / "done")
        shutil.copytree(self.root / "done", self.root / "begun")
        for name in ("results.json", "answers.safetensors", "model"):
            path = self.root / "begun" / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        self.expected = (self.root / "done" / "model" / "model.safetensors").read_bytes()

    def kind(self, name: str) -> Kind:
        """Damaged run folders, to be resumed or scored."""

        def build(folder: Path) -> None:
            shutil.copytree(self.root / name, folder / "run")

        def work(folder: Path) -> None:
            if name == "done":
                score_run(folder / "run", workers=0)
                return
            with redirect_stdout(io.StringIO()) as said:
                resume(folder / "run")
            same = (folder / "run" / "model" / "model.safetensors").read_bytes() == self.expected
            assert same or "not exact" in said.getvalue(), "another model, and nothing was said"

        return Kind(build, harm_run, work)


def harm_run(folder: Path, rng: Rng) -> str:
    """Damage, empty or remove a file of a run folder, or exchange values of its JSON."""
    files = sorted(path for path in (folder / "run").rglob("*") if path.is_file() and not path.name.startswith("."))
    path = rng.choice(files)
    name = str(path.relative_to(folder / "run"))
    if rng.random() < 0.15:
        path.unlink()
        return f"{name} removed"
    if path.suffix == ".json" and rng.random() < 0.6:
        content = harm_json(json.loads(path.read_text(encoding="utf-8")), rng)
        path.write_text(json.dumps(content), encoding="utf-8")
        return f"{name} values"
    return f"{name} {harm_file(path, rng, rng.choice(files).read_bytes())}"


LARGE: list[tuple[str, str, tuple[int, int], dict[str, Any]]] = [
    ("a.jpg", "RGB", (13_300, 13_300), {}),
    ("a.jpg", "RGB", (13_300, 13_300), {"progressive": True}),
    ("a.jpg", "RGB", (65_500, 2_700), {"orientation": 6}),
    ("a.jpg", "L", (7_700, 7_700), {"orientation": 6}),
    ("a.jpg", "CMYK", (7_700, 7_700), {}),
    ("a.png", "1", (7_700, 7_700), {}),
    ("a.png", "P", (7_700, 7_700), {}),
    ("a.png", "LA", (7_700, 7_700), {}),
    ("a.png", "RGB", (7_700, 7_700), {}),
    ("a.png", "RGBA", (7_700, 7_700), {}),
    ("a.png", "RGBA", (7_700, 7_700), {"orientation": 6}),
    ("a.png", "RGBA", (910, 65_500), {"orientation": 5}),
    ("a.png", "I;16", (7_700, 7_700), {"orientation": 6}),
    ("a.gif", "P", (7_700, 7_700), {}),
    ("a.bmp", "RGB", (7_700, 7_700), {}),
    ("a.tga", "RGBA", (7_700, 7_700), {"compression": "tga_rle"}),
    ("a.tif", "F", (7_700, 7_700), {"compression": "tiff_deflate"}),
    ("a.tif", "F", (7_700, 7_700), {"compression": "tiff_deflate", "orientation": 6}),
    ("a.tif", "I", (7_700, 7_700), {"compression": "tiff_deflate", "orientation": 6}),
    ("a.tif", "I;16", (65_500, 910), {"compression": "tiff_deflate"}),
    ("a.tif", "CMYK", (7_700, 7_700), {"compression": "tiff_deflate"}),
    ("a.tif", "LAB", (7_700, 7_700), {"compression": "tiff_deflate", "orientation": 6}),
    ("a.tif", "RGBA", (7_700, 7_700), {"compression": "tiff_lzw"}),
    ("a.tif", "YCbCr", (7_700, 7_700), {"compression": "jpeg"}),
    ("a.webp", "RGBA", (16_300, 3_600), {"lossless": True, "method": 0, "quality": 0}),
    ("a.webp", "RGB", (7_700, 7_700), {"method": 0}),
    ("a.jp2", "RGB", (7_700, 7_700), {}),
    ("a.avif", "RGB", (7_700, 7_700), {"speed": 10}),
]


def build_large(folder: Path) -> None:
    """A photo of a format and mode just within the limits of pixels, in the order of their numbers."""
    name, mode, size, options = LARGE[int(folder.name.rpartition("-")[2]) % len(LARGE)]
    options = dict(options)
    if orientation := options.pop("orientation", None):
        options["exif"] = Image.Exif()
        options["exif"][0x0112] = orientation
    photo = Image.new(mode, size)
    photo.save(folder / name, **options)


def harm_large(folder: Path, rng: Rng) -> str:
    """Sometimes cut it off at its end."""
    (path,) = folder.iterdir()
    with Image.open(path) as photo:
        how = f"{path.suffix} {photo.mode} {photo.width} x {photo.height}"
    if rng.random() < 0.2:
        path.write_bytes(path.read_bytes()[: -rng.choice([20, 2000])])
        how += ", cut"
    return how


KINDS = {
    "images": Kind(build_image, harm_image, read_image),
    "large images": Kind(build_large, harm_large, read_image),
    "tables": Kind(build_table, harm_table, read_table),
    "lists": Kind(build_lists, harm_lists, read_lists),
    "config.json": Kind(build_model_folder, harm_config, read_model),
    "safetensors": Kind(build_model_folder, harm_safetensors, read_model),
    "pth": Kind(build_pickle, harm_pickle, read_pickle),
    "archives": Kind(build_archive, harm_archive, read_archive),
}
COUNTS = {
    "images": 1500,
    "large images": 2 * len(LARGE),
    "tables": 800,
    "lists": 800,
    "config.json": 800,
    "safetensors": 500,
    "pth": 800,
}
COUNTS |= {"archives": 800, "runs to score": 150, "runs to resume": 250}


# --- One case ---


class Case(NamedTuple):
    """What became of a case."""

    outcome: str  # "read", "refused", or what is wrong
    detail: str
    seconds: float
    memory: int  # kB


def outcome_of(work: Callable[[Path], None], folder: Path) -> tuple[str, str]:
    """Read a case; whether it was read, refused with a sentence, or neither."""
    try:
        work(folder)
    except Exception as error:
        fault = machine_fault(error)
        if fault is None and not isinstance(error, ValueError | OSError):
            return "traceback", f"{type(error).__name__}: {error}"[:300]
        return "refused", fault or printable(last_line(error))[:300]
    return "read", ""


def contents(folder: Path, leave_out: tuple[str, ...] = ()) -> dict[str, bytes]:
    """The bytes of a folder's files."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink() and not str(path.relative_to(folder)).startswith(leave_out)
    }


def forbidden(event: str, arguments: tuple[Any, ...]) -> bool:
    """Whether an audit event is a program that runs, or a connection to the network; loaders have local ones."""
    return event in FORBIDDEN and not (event == "socket.connect" and isinstance(arguments[1], str))


def run_case(kind: Kind, folder: Path) -> Case:
    """Read a case in a forked process and look at what it did."""
    before = contents(folder)
    receive, send = os.pipe()
    child = os.fork()
    if not child:
        os.close(receive)
        broken, mine = list[str](), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # begins anew with a fork
        sys.addaudithook(lambda event, arguments: broken.append(event) if forbidden(event, arguments) else None)
        with Path(os.devnull).open("w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):
            os.dup2(nowhere.fileno(), 2)
            outcome, detail = outcome_of(kind.work, folder)
        outcome = "forbidden" if broken else outcome
        os.write(send, json.dumps([outcome, ", ".join(broken) or detail, mine]).encode())
        os._exit(0)
    os.close(send)
    signal.signal(signal.SIGALRM, lambda *_: os.kill(child, signal.SIGKILL))
    signal.setitimer(signal.ITIMER_REAL, WALL)
    said = b""
    while block := os.read(receive, 65536):
        said += block
    _, status, usage = os.wait4(child, 0)
    signal.setitimer(signal.ITIMER_REAL, 0)
    os.close(receive)
    outcome, detail, mine = json.loads(said) if said else ("crash", f"exit status {status}", 0)
    seconds, memory = usage.ru_utime + usage.ru_stime, usage.ru_maxrss - mine
    if seconds > SECONDS or os.WIFSIGNALED(status):
        outcome, detail = ("slow" if seconds > SECONDS else "crash"), f"{seconds:.1f} s, status {status}; {detail}"
    if memory > MEMORY:
        outcome, detail = "memory", f"{memory / 1e6:.1f} GB; {detail}"
    after = contents(folder, ("out/",))
    changed = [name for name in before if after.get(name) != before[name] and not name.startswith("out/")]
    new = set(after) - set(before)
    if outcome == "refused" and (changed or {name for name in new if not Path(name).name.startswith(".lock")}):
        outcome, detail = "damage", f"{[*changed, *new][:3]}; {detail}"
    return Case(outcome, detail, seconds, memory)


def fuzz(name: str, kind: Kind, count: int, seed: int, work: Path) -> dict[str, Any]:
    """Some cases of a kind."""
    outcomes, faults, slowest, largest = Counter[str](), list[str](), 0.0, 0
    started = time.monotonic()
    for number in range(count):
        folder = work / f"{name.replace(' ', '-')}-{seed}-{number}"
        folder.mkdir()
        kind.build(folder)
        how = kind.harm(folder, Rng(f"{name} {seed} {number}"))
        case = run_case(kind, folder)
        outcomes[case.outcome] += 1
        slowest, largest = max(slowest, case.seconds), max(largest, case.memory)
        if case.outcome not in ("read", "refused"):
            faults.append(f"{number} ({how}): {case.outcome}: {case.detail}")
            print(name, faults[-1], flush=True)
        shutil.rmtree(folder, ignore_errors=True)
    found = {"kind": name, "cases": count, "outcomes": dict(outcomes), "seconds": round(slowest, 2)}
    found |= {"memory_mb": round(largest / 1000), "faults": faults}
    print(json.dumps({**found, "faults": len(faults), "wall": round(time.monotonic() - started)}), flush=True)
    return found


def main() -> None:
    """Try all kinds and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("results/fuzz"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--share", type=float, default=1.0, help="of the usual number of cases")
    parser.add_argument("--kinds", nargs="*", default=list(COUNTS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        work, kinds = Path(name), dict(KINDS)
        if set(options.kinds) - set(KINDS):
            runs = Runs(work)
            kinds |= {"runs to score": runs.kind("done"), "runs to resume": runs.kind("begun")}
        for kind in options.kinds:
            rows.append(fuzz(kind, kinds[kind], round(COUNTS[kind] * options.share), options.seed, work))
    head = environment(f"python benchmarks/fuzz.py --seed {options.seed}")
    options.out.with_suffix(".json").write_text(json.dumps({**head, "rows": rows}, indent=2) + "\n", encoding="utf-8")
    lines = [
        "# Damaged and hostile files",
        "",
        f"`{head['command']}`, {head['hardware']}, commit {head['commit']}, torch {head['torch']}: files of each kind,",
        "damaged at random or hostile by design, each read in a process of its own. Wrong is a traceback, a crash,",
        "more than 5 seconds of the processor or 1 GB of memory, a program run, a connection opened, a file changed",
        "although the input was refused, or a resumed run with another model and no word about it. Memory counts from",
        "what a process has when it begins.",
        "",
        "| kind | cases | read | refused with a sentence | wrong | slowest, s | most memory, MB |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        outcomes = row["outcomes"]
        lines.append(
            f"| {row['kind']} | {row['cases']} | {outcomes.get('read', 0)} | {outcomes.get('refused', 0)} "
            f"| {len(row['faults'])} | {row['seconds']} | {row['memory_mb']} |"
        )
    faults = [f"- {row['kind']}, {printable(fault)}" for row in rows for fault in row["faults"]]
    lines += ["", *faults] if faults else []
    options.out.with_suffix(".md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
