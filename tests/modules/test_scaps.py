import math

import pytest
import torch
from torch import Tensor

import reference
from scapnet.modules import GridGate, PartSelection
from scapnet.modules.scaps import top_indices

CASES = [
    (2, (1, 0)),
    (2, (4, 1)),
    (3, (3, 2, 1)),
    (4, (3, 2, 1)),
    (4, (0, 2, 1, 1)),
    (4, (6,)),
    (5, (2, 0, 3)),
    (5, (25, 16, 9, 4, 1)),
]


def make_gate(channels: int) -> GridGate:
    gate = GridGate(channels, hidden=5).double().eval()
    for parameter in gate.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    return gate


def reference_scores(gate: GridGate, image: reference.Cube, grid: int, scales: int) -> list[reference.Vector]:
    w1, b1, w2, b2 = (p.tolist() for p in (gate.fc1.weight, gate.fc1.bias, gate.fc2.weight, gate.fc2.bias))
    result = []
    for u in range(1, scales + 1):
        pooled = [reference.window_average(image, grid, u, i, j) for i, j in reference.windows(grid, u)]
        result.append([reference.keep_probability(reference.eq4_score(g, w1, b1, w2, b2)) for g in pooled])
    return result


def indifferent(pooled: Tensor) -> Tensor:
    return 0 * pooled[..., :2]


def indices(boxes: Tensor, scales: Tensor, grid: int) -> list[tuple[int, int]]:
    """(scale, window index) of the boxes (M, 4) of one image on a map that the grid divides."""
    result = []
    for (x, y, w, h), u in zip(boxes.tolist(), scales.tolist(), strict=True):
        i, j = round((y - h / 2) * grid), round((x - w / 2) * grid)
        result.append((int(u), i * (grid - int(u) + 1) + j))
    return result


def test_sampled_windows_follow_their_scores_in_training_alone() -> None:
    select, rows = PartSelection(2, (1, 0), "sample"), 4000
    odds = torch.tensor([0.0, 1.0, 2.0, -1.0])
    features = odds.view(1, 1, 2, 2).expand(rows, 1, 2, 2)

    def score(pooled: Tensor) -> Tensor:
        return torch.cat([0 * pooled, pooled], -1)

    torch.manual_seed(0)
    found = select(features, score)
    drawn = [indices(boxes, scales, 2)[0][1] for boxes, scales in zip(found.boxes, found.scales, strict=True)]
    share = torch.bincount(torch.tensor(drawn), minlength=4) / rows
    torch.testing.assert_close(share, (2 * odds).softmax(0), rtol=0, atol=0.03)
    best = select.eval()(features[:2], score)
    assert [indices(best.boxes[b], best.scales[b], 2) for b in range(2)] == [[(1, 2)], [(1, 2)]]


def test_a_scorer_that_is_sure_of_every_window_has_a_best_one_and_draws_others() -> None:
    select, rows = PartSelection(2, (1, 1), "sample"), 2000
    features = torch.tensor([50.0, 60.0, 55.0, 40.0]).view(1, 1, 2, 2).expand(rows, 1, 2, 2)  # P(keep) is 1

    def score(pooled: Tensor) -> Tensor:
        return torch.cat([0 * pooled, pooled], -1)

    best = select.eval()(features[:1], score)
    assert best.scores.tolist() == [[1.0, 1.0]]
    assert best.log_odds is not None
    assert best.log_odds[0, 0] == 60
    assert indices(best.boxes[0], best.scales[0], 2)[0] == (1, 1)
    torch.manual_seed(0)
    found = select.train()(features, score)
    drawn = [indices(boxes, scales, 2)[0][1] for boxes, scales in zip(found.boxes, found.scales, strict=True)]
    share = torch.bincount(torch.tensor(drawn), minlength=4) / rows
    odds = torch.tensor([-1.25, 4.0, 3.75, -4.0])  # from their mean, and at most 4
    torch.testing.assert_close(share, (2 * odds).softmax(0), rtol=0, atol=0.03)


@pytest.mark.parametrize("count", [1, 4, 13])
def test_equal_scores_come_in_the_order_of_their_index(count: int) -> None:
    scores = torch.randint(0, 4, (50, 13), generator=torch.Generator().manual_seed(0)) / 4
    expected = scores.argsort(dim=1, descending=True, stable=True)[:, :count]
    assert torch.equal(top_indices(scores, count), expected)


