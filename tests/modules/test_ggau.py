import math

import pytest
import torch
from torch import Tensor

import reference
from scapnet.losses import activation_loss
from scapnet.modules import GridGate, apply_mask
from scapnet.modules.boxes import unit_edges
from scapnet.modules.ggau import mask_pixels

MODES = ["hard", "soft"]


def random_gate(channels: int, grid: int, **options: object) -> GridGate:
    gate = GridGate(channels, grid=grid, hidden=5, **options).double()  # type: ignore[arg-type]
    for parameter in gate.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    return gate


def bare_gate(grid: int, **options: object) -> GridGate:
    """A gate whose logits are its features, for a (B, 2, grid, grid) map of positive numbers."""
    gate = GridGate(2, grid=grid, hidden=2, **options).double()  # type: ignore[arg-type]
    for layer in (gate.fc1, gate.fc2):
        torch.nn.init.eye_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    return gate


def as_features(keep: Tensor) -> Tensor:
    """Features (B, 2, N, N) for `bare_gate` whose logits are 100 and 100 + keep."""
    return torch.stack([torch.full_like(keep, 100.0), 100.0 + keep], dim=1)


@pytest.mark.parametrize("shape", [(28, 28), (14, 14), (9, 13)])
@pytest.mark.parametrize("grid", [2, 3, 4, 5])
@pytest.mark.parametrize("mode", MODES)
def test_evaluation_equals_the_reference(shape: tuple[int, int], grid: int, mode: str) -> None:
    torch.manual_seed(grid)
    gate = random_gate(3, grid, mode=mode).eval()
    x = 2 * torch.randn(3, 3, *shape, dtype=torch.float64)
    output = gate(x)
    w1, b1, w2, b2 = (p.tolist() for p in (gate.fc1.weight, gate.fc1.bias, gate.fc2.weight, gate.fc2.bias))
    for b, image in enumerate(x.tolist()):
        pooled = [[reference.window_average(image, grid, 1, i, j) for j in range(grid)] for i in range(grid)]
        logits = [[reference.eq4_score(g, w1, b1, w2, b2) for g in row] for row in pooled]
        keep = [[reference.keep_probability(s) for s in row] for row in logits]
        mask = reference.eq5_gate(keep) if mode == "hard" else keep
        for value, expected in [
            (output.logits, logits),
            (output.mask, mask),
            (output.features, reference.eq1_masked(image, mask)),
            (gate.score(torch.tensor(pooled, dtype=torch.float64)[None]).expand_as(output.logits), logits),
        ]:
            torch.testing.assert_close(value[b if value.shape[0] > 1 else 0].tolist(), expected, rtol=0, atol=1e-5)


def test_parameters_are_the_papers_0_02_million() -> None:
    count = sum(p.numel() for p in GridGate(1024).parameters())
    assert count == 1024 * 16 + 16 + 16 * 2 + 2
    assert f"{count / 1e6:.2f}" == "0.02"


def test_open_is_the_starting_bias() -> None:
    assert GridGate(8, open=1.5).fc2.bias.tolist() == [-1.5, 1.5]
    assert GridGate(8).fc2.bias.tolist() == [0.0, 0.0]
    torch.manual_seed(0)
    assert GridGate(8, open=20.0, noise=False)(torch.randn(2, 8, 8, 8)).mask.mean() == 1


@pytest.mark.parametrize("mode", MODES)
def test_evaluation_is_repeatable_and_a_batch_equals_its_images(mode: str) -> None:
    torch.manual_seed(1)
    gate = random_gate(4, 4, mode=mode).eval()
    x = torch.randn(5, 4, 14, 14, dtype=torch.float64)
    first, second = gate(x), gate(x)
    with torch.no_grad():
        third = gate(x)
    assert all(torch.equal(a, b) and torch.equal(a, c) for a, b, c in zip(first, second, third, strict=True))
    single = [gate(x[b : b + 1]) for b in range(5)]
    for k, whole in enumerate(first):
        torch.testing.assert_close(torch.cat([output[k] for output in single]), whole, rtol=0, atol=1e-6)


