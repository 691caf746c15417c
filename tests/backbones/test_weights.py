"""Weight files load under any prefix and nesting, run no code, or are refused in one sentence."""

import argparse
import builtins
import os
import pickle
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from scapnet.backbones import create, read_weights
from scapnet.backbones.weights import load_weights, model_folder, weight_file
from scapnet.terminal.hints import command

State = dict[str, Tensor]


@pytest.fixture(scope="module")
def source() -> Any:
    """A network with a classifier of 7 classes, which a backbone does not have."""
    return timm.create_model("test_resnet", num_classes=7)


def backbone() -> Any:
    return timm.create_model("test_resnet", num_classes=0)


def under(prefix: str, state: State) -> State:
    return {prefix + key: value for key, value in state.items()}


class History:
    """An object of a training framework that is not installed here."""

    def __init__(self) -> None:
        self.values, self.function = [1.0], print


FORMS: dict[str, Callable[[State], Any]] = {
    "state dict": lambda s: s,
    "DataParallel": lambda s: {"state_dict": under("module.", s), "epoch": 3},
    "compiled": lambda s: under("_orig_mod.", s),
    "timm": lambda s: {"arch": "x", "state_dict": s, "args": argparse.Namespace(lr=0.1, out=Path("x")), "metric": 71.2},
    "metric of numpy": lambda s: {"model": s, "best": np.float64(71.2), "curve": np.arange(3)},
    "Lightning": lambda s: {"state_dict": under("model.net.", s), "callbacks": {}, "loops": {"fit": [1]}},
    "OpenMMLab": lambda s: {
        "meta": {"CLASSES": ["a"]},
        "state_dict": under("backbone.", s) | {"head.w": torch.ones(2)},
    },
    "encoder": lambda s: {"model_state": under("module.encoder.", s)},
    "net": lambda s: {"net": s, "acc": 3},
    "optimizer too": lambda s: {"model": s, "optimizer": {"state": {0: {"momentum_buffer": torch.ones(3)}}}},
    "in a list": lambda s: [{"epoch": 1}, {"ema": s}],
    "deep": lambda s: {"checkpoint": {"model": {"state_dict": under("module.backbone.", s)}}},
    "half precision": lambda s: {key: value.half() if value.is_floating_point() else value for key, value in s.items()},
}


@pytest.mark.parametrize("form", FORMS)
def test_weights_load_under_any_prefix_and_nesting(tmp_path: Path, source: nn.Module, form: str) -> None:
    state = source.state_dict()
    torch.save(FORMS[form](state), tmp_path / "w.pth.tar")
    net = backbone()
    loaded = load_weights(net, tmp_path / "w.pth.tar")
    assert loaded.tensors == len(net.state_dict()) == len(state) - 2
    assert [name.rpartition("fc.")[1:] for name in loaded.left_out] == [("fc.", "weight"), ("fc.", "bias")]
    for key, value in net.state_dict().items():
        torch.testing.assert_close(value, state[key], rtol=1e-3, atol=1e-7)
        assert value.dtype == state[key].dtype


def test_a_safetensors_file_loads_and_says_what_it_left_out(tmp_path: Path, source: nn.Module) -> None:
    save_file(source.state_dict(), tmp_path / "w.safetensors")
    found = create("test_resnet", str(tmp_path / "w.safetensors"), 64)
    assert all(torch.equal(value, source.state_dict()[key]) for key, value in found.net.state_dict().items())
    said = str(found.loaded)
    assert f"starts from {len(found.net.state_dict())} tensors of {tmp_path / 'w.safetensors'}" in said
    assert said.endswith("left out: fc.bias, fc.weight")


def test_a_whole_network_that_was_pickled_is_read_without_its_code(tmp_path: Path, source: nn.Module) -> None:
    torch.save({"model": nn.DataParallel(source), "optimizer": torch.optim.SGD(source.parameters())}, tmp_path / "w.pt")
    net = backbone()
    assert load_weights(net, tmp_path / "w.pt").prefix == "model.module."
    assert all(torch.equal(value, source.state_dict()[key]) for key, value in net.state_dict().items())


def test_objects_of_packages_that_are_not_here_do_not_matter(
    tmp_path: Path, source: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = types.ModuleType("framework")
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "framework", module)
        patch.setattr(History, "__module__", "framework")
        patch.setattr(module, "History", History, raising=False)
        torch.save({"state_dict": source.state_dict(), "history": History()}, tmp_path / "w.pth")
    assert "framework" not in sys.modules
    assert load_weights(backbone(), tmp_path / "w.pth").prefix == "state_dict."


@pytest.mark.parametrize("name", ["state_dict_ema", "model_ema", "ema", "teacher"])
def test_averaged_weights_come_before_the_last_ones(tmp_path: Path, source: nn.Module, name: str) -> None:
    state = source.state_dict()
    torch.save({"model": state, name: {key: value + 1 for key, value in state.items()}}, tmp_path / "w.pth")
    net = backbone()
    load_weights(net, tmp_path / "w.pth")
    assert torch.equal(net.conv1[0].weight, state["conv1.0.weight"] + 1)


def test_the_layout_of_a_networks_authors_is_converted_by_timm(tmp_path: Path) -> None:
    state = timm.create_model("vit_tiny_patch16_224", img_size=64).state_dict()
    torch.save({"model": under("module.", state)}, tmp_path / "w.pth")
    net = timm.create_model(
        "vit_tiny_patch16_224", img_size=32, num_classes=0
    )  # its position embedding has another size
    load_weights(net, tmp_path / "w.pth")
    assert torch.equal(net.state_dict()["norm.weight"], state["norm.weight"])
    assert net.state_dict()["pos_embed"].shape != state["pos_embed"].shape


