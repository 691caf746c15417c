"""A model folder as an exported graph, which is kept in the user's cache."""

import json
import os
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Literal

import torch

from scapnet import __version__
from scapnet.checkpoint import from_pretrained, read_known
from scapnet.engine.base import Engine
from scapnet.engine.graph import GraphEngine
from scapnet.exported import SUFFIXES, open_graph
from scapnet.modelfile import read_model_config
from scapnet.terminal.console import make_console, say

EXPORTED = ("model", "view", "classes", "threshold")  # what of a config.json becomes part of a graph
MOST = 16  # graphs in the cache


def cached_file(folder: Path, suffix: str) -> Path:
    """Where the exported graph of a model folder is kept; the name changes with what the graph is made from."""
    about = read_model_config(folder)
    content = blake2b(json.dumps([about.get(key) for key in EXPORTED]).encode(), digest_size=12)
    content.update((folder / "model.safetensors").read_bytes())
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "scapnet" / "engines"
    return cache / f"{content.hexdigest()}-{__version__}{suffix}"


def exported_engine(
    format: Literal["onnx", "openvino"], folder: Path, device: torch.device | str | None, half: bool = False
) -> Engine:
    """A model folder in another runtime. It is exported once, into the user's cache.

    Args:
        format: whose runtime.
        folder: the model folder.
        device: "cpu" or None.
        half: see `open_graph`.

    Raises:
        ValueError: no model there, a device other than the processor, a missing library, or a network that cannot be
            exported.
    """
    check_place(format, device)
    file = cached_file(folder, SUFFIXES[format])
    if not file.exists():
        _announce(folder, format)
        from scapnet.export import export_model  # here: a graph that is in the cache is answered sooner without

        export_model(from_pretrained(folder), file, format, pixels="view")
    _used(file)
    return GraphEngine(open_graph(file, half=half), read_known(folder))


def int8_engine(format: Literal["onnx", "openvino"], folder: Path, device: torch.device | str | None) -> Engine:
    """A run's model with convolutions in 8-bit whole numbers, calibrated on its training photos; exported once.

    Raises:
        ValueError: as `exported_engine`; or no photos to calibrate on.
    """
    check_place("int8", device)
    file = cached_file(folder, f"-int8{SUFFIXES[format]}")
    if not file.exists():
        if folder.name != "model" or not (folder.parent / "config.json").is_file():
            raise ValueError(
                "int8 is calibrated on photos, and only a run knows some; give the run folder, or write a file with "
                "scapnet export --precision int8 --input view --photos FOLDER, and predict with it"
            )
        _announce(folder, f"{format} in int8")
        from scapnet.export import export_model

        export_model(folder.parent, file, format, "int8", pixels="view")
    _used(file)
    return GraphEngine(open_graph(file), read_known(folder))


def check_place(name: str, device: torch.device | str | None) -> None:
    """Refuse a device that graphs do not run on.

    Raises:
        ValueError: it is not the processor.
    """
    if device is not None and str(device) != "cpu":
        raise ValueError(f"the engine {name} runs on the processor; leave the device {device} out")


def _used(file: Path) -> None:
    """Mark a graph as the one used last, and delete those that were used longest ago, with their weights."""
    with suppress(OSError):  # a cache that can only be read, or another process that deletes them, too
        os.utime(file)
        graphs = [path for path in file.parent.iterdir() if path.suffix in SUFFIXES.values()]
        for old in sorted(graphs, key=lambda path: path.stat().st_mtime, reverse=True)[MOST:]:
            for path in (old, old.with_suffix(".bin")):  # OpenVINO keeps the weights beside the graph
                path.unlink(missing_ok=True)


def _announce(folder: Path, what: str) -> None:
    say(f"exporting {folder} for {what}, once; this takes a minute or two", make_console(stderr=True))
