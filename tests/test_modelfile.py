"""Model folders from anyone: what is too large, damaged or elsewhere is refused before a network is built."""

import json
import os
import resource
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from scapnet.backbones import create
from scapnet.checkpoint import from_pretrained
from scapnet.modelfile import QuickStart, first_infinite, offline


def edited(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    about = json.loads((folder / "config.json").read_text())
    change(about)
    (folder / "config.json").write_text(json.dumps(about))


def setting(*keys: str, value: Any) -> Callable[[Path], None]:
    def change(about: dict[str, Any]) -> None:
        for key in keys[:-1]:
            about = about[key]
        about[keys[-1]] = value

    return lambda folder: edited(folder, change)


def many_keys(folder: Path) -> None:
    header = json.dumps({f"k{i}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(100_000)})
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header.encode())


def not_finite(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    state["classifier.bias"][0] = float("nan")
    save_file(state, folder / "model.safetensors")


def pipe(folder: Path) -> None:
    (folder / "config.json").unlink()
    os.mkfifo(folder / "config.json")


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (setting("model", "gate", "hidden", value=10**7), "gate.hidden is 10,000,000; it must be at most"),
        (setting("model", "gate", "grid", value=5000), "gate.grid is 5,000"),
        (setting("model", "relation", "geo_dim", value=8 * 10**8), "relation.geo_dim is 800,000,000"),
        (setting("model", "relation", "key_dim", value=10**9), "relation.key_dim is 1,000,000,000"),
        (setting("model", "parts", "keep", value=[10**8]), "the number of parts is 100,000,000"),
        (setting("model", "parts", "size", value=10**5), "parts.size is 100,000"),
        (setting("model", "parts", "pool", value=[float("nan"), 1.0]), "PartsConfig.pool is"),
        (setting("model", "parts", "pool", value=[0.0, 0.0]), "both weights of parts.pool are 0"),
        (setting("view", "size", value=20_000), "data.size is 20,000"),
        (setting("view", "source_size", value=10**6), "data.source_size is 1,000,000"),
        (setting("classes", value=["a"] * 3_000_000), "names 3,000,000 classes"),
        (setting("classes", value=["a"] * 500), "its classifier has 4 classes and its config.json 500"),
        (setting("classes", value=7), "does not fit its config.json"),
        (setting("model", "backbone", value="hf-hub:someone/else"), "timm cannot create hf-hub:someone/else"),
        (many_keys, "its header has"),
        (not_finite, r"its weights are not finite: .* \(nan\)"),
        (pipe, "config.json is not a file"),
    ],
)
def test_a_hostile_model_folder_is_refused_at_once(
    tmp_path: Path, model_folder: Path, harm: Callable[[Path], None], words: str
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("config.json", "model.safetensors"):
        (folder / name).write_bytes((model_folder / name).read_bytes())
    harm(folder)
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(ValueError, match=words) as error:
        from_pretrained(folder)
    assert "\n" not in str(error.value)
    assert time.process_time() - started < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # kB


def test_the_hub_is_reached_again_after_an_offline_block() -> None:
    before = constants.HF_HUB_OFFLINE
    with offline():
        assert constants.HF_HUB_OFFLINE
    assert before == constants.HF_HUB_OFFLINE


def test_the_first_tensor_that_is_not_finite_is_named() -> None:
    tensors = {"a": torch.ones(2), "b": torch.tensor([1]), "c": torch.tensor([1.0, float("-inf")]), "d": None}
    assert first_infinite(tensors.items()) == "c (infinite)"
    assert first_infinite([("a", torch.zeros(0))]) is None
    assert first_infinite([("a", torch.full((3,), 3e38))]) is None  # their sum is infinite


@pytest.mark.parametrize("fill", [torch.nn.init.xavier_normal_, torch.Tensor.uniform_])
def test_quick_starting_weights_are_not_drawn(fill: Callable[[torch.Tensor], object]) -> None:
    before = torch.get_rng_state()
    with QuickStart():
        backbone = create("test_resnet", "none", 64)  # whose two halves are compared, with weights that are no zeros
        weights, turned = torch.zeros(70, 90), torch.zeros(70, 90).t()
        fill(weights)
        fill(turned)  # and one whose rows do not follow each other in memory
    assert torch.equal(torch.get_rng_state(), before)
    assert 0.05 < weights.std() < 0.2
    assert 0.05 < turned.std() < 0.2
    assert backbone(torch.ones(1, 3, 64, 64)).std() > 1e-3
