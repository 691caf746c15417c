"""`scapnet bench`: every row of a tiny network, its page and its JSON."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from samples import Command, make, write
from scapnet.bench.findings import findings
from scapnet.bench.floors import backbones, convolutions
from scapnet.bench.peers import load_peer, peer_rows
from scapnet.bench.result import measured
from scapnet.bench.subject import network_of, sized
from scapnet.bench.timing import Row, Spread, by_turns, peak_of, ratios
from scapnet.engine import best_device
from scapnet.presets import paper
from scapnet.processor import bf16_in_hardware

CPU = torch.device("cpu")


def test_all_take_turns_and_ratios_are_within_a_round() -> None:
    order, now = list[str](), [0.0]

    def work(name: str, seconds: float) -> Callable[[], None]:
        def run() -> None:
            order.append(name)
            now[0] += seconds * len(order)  # the machine becomes slower and slower

        return run

    rows = [Row("slow", work("slow", 4.0)), Row("fast", work("fast", 1.0))]
    found = by_turns(rows, 3, lambda: now[0])
    assert order == ["slow", "fast"] * 3
    assert found == {"slow": [4.0, 12.0, 20.0], "fast": [2.0, 4.0, 6.0]}
    assert ratios(found["fast"], found["slow"]).median == pytest.approx(1 / 3)
    figures = measured(rows[1], found["fast"], found["slow"], 2, None)
    assert figures.milliseconds == Spread(1500.0, 2000.0, 2500.0)
    assert figures.to_dict()["images_per_second"] == 0.5


def test_the_peak_is_that_of_the_call() -> None:
    def run() -> None:
        np.ones(20_000_000 // 8)  # 20 MB, and gone

    peak = peak_of(run, CPU)
    assert peak is None or 15 < peak < 60


def test_the_floors_are_the_backbones_and_their_convolutions() -> None:
    model, images = make(), torch.randn(2, 3, 64, 64)
    alone = backbones(model, images)
    assert alone is not None
    with torch.inference_mode():
        main, parts = alone()
    assert (main.shape[0], parts.shape[0]) == (2, 12)
    layers = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d)]
    called = list[Any]()
    hooks = [layer.register_forward_hook(lambda layer, *_: called.append(layer)) for layer in layers]
    run = convolutions(model, images)
    once = len(called)
    with torch.inference_mode():
        run()
        run()
    assert len(called) == 3 * once > len(layers) / 2
    assert all(not layer._forward_pre_hooks for layer in layers)
    for hook in hooks:
        hook.remove()
    assert backbones(make(parts__enabled=False, relation__enabled=False), images) is None


def test_a_preset_is_made_smaller_in_proportion(model_folder: Path) -> None:
    config = sized(paper(), 224)
    assert (config.data.size, config.data.resize, config.model.parts.size) == (224, 256, 112)
    assert config.model.weights == "none"
    model, base = network_of(str(model_folder), None)
    assert (base.data.size, base.data.source_size) == (model.view.size, model.view.source_size)
    with pytest.raises(ValueError, match="leave --size out"):
        network_of(str(model_folder), 32)
    with pytest.raises(ValueError, match="neither one of the presets demo, photos"):
        network_of("nothing", None)


def test_the_command_times_everything(model_folder: Path, tmp_path: Path, command: Command) -> None:
    out = tmp_path / "new" / "speed.json"  # its folder is made
    printed, said = command("bench", model_folder, "--rounds", 1, "--batch", 2, "--out", out)
    assert out.with_suffix(".md").read_text() == printed.removesuffix("\n")
    found = json.loads(out.read_text())
    names = [row["name"] for row in found["inference"]]
    assert names == [
        "eager",
        "backbones alone",
        "convolutions alone",
        "plain backbone",
        "channels first",
        "bf16",
        "folded",
        "folded, bf16",
    ]
    assert [row["name"] for row in found["training"]][:3] == ["training step", "backbones alone, trained", "data"]
    for row in (*found["inference"], *found["training"]):
        assert row["milliseconds"]["lower"] <= row["milliseconds"]["median"] <= row["milliseconds"]["upper"]
        assert f"| {row['name']} |" in printed
    assert found["network"]["parts"] == 6
    half = {"matrix product, bf16"} if best_device().type != "cpu" or bf16_in_hardware() else set()
    assert found["gmacs_per_second"].keys() == {"matrix product, float32", *half}
    assert any("own work in a training step" in sentence for sentence in found["findings"])
    assert "timing eager" in said


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--rows", "abacus"), "there is no row 'abacus'"),
        (("--rounds", "0"), "must all be at least 1"),
        (("--peer", "vgg=here"), "the peers take images of 448 px"),
    ],
)
def test_what_cannot_be_timed_is_refused(
    words: tuple[str, ...], sentence: str, model_folder: Path, refuse: Callable[..., str]
) -> None:
    assert sentence in refuse("bench", model_folder, "--rounds", "1", *words, "--no-training")


RESNET = """
import torch
def resnet50(pretrained=False):
    assert not pretrained, "nothing is downloaded"
    return torch.nn.Flatten()
