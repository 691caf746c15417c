"""Learning rates of layers, freezing, averages."""

from typing import cast

import pytest
import torch

from scapnet.build import build_model
from scapnet.config import ModelConfig, PartsConfig, TrainConfig
from scapnet.network import Network, as_module
from scapnet.training.optim import backbones_of, freeze_backbones, make_optimizer, parameter_groups, set_learning_rate


def network(shared: bool = False) -> Network:
    return build_model(ModelConfig("test_resnet", "none", parts=PartsConfig(size=32, shared=shared)), 3, 64)


@pytest.mark.parametrize("shared", [False, True])
def test_layers_learn_more_slowly_the_nearer_they_are_to_the_image(shared: bool) -> None:
    model = network(shared)
    assert len(backbones_of(model)) == (1 if shared else 2)
    groups = parameter_groups(model, TrainConfig(layer_decay=0.5, backbone_lr=0.1))
    parameters = [parameter for group in groups for parameter in group["params"]]
    assert len(parameters) == len(set(parameters))
    assert set(parameters) == set(model.parameters())
    rates = {p: group.get("lr_scale", 1.0) for group in groups for p in group["params"]}
    for backbone in backbones_of(model):
        own = [rates[p] for p in backbone.parameters()]
        assert own == sorted(own)
        assert (own[0], own[-1]) == (pytest.approx(own[-1] / 2 ** (len(set(own)) - 1)), pytest.approx(0.1))
        assert len(set(own)) > 3
    assert {rates[p] for p in model.parameters()} - {rates[p] for b in backbones_of(model) for p in b.parameters()} == {
        1
    }


def test_rates_are_multiples_of_the_schedules() -> None:
    optimizer = make_optimizer(network(), TrainConfig(backbone_lr=0.5))
    set_learning_rate(optimizer, 0.2)
    assert {group["lr"] for group in optimizer.param_groups} == {0.2, 0.1}
    plain = make_optimizer(network(), TrainConfig())
    set_learning_rate(plain, 0.2)
    assert [group["lr"] for group in plain.param_groups] == [0.2]


def test_freezing_is_undone_by_what_it_returns() -> None:
    model = network()
    model.set_stage(1)  # the sub-network is frozen by the stage
    frozen = freeze_backbones(model)
    assert set(frozen) == set(model.backbone.parameters())
    assert not any(p.requires_grad for backbone in backbones_of(model) for p in backbone.parameters())
    assert all(p.requires_grad for p in model.classifier.parameters())


def test_the_fused_update_is_the_plain_one_from_each_weights_first_gradient_on() -> None:
    model, config = as_module(network()), TrainConfig()
    weights, rates = list(model.parameters()), (config.lr, config.momentum)
    copies = [parameter.detach().clone().requires_grad_() for parameter in weights]
    plain = torch.optim.SGD(copies, *rates, weight_decay=config.weight_decay, fused=False)
    fused = make_optimizer(cast(Network, model), config)
    for step in range(4):
        for i, (one, other) in enumerate(zip(weights, copies, strict=True)):
            one.grad = other.grad = torch.randn_like(one) if i % 2 or step > 1 else None  # a second stage begins
        plain.step()
        fused.step()
    for one, other in zip(weights, copies, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-7)


def test_fp16_is_not_fused() -> None:
    assert not make_optimizer(network(), TrainConfig(precision="fp16")).defaults["fused"]
