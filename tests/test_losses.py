import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import reference
from scapnet.losses import (
    SCAPNetLoss,
    activation_loss,
    cam_loss,
    consistency_loss,
    estimated_scores,
    part_loss,
    success_loss,
)
from scapnet.modules import GateOutput, PartsOutput


def random_maps(batch: int, grid: int, scales: int) -> tuple[Tensor, ...]:
    return tuple(torch.rand(batch, grid - u, grid - u, dtype=torch.float64) for u in range(scales))


def output_of(maps: tuple[Tensor, ...], batch: int, parts: int, classes: int) -> SimpleNamespace:
    logits, part_logits = torch.randn(batch, classes), torch.randn(batch, parts, classes)
    mask = (torch.rand(batch, 4, 4) > 0.5).double()
    empty = torch.zeros(0)
    return SimpleNamespace(
        logits=logits.double().requires_grad_(),
        part_logits=part_logits.double().requires_grad_(),
        gate=GateOutput(features=empty, mask=mask.requires_grad_(), logits=empty),
        parts=PartsOutput(boxes=empty, scores=empty, scales=empty, maps=tuple(m.requires_grad_() for m in maps)),
    )


@pytest.mark.parametrize("grid", [2, 3, 4, 5])
def test_activation_equals_the_reference(grid: int) -> None:
    torch.manual_seed(grid)
    for mask in (torch.rand(5, grid, grid).double(), (torch.rand(5, grid, grid) > 0.5).double()):
        torch.testing.assert_close(activation_loss(mask).item(), reference.eq2_activation(mask.tolist()))


def test_activation_squares_each_image_before_the_mean() -> None:
    mask = torch.stack([torch.ones(4, 4), torch.zeros(4, 4)])
    assert activation_loss(mask).item() == 0.5


@pytest.mark.parametrize("grid", [2, 3, 4, 5])
def test_estimates_equal_the_reference(grid: int) -> None:
    torch.manual_seed(grid)
    scores = torch.rand(3, grid, grid, dtype=torch.float64)
    for u in range(1, grid + 1):
        expected = [reference.eq7_estimate(image, u) for image in scores.tolist()]
        torch.testing.assert_close(estimated_scores(scores, u).tolist(), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("grid", "scales"), [(2, 2), (3, 3), (4, 3), (4, 4), (5, 2), (4, 1)])
@pytest.mark.parametrize("margin", [0.1, 0.3])
def test_consistency_equals_the_reference(grid: int, scales: int, margin: float) -> None:
    torch.manual_seed(grid)
    maps = random_maps(3, grid, scales)
    maps[-1][0] = 0.5  # equal scores: sign(0) = 0, so each pair costs the margin
    images = [[m[b].tolist() for m in maps] for b in range(3)]
    expected = sum(reference.eq8_consistency(image, margin) for image in images) / 3
    torch.testing.assert_close(consistency_loss(maps, margin).item(), expected, rtol=0, atol=1e-9)
    if margin == 0.1:
        assert consistency_loss(maps).item() == consistency_loss(maps, margin).item()


def test_consistency_by_hand() -> None:
    units = torch.tensor([[[0.9, 0.1, 0.1], [0.9, 0.1, 0.1], [0.5, 0.1, 0.1]]], dtype=torch.float64)
    pairs = torch.tensor([[[0.8, 0.2], [0.6, 0.4]]], dtype=torch.float64)
    # The estimates are 0.5, 0.1, 0.4, 0.1: their differences over the six pairs, times the sign of the scores'.
    signed = [0.4, 0.1, 0.4, 0.3, 0.0, 0.3]
    expected = sum(max(0.1 - v, 0.0) for v in signed)
    torch.testing.assert_close(consistency_loss((units, pairs)).item(), expected)
    turned = consistency_loss((units, 1 - pairs)).item()
    torch.testing.assert_close(turned, sum(max(0.1 + v, 0.0) for v in signed))


def test_consistency_is_zero_when_the_orders_agree_by_the_margin() -> None:
    units = torch.tensor([[[0.0, 0.2, 0.2], [0.4, 0.2, 1.0], [1.0, 0.6, 1.0]]], dtype=torch.float64)
    estimate = estimated_scores(units, 2)
    gaps = estimate.flatten().sort().values.diff()
    assert gaps.min() > 0.1
    assert consistency_loss((units, estimate / 3)).item() == 0
    assert consistency_loss((units, -estimate)).item() > 0


