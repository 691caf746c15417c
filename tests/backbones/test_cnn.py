"""A network cut in two is the same network."""

from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scapnet.backbones import Backbone, create
from scapnet.backbones.cnn import STRIP

# name, side of the input, C and D as timm documents them
NETWORKS = [
    ("test_resnet", 64, 192, 96),
    ("resnet50", 64, 1024, 2048),
    ("convnext_atto", 64, 160, 320),
    ("efficientnet_b0", 64, 112, 1280),
    ("mobilenetv2_100", 96, 96, 1280),
    ("regnety_002", 64, 152, 368),
    ("densenet121", 64, 1024, 1024),
    ("swin_tiny_patch4_window7_224", 96, 384, 768),
]

NEW_TIMM = pytest.mark.skipif(not timm.is_model("test_vit_relpos"), reason="timm 1.0.15 does not have it")


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
    image = torch.randn(1 if size > 100 else 2, 3, size, size)
    whole, expected = gradients(net, image, lambda x: net.forward_head(net.forward_features(x), pre_logits=True))
    halves, found = gradients(net, image, lambda x: backbone.pool(backbone.tail(backbone.head(x))))
    torch.testing.assert_close(halves, whole, rtol=1e-4, atol=1e-5)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=1e-3, atol=1e-3 * float(value.abs().max()) + 1e-8, msg=key)
    middle, last = backbone.head(image), backbone.tail(backbone.head(image))
    number = len(image)
    assert middle.shape == (number, channels, size // 16, size // 16) == (number, backbone.channels, *middle.shape[2:])
    assert whole.shape == (number, dim) == (number, backbone.dim)
    assert last.shape[2] == last.shape[3] == size // 32
    torch.testing.assert_close(backbone(image), whole)


@pytest.mark.parametrize(
    ("name", "size"), [pytest.param("test_vit_relpos", 160, marks=NEW_TIMM), ("hrnet_w18_small", 64)]
)
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
        (Toy(between="op"), "halves do not reproduce the features of the whole"),
        (Toy(between="skip"), "halves do not reproduce the features of the whole"),
        (Toy(between="twice"), "a runs 2 times"),
        (Toy(channels=5), "stage 3 outputs"),
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


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("resnet_5000", "no network named resnet_5000; similar names are .*resnet"),
        ("resnet18.no_such_tag", "no_such_tag"),
    ],
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


@pytest.mark.parametrize("name", ["test_resnet", "mobilenetv2_035"])
def test_maps_are_measured_on_a_strip(name: str) -> None:
    backbone = create(name, "none", 96)
    shapes = set[tuple[int, ...]]()
    hook = backbone.net.get_submodule("conv_stem" if "mobile" in name else "conv1").register_forward_hook(
        lambda _, given, __: shapes.add(tuple(given[0].shape[-2:]))
    )
    found = backbone.map_cells(72, 3), backbone.map_cells(72, 4)
    hook.remove()
    assert shapes == {(72, STRIP)}
    with torch.no_grad():
        head = backbone.head(torch.zeros(1, 3, 72, 72))
        assert found == (tuple(head.shape[-2:]), tuple(backbone.tail(head).shape[-2:]))


def test_maps_of_a_network_of_squares_are_measured_on_a_square() -> None:
    backbone = create("test_resnet", "none", 96)
    stem = backbone.net.get_submodule("conv1")

    def refuse(_: object, given: tuple[torch.Tensor, ...]) -> None:
        assert given[0].shape[-1] == given[0].shape[-2]

    stem.register_forward_pre_hook(refuse)
    assert backbone.map_cells(72, 3) == (5, 5)