@pytest.mark.parametrize("shape", [(28, 28), (14, 14), (9, 13)])
@pytest.mark.parametrize(("grid", "keep"), CASES)
@pytest.mark.parametrize("strategy", ["score", "top"])
def test_selection_equals_the_reference(
    shape: tuple[int, int], grid: int, keep: tuple[int, ...], strategy: str
) -> None:
    torch.manual_seed(grid)
    gate, total = make_gate(3), sum(keep)
    x = 2 * torch.randn(2, 3, *shape, dtype=torch.float64)
    select = PartSelection(grid, keep, strategy, total=total if strategy == "top" else None)  # type: ignore[arg-type]
    boxes, scores, scales, maps, *_ = select.eval()(x, gate.score)
    assert boxes.shape == (2, total, 4)
    assert len(maps) == len(keep)
    for b, image in enumerate(x.tolist()):
        every = reference_scores(gate, image, grid, len(keep))
        top = strategy == "top"
        chosen = reference.choose_top(every, total) if top else reference.choose_by_quota(every, keep)
        for u, values in enumerate(every, start=1):
            assert maps[u - 1].shape == (2, grid - u + 1, grid - u + 1)
            torch.testing.assert_close(maps[u - 1][b].flatten().tolist(), values, rtol=0, atol=1e-5)
        where = [reference.windows(grid, u)[k] for u, k in chosen]
        expected = [reference.window_box(*shape, grid, u, *ij) for (u, _), ij in zip(chosen, where, strict=True)]
        assert scales[b].tolist() == [u for u, _ in chosen]
        torch.testing.assert_close(scores[b].tolist(), [every[u - 1][k] for u, k in chosen], rtol=0, atol=1e-5)
        torch.testing.assert_close(boxes[b].tolist(), expected, rtol=0, atol=1e-5)


def test_the_default_is_three_two_one_on_a_grid_of_four() -> None:
    assert PartSelection()(torch.rand(2, 2, 8, 8), lambda x: x).scales.tolist() == [[1, 1, 1, 2, 2, 3]] * 2


def test_equal_scores_are_chosen_by_scale_then_index() -> None:
    x = torch.rand(1, 2, 12, 12)
    by_quota = PartSelection(4, (3, 2, 1))(x, indifferent)
    assert indices(by_quota.boxes[0], by_quota.scales[0], 4) == [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (3, 0)]
    top = PartSelection(4, (3, 2, 1), "top", total=20)(x, indifferent)
    assert indices(top.boxes[0], top.scales[0], 4) == [(1, k) for k in range(16)] + [(2, k) for k in range(4)]


@pytest.mark.parametrize("strategy", ["score", "top", "random", "fixed"])
def test_evaluation_is_repeatable_and_a_batch_equals_its_images(strategy: str) -> None:
    torch.manual_seed(2)
    gate = make_gate(4)
    select = PartSelection(4, strategy=strategy, total=6 if strategy == "top" else None).eval()  # type: ignore[arg-type]
    x, index = torch.randn(5, 4, 14, 14, dtype=torch.float64), torch.tensor([7, 3, 7, 1000, 0])
    first = select(x, gate.score, index=index)
    torch.manual_seed(99)
    second = select(x, gate.score, index=index)
    alone = [select(x[b : b + 1], gate.score, index=index[b : b + 1]) for b in range(5)]
    for k in range(3):
        assert torch.equal(first[k], second[k])
        torch.testing.assert_close(torch.cat([output[k] for output in alone]), first[k], rtol=0, atol=1e-6)


def test_random_windows_follow_the_index_and_are_uniform() -> None:
    select, grid, keep, batch = PartSelection(4, (3, 2, 1), "random"), 4, (3, 2, 1), 600
    x = torch.rand(batch, 2, 4, 4)
    torch.manual_seed(3)
    trained = select.train()(x, indifferent)
    evaluated = select.eval()(x, indifferent, index=torch.arange(batch))
    for output in (trained, evaluated):
        chosen = [indices(output.boxes[b], output.scales[b], grid) for b in range(batch)]
        assert all(len(set(parts)) == 6 and parts == sorted(parts) for parts in chosen)
        for u, quota in enumerate(keep, start=1):
            n = (grid - u + 1) ** 2
            counts = [sum((u, k) in parts for parts in chosen) for k in range(n)]
            assert sum(counts) == quota * batch
            p = quota / n
            assert max(abs(c / batch - p) for c in counts) < 4 * math.sqrt(p * (1 - p) / batch)
    same = select(x[:4], indifferent, index=torch.tensor([5, 5, 5, 5])).boxes
    assert torch.equal(same, same[:1].expand_as(same))
    assert torch.equal(same[0], evaluated.boxes[5])


def test_random_windows_carry_their_own_scores_in_order() -> None:
    torch.manual_seed(4)
    output = PartSelection(4, strategy="random").train()(torch.randn(6, 2, 8, 8), lambda pooled: pooled)
    for b in range(6):
        for m, (u, k) in enumerate(indices(output.boxes[b], output.scales[b], 4)):
            assert output.scores[b, m] == output.maps[u - 1][b].flatten()[k]
        order = [(u, -score) for u, score in zip(output.scales[b].tolist(), output.scores[b].tolist(), strict=True)]
        assert order == sorted(order)