def test_the_gradient_of_consistency_reaches_scale_one_only() -> None:
    torch.manual_seed(1)
    maps = tuple(m.requires_grad_() for m in random_maps(2, 4, 3))
    first, *others = torch.autograd.grad(consistency_loss(maps), maps, allow_unused=True)
    assert first is not None
    assert first.abs().max() > 0
    assert all(g is None or not g.any() for g in others)


@pytest.mark.parametrize("parts", [1, 6])
def test_part_loss_equals_the_reference(parts: int) -> None:
    torch.manual_seed(parts)
    logits, target = 3 * torch.randn(4, parts, 7, dtype=torch.float64), torch.tensor([0, 6, 3, 3])
    expected = sum(reference.eq14_parts(row, y) for row, y in zip(logits.tolist(), target.tolist(), strict=True)) / 4
    torch.testing.assert_close(part_loss(logits, target).item(), expected, rtol=0, atol=1e-9)


def test_the_ensemble_is_the_mean_of_the_logits() -> None:
    logits, target = torch.tensor([[[9.0, 0.0], [-9.0, 0.0]]], dtype=torch.float64), torch.tensor([0])
    single = sum(reference.eq3_cross_entropy([a, 0.0], 0) for a in (9.0, -9.0))
    torch.testing.assert_close(part_loss(logits, target).item(), single + reference.eq3_cross_entropy([0.0, 0.0], 0))


def test_total_is_the_weighted_sum_of_raw_terms() -> None:
    torch.manual_seed(2)
    output, target = output_of(random_maps(4, 4, 3), 4, 6, 5), torch.tensor([0, 4, 2, 2])
    labels = target.tolist()
    rows = list(zip(output.logits.tolist(), output.part_logits.tolist(), labels, strict=True))
    images = [[m[b].tolist() for m in output.parts.maps] for b in range(4)]
    expected = {
        "cls": sum(reference.eq3_cross_entropy(y, label) for y, _, label in rows) / 4,
        "act": reference.eq2_activation(output.gate.mask.tolist()),
        "con": sum(reference.eq8_consistency(image) for image in images) / 4,
        "sub": sum(reference.eq14_parts(y, label) for _, y, label in rows) / 4,
    }
    for numbers in [(1.0, 1.0, 1.0, 1.0), (2.0, 0.5, 1.5, 0.3), (1.0, 0.0, 0.0, 0.0)]:
        weights: dict[str, Any] = dict(zip(expected, numbers, strict=True))
        terms = {name: value.item() for name, value in SCAPNetLoss(**weights)(output, target).items()}
        torch.testing.assert_close(terms, {**expected, "loss": reference.eq15_total(expected, weights)})
    assert SCAPNetLoss()(output, target)["loss"].item() == pytest.approx(sum(expected.values()))


def test_soft_targets_are_means_over_classes() -> None:
    torch.manual_seed(4)
    output = output_of(random_maps(4, 4, 3), 4, 6, 5)
    hard, other = torch.tensor([0, 4, 2, 2]), torch.tensor([1, 4, 0, 3])
    loss = SCAPNetLoss(smoothing=0.1)
    one_hot, mixed = F.one_hot(hard, 5).float(), 0.3 * F.one_hot(hard, 5) + 0.7 * F.one_hot(other, 5)
    terms, others = loss(output, hard), loss(output, other)
    for name, value in loss(output, one_hot).items():
        torch.testing.assert_close(value, terms[name])
    for name, value in loss(output, mixed).items():
        torch.testing.assert_close(value, 0.3 * terms[name] + 0.7 * others[name])


def test_class_weights_weigh_every_cross_entropy() -> None:
    torch.manual_seed(5)
    output, labels = output_of(random_maps(3, 4, 3), 3, 2, 4), [0, 3, 3]
    weights = [0.5, 1.0, 1.0, 3.0]
    terms = SCAPNetLoss(class_weights=torch.tensor(weights))(output, torch.tensor(labels))
    total = sum(weights[label] for label in labels)

    def mean(losses: list[float]) -> float:
        return sum(weights[label] * loss for label, loss in zip(labels, losses, strict=True)) / total

    rows = list(zip(output.logits.tolist(), output.part_logits.tolist(), labels, strict=True))
    assert terms["cls"].item() == pytest.approx(mean([reference.eq3_cross_entropy(y, k) for y, _, k in rows]))
    assert terms["sub"].item() == pytest.approx(mean([reference.eq14_parts(y, k) for _, y, k in rows]))


