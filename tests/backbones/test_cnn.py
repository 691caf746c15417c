"""A network cut in two is the same network; weight files are what they say or are refused."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from scapnet.backbones import Backbone, create, read_weights

# name, side of the input, C and D as timm documents them
NETWORKS = [
    ("test_resnet", 64, 192, 96),
    ("resnet50", 64, 1024, 2048),
    ("resnext50_32x4d", 64, 1024, 2048),
    ("convnext_atto", 64, 160, 320),
    ("efficientnet_b0", 64, 112, 1280),
    ("mobilenetv2_100", 96, 96, 1280),
    ("regnety_002", 64, 152, 368),
    ("densenet121", 64, 1024, 1024),
    ("swin_tiny_patch4_window7_224", 224, 384, 768),
]


def gradients(net: nn.Module, image: Tensor, features: Callable[[Tensor], Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """Features, and gradients of a fixed sum over them for the image and every parameter."""
    net.zero_grad()
    image = image.clone().requires_grad_()
    found = features(image)
    (found * torch.linspace(-1, 1, found.shape[1])).sum().backward()  # type: ignore[no-untyped-call]
    assert image.grad is not None
    grads = {name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}
    return found.detach(), {"image": image.grad, **grads}


@pytest.mark.parametrize(("name", "size", "channels", "dim"), NETWORKS)
def test_the_halves_are_the_whole(name: str, size: int, channels: int, dim: int) -> None:
    torch.manual_seed(0)
    backbone = create(name, "none", size).eval()
    net: Any = backbone.net
    image = torch.randn(2, 3, size, size)
    whole, expected = gradients(net, image, lambda x: net.forward_head(net.forward_features(x), pre_logits=True))
    halves, found = gradients(net, image, lambda x: backbone.pool(backbone.tail(backbone.head(x))))
    torch.testing.assert_close(halves, whole, rtol=1e-4, atol=1e-5)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=1e-3, atol=1e-3 * float(value.abs().max()) + 1e-8, msg=key)
    middle, last = backbone.head(image), backbone.tail(backbone.head(image))
    assert middle.shape == (2, channels, size // 16, size // 16) == (2, backbone.channels, *middle.shape[2:])
    assert whole.shape == (2, dim) == (2, backbone.dim)
    assert last.shape[2] == last.shape[3] == size // 32
    torch.testing.assert_close(backbone(image), whole)


@pytest.mark.parametrize(("name", "size"), [("vit_tiny_patch16_224", 224), ("hrnet_w18_small", 64)])
def test_what_cannot_be_cut_is_refused_by_name_and_still_gives_features(name: str, size: int) -> None:
    with pytest.raises(ValueError, match=rf"^{name} cannot be cut between stage 3 and stage 4: .*; use ") as error:
        create(name, "none", size)
    assert "\n" not in str(error.value)
    assert create(name, "none", size, cut=False).eval()(torch.zeros(1, 3, size, size)).dim() == 2


class Toy(nn.Module):
    """A network whose feature_info says that stage ``b`` follows stage ``a``."""

    def __init__(self, channels: int = 4, between: str = "nothing") -> None:
        super().__init__()
        self.a, self.b, self.between = nn.Conv2d(3, 4, 16, 16), nn.Conv2d(4, 8, 2, 2), between
        self.feature_info = [
            {"module": "a", "reduction": 16, "num_chs": channels},
            {"module": "b", "reduction": 32, "num_chs": 8},
        ]

    def forward_features(self, x: Tensor) -> Tensor:
        middle: Tensor = self.a(x)
        if self.between == "op":
            middle = F.relu(middle)
        if self.between == "twice":
            middle = middle + self.a(x)
        last: Tensor = self.b(middle)
        return last + middle.mean() if self.between == "skip" else last

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        return x.mean((2, 3))


@pytest.mark.parametrize(
    ("toy", "reason"),
    [
        (Toy(between="op"), "halves do not give the features of the whole"),
        (Toy(between="skip"), "halves do not give the features of the whole"),
        (Toy(between="twice"), "a runs 2 times"),
        (Toy(channels=5), "stage 3 gives"),
    ],
)
def test_a_network_that_is_not_as_it_says_is_refused(toy: Toy, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^Toy cannot be cut .*{reason}"):
        Backbone(toy, 64)


def test_making_the_cut_leaves_no_trace() -> None:
    assert Backbone(Toy(), 64).channels == 4
    net = timm.create_model("test_resnet", num_classes=0).train()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    noise = torch.get_rng_state()
    backbone = Backbone(net, 64)
    assert torch.equal(noise, torch.get_rng_state())
    assert backbone.net.training
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())


@pytest.mark.parametrize("form", ["safetensors", "state dict", "wrapped", "model"])
def test_a_weight_file_is_loaded_and_its_classifier_left_out(tmp_path: Path, form: str) -> None:
    state = timm.create_model("test_resnet", num_classes=7).state_dict()
    path = tmp_path / ("weights.safetensors" if form == "safetensors" else "weights.pth")
    if form == "safetensors":
        save_file(state, path)
    elif form == "state dict":
        torch.save(state, path)
    elif form == "wrapped":
        torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}, "epoch": 3}, path)
    else:
        torch.save({"model": state}, path)
    loaded = create("test_resnet", str(path), 64).net.state_dict()
    assert set(state) - set(loaded) == {"fc.weight", "fc.bias"}
    assert all(torch.equal(value, state[key]) for key, value in loaded.items())


class Bomb:
    """A pickle that makes a file when it is loaded by a careless reader."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.path),))


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
    "folder": ("w.pth", lambda path: path.mkdir(), "there is no weight file"),
    "empty": ("w.pth", lambda path: path.touch(), "no readable weight file"),
    "empty safetensors": ("w.safetensors", lambda path: path.touch(), "no readable weight file"),
    "text": ("w.pth", lambda path: path.write_text("hello\nworld\n"), "no readable weight file"),
    "text safetensors": ("w.safetensors", lambda path: path.write_text("hello\nworld\n"), "no readable weight file"),
    "truncated": ("w.pth", _cut_short, "no readable weight file"),
    "truncated safetensors": ("w.safetensors", _cut_safetensors, "no readable weight file"),
    "pth called safetensors": ("w.safetensors", _whole, "no readable weight file"),
    "bomb": ("w.pth", lambda path: torch.save(Bomb(path.with_name("went_off")), path), "no readable weight file"),
    "number": ("w.pth", lambda path: torch.save(3, path), "holds no state dict"),
    "list": ("w.pth", lambda path: torch.save([torch.ones(1)], path), "holds no state dict"),
    "numbered": ("w.pth", lambda path: torch.save({0: torch.ones(1)}, path), "holds no state dict"),
    "other network": ("w.pth", _other, "does not hold the weights of test_resnet: .*expected and it is missing"),
    "other shape": ("w.pth", _one_shape, r"1 of \d+ tensors do not fit.*conv1.0.weight.*\(1,\)"),
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
    assert not (tmp_path / "went_off").exists()


def test_reading_weights_does_not_need_the_network(tmp_path: Path) -> None:
    torch.save({"state_dict": {"x": torch.arange(3)}}, tmp_path / "w.pt")
    assert read_weights(tmp_path / "w.pt")["x"].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("name", "words"),
    [("resnet_5000", "no network named resnet_5000; near it are .*resnet"), ("resnet18.no_such_tag", "no_such_tag")],
)
def test_an_unknown_network_is_one_sentence(name: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as error:
        create(name, "none", 64)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("error", [OSError("offline"), RuntimeError("No pretrained weights exist")])
def test_pretrained_weights_that_cannot_be_had_name_the_way_out(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(timm, "create_model", fail)
    with pytest.raises(ValueError, match=r"test_resnet cannot be downloaded .*--model\.weights"):
        create("test_resnet", "pretrained", 64)
