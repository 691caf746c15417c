"""Activation checkpointing changes memory and time, and nothing else."""

import copy

import pytest
import torch
from torch import nn

from samples import make
from scapnet.backbones.factory import create
from scapnet.losses import SCAPNetLoss
from scapnet.model import SCAPNet
from scapnet.training.checkpointing import checkpoint_blocks


def step(model: SCAPNet) -> tuple[float, dict[str, torch.Tensor]]:
    torch.manual_seed(3)
    images = torch.randn(2, 3, 64, 64)
    terms = SCAPNetLoss()(model.train()(images), torch.tensor([0, 1]))
    terms["loss"].backward()
    found = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    return float(terms["loss"].detach()), found | dict(model.named_buffers())


def test_losses_gradients_and_statistics_stay_the_same() -> None:
    model = make()
    saving = copy.deepcopy(model)
    assert checkpoint_blocks(saving) > 2
    calls = list[nn.Module]()
    for module in saving.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda module, *_: calls.append(module))
    (loss, expected), (same, found) = step(model), step(saving)
    assert loss == same
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, msg=name)
    assert len(calls) > len(set(calls))  # some ran twice
    count = len(calls)
    with torch.no_grad():
        saving.eval()(torch.randn(1, 3, 64, 64))
    assert len(calls) - count == len(set(calls))


def test_a_copy_computes_with_its_own_weights() -> None:
    model = make()
    checkpoint_blocks(model)
    other = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        assert other.train()(torch.randn(2, 3, 64, 64)).logits.abs().max() > 0


def test_a_network_without_blocks_is_refused() -> None:
    with torch.device("meta"):  # its 130 million weights take seconds to draw
        network = nn.ModuleList([create("vgg11", "none", 64, cut=False)])
    with pytest.raises(ValueError, match="is not made of blocks"):
        checkpoint_blocks(network)
    assert checkpoint_blocks(nn.Linear(1, 1)) == 0