def test_distillation_is_the_divergence_from_the_mean_of_both_branches() -> None:
    torch.manual_seed(6)
    output, target = output_of(random_maps(3, 4, 3), 3, 2, 4), torch.tensor([0, 3, 3])
    tau = 3.0

    def softened(logits: list[float]) -> list[float]:
        powers = [math.exp(y / tau) for y in logits]
        return [power / sum(powers) for power in powers]

    total = 0.0
    for main, parts in zip(output.logits.tolist(), output.part_logits.tolist(), strict=True):
        mean = [sum(column) / 2 for column in zip(*parts, strict=True)]
        student = softened(main)
        teacher = [(p + q) / 2 for p, q in zip(student, softened(mean), strict=True)]
        total += sum(t * math.log(t / s) for t, s in zip(teacher, student, strict=True))
    terms = SCAPNetLoss(distill=0.5, distill_tau=tau)(output, target)
    assert terms["distill"].item() == pytest.approx(tau**2 * total / 3, rel=1e-4)
    without = SCAPNetLoss()(output, target)
    assert terms["loss"].item() == pytest.approx(float((without["loss"] + 0.5 * terms["distill"]).detach()), rel=1e-5)


def test_the_parts_learn_nothing_from_distillation() -> None:
    torch.manual_seed(7)
    output, target = output_of(random_maps(3, 4, 3), 3, 2, 4), torch.tensor([0, 3, 3])
    output.logits.requires_grad_()
    output.part_logits.requires_grad_()
    SCAPNetLoss(distill=1.0)(output, target)["distill"].backward()
    assert output.logits.grad.abs().sum() > 0
    assert output.part_logits.grad is None


def chosen(scores: list[list[float]], scales: list[list[int]]) -> PartsOutput:
    given = torch.tensor(scores).logit().requires_grad_()
    return PartsOutput(torch.zeros(*given.shape, 4), given.sigmoid(), torch.tensor(scales), (), given)


def test_success_is_the_cross_entropy_of_centred_scores_and_ranks_of_each_scale() -> None:
    torch.manual_seed(8)
    scores, scales = [[0.9, 0.3, 0.2], [0.6, 0.5, 0.7], [0.8, 0.4, 0.1]], [[1, 1, 2], [1, 1, 2], [1, 1, 3]]
    part_logits, target = torch.randn(3, 3, 4), torch.tensor([3, 0, 1])
    won = [[row.softmax(-1)[int(k)].item() for row in rows] for rows, k in zip(part_logits, target, strict=True)]
    total = 0.0
    for scale in (1, 2):  # the only part of scale 3 has nothing to be compared with
        cells = [(b, m) for b in range(3) for m in range(3) if scales[b][m] == scale]
        odds = [math.log(scores[b][m] / (1 - scores[b][m])) for b, m in cells]
        for (b, m), odd in zip(cells, odds, strict=True):
            rank = sum(won[i][j] < won[b][m] for i, j in cells) / (len(cells) - 1)
            p = 1 / (1 + math.exp(sum(odds) / len(odds) - odd))
            total -= rank * math.log(p) + (1 - rank) * math.log(1 - p)
    loss = success_loss(chosen(scores, scales), part_logits, target)
    assert loss.item() == pytest.approx(total / 9, rel=1e-5)
    soft = success_loss(chosen(scores, scales), part_logits, F.one_hot(target, 4).float())
    assert soft.item() == pytest.approx(loss.item(), rel=1e-6)


def test_success_ranks_the_windows_and_opens_no_gate() -> None:
    parts = chosen([[0.5], [0.5], [0.5], [0.5]], [[2], [2], [2], [2]])
    part_logits = torch.tensor([[[9.0, 0.0]], [[0.0, 9.0]], [[1.0, 0.0]], [[0.0, 1.0]]], requires_grad=True)
    loss = success_loss(parts, part_logits, torch.zeros(4, dtype=torch.long))
    assert parts.log_odds is not None
    given, answers = torch.autograd.grad(loss, (parts.log_odds, part_logits), allow_unused=True)
    assert answers is None
    wanted = -given[:, 0]
    assert wanted[0] > wanted[2] > 0 > wanted[3] > wanted[1]
    assert wanted.sum().item() == pytest.approx(0, abs=1e-6)


