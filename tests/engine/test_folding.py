"""Batch norms folded into convolutions."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from samples import NO_MODULES, make
from scapnet.backbones.factory import create
from scapnet.engine.folding import fold_batch_norm
from scapnet.engine.network import FoldedEngine, TorchEngine, fold_backbones


def trained(net: nn.Module) -> nn.Module:
    """A network whose batch norms have statistics of their own, in evaluation mode."""
    generator = torch.Generator().manual_seed(1)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.running_mean, module.running_var, module.weight.data, module.bias.data):
                assert tensor is not None
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    return net.eval()


@pytest.mark.parametrize("name", ["test_resnet", "mobilenetv2_035"])
def test_a_folded_backbone_gives_the_same_features(name: str) -> None:
    net = trained(create(name, "none", 64, cut=False))
    images, norms = torch.randn(2, 3, 64, 64), sum(isinstance(one, nn.BatchNorm2d) for one in net.modules())
    with torch.no_grad():
        expected = net(images)
        assert fold_batch_norm(net, images[:1]) == norms > 0
        assert not any(isinstance(one, nn.BatchNorm2d) for one in net.modules())
        torch.testing.assert_close(net(images), expected, rtol=1e-3, atol=1e-4)


class Twice(nn.Module):
    """A convolution whose output goes around its batch norm as well."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        z: Tensor = self.norm(y)
        return y + z


def test_what_cannot_be_folded_is_found_out() -> None:
    with pytest.raises(ValueError, match="use the engine torch"):
        fold_batch_norm(trained(Twice()), torch.randn(1, 3, 8, 8))


class Alone(nn.Module):
    """A batch norm with no convolution before it."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.conv = nn.BatchNorm2d(3), nn.Conv2d(3, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(self.norm(x))
        return y


def test_a_batch_norm_without_a_convolution_stays() -> None:
    net = trained(Alone())
    assert fold_batch_norm(net, torch.randn(1, 3, 8, 8)) == 0
    assert isinstance(net.norm, nn.BatchNorm2d)


@pytest.mark.parametrize("changes", [{}, {"parts__shared": True}, NO_MODULES])
@pytest.mark.parametrize("half", [False, True])
def test_a_folded_engine_answers_as_the_network(changes: dict[str, Any], half: bool) -> None:
    model, same = make(**changes), make(**changes)
    trained(model), trained(same)
    generator = torch.Generator().manual_seed(2)
    image, source = torch.randn(3, 3, 64, 64, generator=generator), torch.randn(3, 3, 96, 96, generator=generator)
    expected = TorchEngine(same)(image, source, torch.arange(3))
    engine = FoldedEngine(model)
    engine.half = half
    said = engine(image, source, torch.arange(3))
    for name, mine, other in zip(said._fields, said, expected, strict=True):
        assert (mine is None) == (other is None), name
        if mine is not None and other is not None:
            assert mine.dtype == other.dtype, name
            if name == "probs" or not half:
                torch.testing.assert_close(mine, other, rtol=1e-3, atol=0.05 if half else 1e-4)
    assert fold_backbones(model) == 0  # nothing is left to fold