def test_a_model_or_run_folder_is_its_weight_file(tmp_path: Path) -> None:
    (tmp_path / "run" / "model").mkdir(parents=True)
    file = tmp_path / "run" / "model" / "model.safetensors"
    file.touch()
    assert [weight_file(str(path)) for path in (tmp_path / "run", file.parent, file)] == [file] * 3
    assert model_folder(tmp_path / "run") == file.parent
    (tmp_path / "killed" / "checkpoints").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"killed is an unfinished run; .*scapnet resume .*killed$"):
        model_folder(tmp_path / "killed")
    (tmp_path / "killed" / "best").mkdir()
    with pytest.raises(ValueError, match=r"or give .*best, its best model so far$"):
        model_folder(tmp_path / "killed")
    with pytest.raises(ValueError, match="holds no model; give a run folder"):
        weight_file(str(tmp_path))
    with pytest.raises(ValueError, match=r"there is no folder .*gone; give a run folder, a model folder or a hub id"):
        weight_file(str(tmp_path / "gone"))


class Bomb:
    """A pickle that calls a function when it is loaded by a careless reader."""

    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call[0], self.call[1:]


def _whole(path: Path) -> None:
    torch.save(timm.create_model("test_resnet", num_classes=0).state_dict(), path)


def _cut_short(path: Path) -> None:
    _whole(path)
    path.write_bytes(path.read_bytes()[:-2000])


def _cut_safetensors(path: Path) -> None:
    save_file(timm.create_model("test_resnet", num_classes=0).state_dict(), path)
    path.write_bytes(path.read_bytes()[:-2000])


def _other(path: Path) -> None:
    torch.save(timm.create_model("test_convnext", num_classes=0).state_dict(), path)


def _one_shape(path: Path) -> None:
    state = timm.create_model("test_resnet", num_classes=0).state_dict()
    torch.save(state | {"conv1.0.weight": torch.zeros(1)}, path)


BAD_FILES: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "missing": ("w.pth", lambda path: None, "there is no weight file"),
    "folder": ("w.pth", lambda path: path.mkdir(), "holds no model"),
    "empty": ("w.pth", lambda path: path.touch(), "not a readable weight file"),
    "empty safetensors": ("w.safetensors", lambda path: path.touch(), "not a readable weight file"),
    "text": ("w.pth", lambda path: path.write_text("hello\nworld\n"), r"not a readable weight file .*state_dict\(\)"),
    "text safetensors": ("w.safetensors", lambda path: path.write_text("hello\nworld\n"), "not a readable weight file"),
    "truncated": ("w.pth", _cut_short, "not a readable weight file"),
    "truncated safetensors": ("w.safetensors", _cut_safetensors, "not a readable weight file"),
    "pth called safetensors": ("w.safetensors", _whole, "not a readable weight file"),
    "newer pickle": (
        "w.pth",
        lambda path: path.write_bytes(pickle.dumps({"w": np.ones(3)}, 4)),
        r"not a readable weight file .*save the weights with: torch\.save",
    ),
    "bomb": ("w.pth", lambda path: torch.save(Bomb(os.mkdir, str(path.with_name("out"))), path), "not a readable"),
    "inert bomb": (
        "w.pth",
        lambda path: torch.save(Bomb(builtins.exec, f"import os; os.mkdir({str(path.with_name('out'))!r})"), path),
        "holds no state dict",
    ),
    "number": ("w.pth", lambda path: torch.save(3, path), "holds no state dict"),
    "tensor": ("w.pth", lambda path: torch.save(torch.ones(2), path), "holds no state dict"),
    "list": ("w.pth", lambda path: torch.save([torch.ones(1)], path), "holds no state dict"),
    "numbered": ("w.pth", lambda path: torch.save({0: torch.ones(1)}, path), "holds no state dict"),
    "other network": ("w.pth", _other, "does not hold the weights of test_resnet: .*expected and it is missing"),
    "other shape": ("w.pth", _one_shape, r"1 of \d+ tensors do not fit.*conv1.0.weight.*\(1,\).*--model.backbone$"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_bad_weight_file_is_one_sentence(tmp_path: Path, kind: str) -> None:
    name, make, words = BAD_FILES[kind]
    make(tmp_path / name)
    with pytest.raises(ValueError, match=words) as error:
        create("test_resnet", str(tmp_path / name), 64)
    assert str(tmp_path / name) in str(error.value)
    assert "\n" not in str(error.value)
    assert "\x1b" not in str(error.value)  # PyTorch puts terminal colours into its message
    assert not (tmp_path / "out").exists()


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
def test_a_script_of_torch_is_refused_with_what_to_do(tmp_path: Path) -> None:
    torch.jit.script(nn.Linear(2, 2)).save(tmp_path / "w.pt")  # type: ignore[no-untyped-call]
    with pytest.raises(ValueError, match=r"it is TorchScript, .* save the state_dict\(\)"):
        read_weights(tmp_path / "w.pt")


def test_the_sentence_names_the_option_of_the_command(tmp_path: Path) -> None:
    _other(tmp_path / "w.pth")
    with command(["reproduce"]), pytest.raises(ValueError, match=r"--model\.backbone of scapnet train"):
        load_weights(backbone(), tmp_path / "w.pth")


def test_reading_weights_does_not_need_the_network(tmp_path: Path) -> None:
    torch.save({"state_dict": {"x": torch.arange(3)}, "y": (torch.ones(1),)}, tmp_path / "w.pt")
    assert {key: value.tolist() for key, value in read_weights(tmp_path / "w.pt").items()} == {
        "state_dict.x": [0, 1, 2],
        "y.0": [1],
    }