def test_cam_is_the_cross_entropy_of_centred_scores_and_ranks_of_evidence() -> None:
    torch.manual_seed(9)
    maps = tuple(m.float() for m in random_maps(2, 3, 2))
    cams = torch.randn(2, 3, 3)
    cams[0, 0, 1] = cams[0, 2, 2]  # a tie counts half
    total = 0.0
    for scale in (1, 2):
        side = 3 - scale + 1
        for image in range(2):
            cells = [(i, j) for i in range(side) for j in range(side)]
            evidence = [cams[image, i : i + scale, j : j + scale].mean().item() for i, j in cells]
            scores = [maps[scale - 1][image, i, j].item() for i, j in cells]
            odds = [math.log(p / (1 - p)) for p in scores]
            for mine, odd in zip(evidence, odds, strict=True):
                rank = sum((mine > other) + 0.5 * (mine == other) for other in evidence) / len(cells)
                p = 1 / (1 + math.exp(sum(odds) / len(odds) - odd))
                total -= (rank * math.log(p) + (1 - rank) * math.log(1 - p)) / len(cells) / 2
    assert cam_loss([m.logit() for m in maps], [1, 2], cams).item() == pytest.approx(total / 2, rel=1e-4)


@pytest.mark.parametrize("side", [3, 4, 9])  # a map of fewer cells than units, of as many, and of more
def test_cam_ranks_the_windows_and_opens_no_gate(side: int) -> None:
    cams = torch.zeros(1, side, side)
    cams[0, 0, 0] = 1.0
    odds = [torch.zeros(1, 4, 4, requires_grad=True), torch.zeros(1, 3, 3, requires_grad=True)]
    given = torch.autograd.grad(cam_loss(odds, [2], cams), odds, allow_unused=True)
    assert given[0] is None
    wanted = -given[1][0]
    assert wanted.argmax() == 0
    assert wanted[2, 2] < 0
    assert wanted.sum().item() == pytest.approx(0, abs=1e-6)


def test_a_scorer_that_is_sure_of_every_window_still_learns() -> None:
    odds = (40 + torch.arange(16.0)).reshape(1, 4, 4).requires_grad_()  # P(keep) is 1 in float32
    parts = PartsOutput(torch.zeros(1, 2, 4), torch.ones(1, 2), torch.ones(1, 2), (), odds.flatten(1)[:, [0, 15]])
    part_logits = torch.tensor([[[9.0, 0.0], [0.0, 9.0]]])  # the first window is right, the last is preferred
    for loss in (
        success_loss(parts, part_logits, torch.tensor([0])),
        cam_loss([odds], [1], 16 - torch.arange(16.0).reshape(1, 4, 4)),
    ):
        (given,) = torch.autograd.grad(loss, odds)
        assert given[0, 0, 0] < -0.01
        assert given[0, 3, 3] > 0.01


def test_absent_terms_are_absent() -> None:
    torch.manual_seed(3)
    output, target = output_of(random_maps(4, 4, 3), 4, 6, 5), torch.tensor([0, 4, 2, 2])
    full = SCAPNetLoss()(output, target)
    assert set(full) == {"cls", "act", "con", "sub", "loss"}
    output.part_logits = output.parts = None
    terms = SCAPNetLoss()(output, target)
    assert set(terms) == {"cls", "act", "loss"}
    torch.testing.assert_close(terms["loss"], full["cls"] + full["act"])
    output.gate = None
    terms = SCAPNetLoss()(output, target)
    assert set(terms) == {"cls", "loss"}
    torch.testing.assert_close(terms["loss"], full["cls"])


@pytest.mark.parametrize("factor", [1.0, 1e4])
@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_losses_stay_finite(factor: float, autocast: bool, dtype: torch.dtype) -> None:
    torch.manual_seed(4)
    output, target = output_of(random_maps(4, 4, 3), 4, 6, 5), torch.tensor([0, 4, 2, 2])
    output.logits = (factor * output.logits).to(dtype).detach().requires_grad_()
    output.part_logits = (factor * output.part_logits).to(dtype).detach().requires_grad_()
    output.parts = output.parts._replace(maps=tuple(m.to(dtype).detach().requires_grad_() for m in output.parts.maps))
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        terms = SCAPNetLoss()(output, target)
    inputs = [output.logits, output.part_logits, output.gate.mask, output.parts.maps[0]]
    gradients = torch.autograd.grad(terms["loss"], inputs)
    assert all(v.isfinite().all() for v in [*terms.values(), *gradients])


def test_a_target_of_the_wrong_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"4|target|batch"):
        part_loss(torch.zeros(4, 6, 5), torch.zeros(3, dtype=torch.long))