def test_scores_are_probabilities_with_a_gradient_to_the_scorer() -> None:
    torch.manual_seed(5)
    gate = make_gate(4)
    output = PartSelection(4)(torch.randn(3, 4, 14, 14, dtype=torch.float64), gate.score)
    assert all(((m > 0) & (m < 1)).all() for m in output.maps)
    gradients = torch.autograd.grad(output.maps[0].square().sum(), list(gate.parameters()))
    assert all(g.abs().max() > 0 for g in gradients)


def test_fixed_windows_are_the_quadrants_the_centre_and_the_whole_view_in_every_image() -> None:
    torch.manual_seed(7)
    select, x = PartSelection(4, (0, 5, 0, 1), "fixed"), 3 * torch.randn(3, 2, 8, 8)
    corners = [(x, y, 0.5, 0.5) for y, x in [(0.25, 0.25), (0.25, 0.75), (0.5, 0.5), (0.75, 0.25), (0.75, 0.75)]]
    expected = torch.tensor([*corners, (0.5, 0.5, 1.0, 1.0)])
    for training, score in [(True, torch.neg), (False, torch.neg), (False, torch.clone), (False, indifferent)]:
        output = select.train(training)(x, score)
        assert torch.equal(output.boxes, expected.expand(3, 6, 4))
        assert output.scales.tolist() == [[2] * 5 + [4]] * 3
        for m, (u, k) in enumerate(indices(expected, output.scales[0], 4)):
            assert torch.equal(output.scores[:, m], output.maps[u - 1].flatten(1)[:, k])


@pytest.mark.parametrize(("grid", "keep"), CASES)
def test_fixed_windows_are_evenly_spaced(grid: int, keep: tuple[int, ...]) -> None:
    output = PartSelection(grid, keep, "fixed")(torch.rand(2, 2, grid, grid), lambda pooled: pooled)
    expected = []
    for u, quota in enumerate(keep, start=1):
        n = (grid - u + 1) ** 2
        even = [n // 2] if quota == 1 else torch.linspace(0, n - 1, quota).double().round().int().tolist()
        assert len(set(even)) == quota
        expected += [(u, k) for k in even]
    assert indices(output.boxes[1], output.scales[1], grid) == expected


@pytest.mark.parametrize(("strategy", "total"), [("score", None), ("top", 5), ("random", None), ("fixed", None)])
def test_large_features_and_autocast_stay_finite(strategy: str, total: int | None) -> None:
    torch.manual_seed(6)
    gate, select = GridGate(16), PartSelection(strategy=strategy, total=total)  # type: ignore[arg-type]
    for factor, enabled in [(1e4, False), (1.0, True), (1e4, True)]:
        x = (factor * torch.randn(3, 16, 14, 14)).requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            output = select(x, gate.score)
        loss = sum((m.float().sum() for m in output.maps), torch.zeros(()))
        gradients = torch.autograd.grad(loss, [x, *gate.parameters()])
        assert all(v.isfinite().all() for v in [*output[:3], *output.maps, *gradients])


@pytest.mark.parametrize(
    ("grid", "keep", "strategy", "total", "message"),
    [
        (4, (17, 2, 1), "score", None, "17"),
        (4, (3, 2, 5), "random", None, "5"),
        (3, (1, 1, 1, 0), "score", None, r"4.*3"),
        (2, (1, 1), "top", 6, "6"),
        (4, (3, 2, 1), "best", None, "best"),
        (4, (3, -1, 1), "score", None, "-1"),
    ],
)
def test_impossible_choices_are_refused(
    grid: int, keep: tuple[int, ...], strategy: str, total: int | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        PartSelection(grid, keep, strategy, total=total)  # type: ignore[arg-type]


def test_a_map_smaller_than_the_grid_is_refused() -> None:
    with pytest.raises(ValueError, match="grid"):
        PartSelection(4)(torch.zeros(1, 2, 8, 3), lambda pooled: pooled)


def test_known_logits_of_the_units_change_nothing_and_are_not_computed_again() -> None:
    torch.manual_seed(5)
    gate, x, sides = make_gate(4).float(), torch.randn(3, 4, 14, 14), list[int]()

    def score(pooled: Tensor) -> Tensor:
        sides.append(pooled.shape[1])
        return gate.score(pooled)

    select = PartSelection(4, (3, 2, 1))
    first, second = select(x, gate.score), select(x, score, units=gate(x).logits)
    assert sides == [3, 2]
    for one, other in zip([*first[:3], *first.maps], [*second[:3], *second.maps], strict=True):
        assert torch.equal(one, other)