@pytest.mark.parametrize("tau", [1.0, 0.5])
def test_noise_keeps_as_often_as_the_softmax_says(tau: float) -> None:
    torch.manual_seed(0)
    keep = torch.tensor([[-2.0, -0.5, 0.0], [0.7, 1.5, 3.0], [-1.0, 0.3, 60.0]], dtype=torch.float64)
    batch = 10000
    mask = bare_gate(3, tau=tau).train()(as_features(keep.expand(batch, 3, 3))).mask.detach().double()
    expected = torch.sigmoid(keep)  # softmax of (0, keep); the last unit is always open, so that no image is closed
    sigma = (expected * (1 - expected) / batch).sqrt()
    assert ((mask.mean(0) - expected).abs() <= 3 * sigma + 1e-12).all()
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    pairs = (mask - expected).flatten(1).T @ (mask - expected).flatten(1) / batch
    scale = (expected * (1 - expected)).flatten().sqrt()
    correlation = (pairs / scale[:, None] / scale)[:8, :8] - torch.eye(8, dtype=torch.float64)
    assert correlation.triu(1).abs().max() < 4.5 / math.sqrt(batch)  # each unit has its own noise


@pytest.mark.parametrize("noise", [True, False])
@pytest.mark.parametrize("tau", [1.0, 0.6])
def test_the_hard_gate_has_the_gradient_of_the_soft_one(noise: bool, tau: float) -> None:
    torch.manual_seed(3)
    keep = 2 * torch.randn(6, 4, 4, dtype=torch.float64)
    weight = torch.randn(6, 4, 4, dtype=torch.float64)
    masks, gradients = [], []
    for mode in MODES:
        x = as_features(keep).requires_grad_()
        torch.manual_seed(4)
        mask = bare_gate(4, mode=mode, noise=noise, tau=tau).train()(x).mask
        masks.append(mask.detach())
        gradients.append(torch.autograd.grad((mask * weight).sum(), x)[0])
    hard, soft = masks
    torch.testing.assert_close(gradients[0], gradients[1])
    slope = (soft * (1 - soft) / tau * weight).double()
    torch.testing.assert_close(gradients[0], torch.stack([-slope, slope], dim=1), rtol=0, atol=1e-5)
    assert hard.tolist() == (soft > 0.5).double().tolist()
    assert torch.allclose(soft.double(), torch.sigmoid(keep / tau), atol=1e-5) is not noise


def test_a_closed_gate_keeps_the_best_unit_in_evaluation() -> None:
    torch.manual_seed(5)
    keep = -50 - torch.rand(8, 4, 4, dtype=torch.float64)
    output = bare_gate(4).eval()(as_features(keep))
    assert output.mask.flatten(1).sum(1).tolist() == [1.0] * 8
    assert torch.equal(output.mask.flatten(1).argmax(1), keep.flatten(1).argmax(1))
    assert output.features.count_nonzero() == 8 * 2
    torch.testing.assert_close(activation_loss(output.mask).item(), 1 / 16**2)
    undecided = bare_gate(4).eval()(as_features(torch.zeros(1, 4, 4, dtype=torch.float64)))
    assert undecided.mask.sum() == 1


def test_a_closed_gate_keeps_the_best_noisy_unit_in_training() -> None:
    torch.manual_seed(6)
    keep = torch.full((900, 3, 3), -12.0, dtype=torch.float64)
    x = as_features(keep).requires_grad_()
    mask = bare_gate(3).train()(x).mask
    assert mask.flatten(1).sum(1).tolist() == [1.0] * 900
    slope = torch.autograd.grad(mask.sum(), x)[0][:, 1]  # p (1 - p) rises with p below one half
    assert torch.equal(mask.flatten(1).argmax(1), slope.flatten(1).argmax(1))
    frequency = mask.mean(0).flatten()
    assert (frequency - 1 / 9).abs().max() < 3.5 * math.sqrt(1 / 9 * 8 / 9 / 900)
    torch.testing.assert_close(activation_loss(mask).item(), 1 / 9**2)
    keep[:, 1, 2] += 200
    assert (bare_gate(3).train()(as_features(keep - 200)).mask[:, 1, 2] == 1).all()