"""
MODEL = """
import numpy as np
import torch
from core import resnet
class attention_net(torch.nn.Module):
    def __init__(self, topN):
        super().__init__()
        self.inner, self.topN = resnet.resnet50(pretrained=True), np.ones(1).astype(np.int)[0] * topN
    def forward(self, x):
        return self.inner(x).cuda()[:, : self.topN] + torch.zeros([1]).cuda()
"""


def test_a_peer_is_loaded_from_its_checkout(tmp_path: Path) -> None:
    write(tmp_path / "config.py", ["PROPOSAL_NUM = 6"])
    for name, text in (("__init__", ""), ("resnet", RESNET), ("model", MODEL)):
        write(tmp_path / "core" / f"{name}.py", text.splitlines())
    (row,) = peer_rows([f"ntsnet={tmp_path}"], torch.zeros(2, 3, 448, 448))
    found = row.run()
    assert isinstance(found, torch.Tensor)
    assert found.shape == (2, 6)
    assert not hasattr(np, "int")
    with pytest.raises(ValueError, match="is no checkout of pmg"):
        load_peer("pmg", tmp_path, CPU)
    with pytest.raises(ValueError, match="no peer 'vgg'; use ntsnet=FOLDER or pmg=FOLDER"):
        load_peer("vgg", tmp_path, CPU)
    with pytest.raises(ValueError, match="say where its checkout is"):
        next(peer_rows(["pmg"], torch.zeros(2, 3, 448, 448)))


def test_the_findings_are_ratios() -> None:
    def row(name: str, milliseconds: float, base: float) -> Any:
        return measured(Row(name, lambda: None), [milliseconds / 1000] * 2, [base / 1000] * 2, 1, None)

    forward = [row("eager", 100, 100), row("backbones alone", 80, 100), row("folded", 50, 100), row("ntsnet", 200, 100)]
    steps = [row("training step", 90, 90), row("backbones alone, trained", 80, 90), row("data", 10, 90)]
    said = findings(forward, steps, {"matrix product, float32": 50.0}, 2.0)
    assert said == [
        "matrix product, float32: 50 GMACs a second.",
        "Eager PyTorch runs the network at 20 GMACs a second.",
        "SCAPNet's own work in a forward pass, on top of its two backbones: 25.0% (25.0% to 25.0%).",
        "The fastest way here is folded: 0.500 of eager PyTorch.",
        "SCAPNet takes 0.50 of ntsnet's time, 0.25 with folded.",
        "SCAPNet's own work in a training step, with optimizer and data, on top of its two backbones' passes: 25.0% "
        "(25.0% to 25.0%).",
        "Read and augmented in the same process, the data takes 11.1% of a training step.",
    ]