def test_what_follows_the_gate_sends_a_gradient_into_it() -> None:
    torch.manual_seed(7)
    gate = random_gate(4, 4).train()
    gate(torch.randn(8, 4, 14, 14, dtype=torch.float64)).features.square().mean().backward()
    for parameter in gate.parameters():
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()
        assert parameter.grad.abs().max() > 0


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("training", [True, False])
def test_large_features_and_autocast_stay_finite(mode: str, training: bool) -> None:
    torch.manual_seed(8)
    gate = GridGate(16, mode=mode).train(training)  # type: ignore[arg-type]
    for factor, enabled in [(1e4, False), (1.0, True), (1e4, True)]:
        x = (factor * torch.randn(4, 16, 14, 14)).requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            output = gate(x)
            loss = output.features.float().mean() + activation_loss(output.mask)
        gradients = torch.autograd.grad(loss, [x, *gate.parameters()])
        assert all(value.isfinite().all() for value in [*output, loss, *gradients])
        if mode == "hard":
            assert set(output.mask.unique().tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize("shape", [(3, 8), (8, 3)])
def test_a_map_smaller_than_the_grid_is_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"4.*3|3.*4"):
        GridGate(2, grid=4)(torch.zeros(1, 2, *shape))


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="medium"):
        GridGate(2, mode="medium")  # type: ignore[arg-type]


def test_a_share_of_the_training_images_is_not_masked() -> None:
    torch.manual_seed(0)
    features = torch.rand(400, 3, 8, 8)
    gate = GridGate(3, 4, unmasked=0.25).train()
    output = gate(features)
    assert set(output.mask.detach().unique().tolist()) == {0.0, 1.0}  # what the gate decides is not changed
    whole = (output.features == features).flatten(1).all(1)
    assert 60 < int(whole.sum()) < 140
    assert torch.equal(output.features[~whole], apply_mask(features, output.mask)[~whole])
    for other in (gate.eval(), GridGate(3, 4).train()):
        output = other(features)
        assert torch.equal(output.features, apply_mask(features, output.mask))


def test_evaluation_without_the_mask() -> None:
    features = torch.rand(5, 3, 8, 8)
    gate = GridGate(3, 4, mask_in_evaluation=False)
    assert torch.equal(gate.eval()(features).features, features)
    output = gate.train()(features)
    assert torch.equal(output.features, apply_mask(features, output.mask))


@pytest.mark.parametrize("margin", [0, 1, 2])
@pytest.mark.parametrize(
    ("grid", "cells", "size"), [(4, (4, 4), (64, 64)), (3, (7, 8), (100, 90)), (2, (5, 3), (9, 11))]
)
def test_pixels_of_closed_units_are_the_mean_colour(
    grid: int, cells: tuple[int, int], size: tuple[int, int], margin: int
) -> None:
    torch.manual_seed(grid)
    images, mask = torch.randn(2, 3, *size), (torch.rand(2, grid, grid) > 0.4).float()
    images[0, :, 0, 0] = float("nan")
    mask[0, 0, 0] = 0
    found = mask_pixels(images, mask, cells, margin)
    edges = [unit_edges(side, grid) for side in cells]

    def closed(image: int, *place: int) -> bool:
        """Whether a pixel of an image is in a closed unit."""
        unit = [
            max(i for i in range(grid) if edge[i] * pixels <= (at + 0.5) * side)
            for at, edge, side, pixels in zip(place, edges, cells, size, strict=True)
        ]
        return not mask[image, unit[0], unit[1]]

    for image in range(2):
        shut = {(y, x) for y in range(size[0]) for x in range(size[1]) if closed(image, y, x)}
        steps = range(-margin, margin + 1)
        gone = {(y + dy, x + dx) for y, x in shut for dy in steps for dx in steps}
        for y in range(size[0]):
            for x in range(size[1]):
                expected = torch.zeros(3) if (y, x) in gone else images[image, :, y, x]
                assert torch.equal(found[image, :, y, x], expected)


def test_a_held_decision_masks_another_map() -> None:
    torch.manual_seed(1)
    gate = random_gate(3, 4).eval()
    first, other = torch.rand(2, 2, 3, 9, 9).double()
    said = gate(first)
    held = gate.hold(other, said)
    assert torch.equal(held.features, apply_mask(other, said.mask))
    assert held.mask is said.mask
    assert held.logits is said.logits
