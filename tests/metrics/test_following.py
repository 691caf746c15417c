"""What follows a mirrored and a shifted photo: counted in plain loops, and of choices that are known."""

from typing import Any

import pytest
import torch
from torch import Tensor

from samples import finches, make
from scapnet.data.transforms import centre_view, to_input
from scapnet.metrics.following import MOVES, following, follows, moved_views, part_choice, rows_of
from scapnet.model import SCAPNetOutput
from scapnet.modules.ggau import GateOutput
from scapnet.modules.scaps import PartsOutput


def output_of(mask: Tensor) -> SCAPNetOutput:
    """An output with a gate, and with the units that it keeps as parts."""
    zero, grid = torch.zeros(1), mask.shape[-1]
    boxes = torch.zeros(len(mask), int(mask[0].sum()), 4)
    for b in range(len(mask)):
        for m, (i, j) in enumerate(mask[b].nonzero().tolist()):
            boxes[b, m] = torch.tensor([j + 0.5, i + 0.5, 1, 1]) / grid
    parts = PartsOutput(boxes, zero, torch.ones(boxes.shape[:2]), (mask,))
    gate = GateOutput(torch.zeros(len(mask), 1, grid * 2, grid * 2), mask, zero)
    return SCAPNetOutput(zero, None, zero, gate, parts)


def brightest(views: dict[str, Tensor], grid: int = 4, count: int = 5) -> SCAPNetOutput:
    """Keeps the brightest units of a picture: it follows the content exactly."""
    pooled = torch.nn.functional.adaptive_avg_pool2d(views["image"][:, :1], grid)[:, 0].flatten(1)
    mask = torch.zeros_like(pooled).scatter(1, pooled.topk(count).indices, 1)
    return output_of(mask.view(-1, grid, grid))


VIEWS = {"image": torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(0)) ** 8}


def test_what_follows_is_counted_where_it_differs_from_what_stays() -> None:
    torch.manual_seed(1)
    before, expected, after = torch.rand(3, 5, 7) < 0.5
    ones, all_ = follows(before, expected, after)
    for b in range(5):
        places = [p for p in range(7) if before[b, p] != expected[b, p]]
        assert int(all_[b]) == len(places)
        assert int(ones[b]) == sum(bool(after[b, p] == expected[b, p]) for p in places)


def test_the_brightest_units_follow_a_mirror() -> None:
    found = following(brightest(VIEWS), VIEWS, brightest)
    assert found["gate_follows_mirror"].tolist() == [1] * 6
    assert found["parts_follows_mirror"].tolist() == [1] * 6
    assert float(found["parts_follows_shift"].mean()) > 0.8  # what comes in at the side is bright, too


@pytest.mark.parametrize("fixed", [[0, 5, 10], [1, 2, 13, 14]])
def test_fixed_places_stay(fixed: list[int]) -> None:
    def same(views: dict[str, Tensor]) -> SCAPNetOutput:
        mask = torch.zeros(len(views["image"]), 16)
        mask[:, fixed] = 1
        return output_of(mask.view(-1, 4, 4))

    found = following(same(VIEWS), VIEWS, same)
    assert found["parts_follows_shift"].tolist() == [0] * 6
    symmetric = fixed == [1, 2, 13, 14]
    assert found["parts_follows_mirror"].isnan().all() == symmetric  # a mirror cannot tell
    assert symmetric or found["gate_follows_mirror"].tolist() == [0] * 6


def test_a_choice_by_chance_has_a_half() -> None:
    generator = torch.Generator().manual_seed(3)

    def any_of(views: dict[str, Tensor]) -> SCAPNetOutput:
        scores = torch.rand(len(views["image"]), 16, generator=generator)
        return output_of(torch.zeros_like(scores).scatter(1, scores.topk(6).indices, 1).view(-1, 4, 4))

    views = {"image": torch.zeros(400, 3, 32, 32)}
    found = following(any_of(views), views, any_of)
    for value in found.values():
        assert float(value.nanmean()) == pytest.approx(0.5, abs=0.04)


def test_a_shift_moves_view_and_source_by_one_unit() -> None:
    views = {"image": torch.rand(1, 3, 32, 32), "source": torch.rand(1, 3, 48, 48)}
    moved = moved_views(views, "shift", 4)
    assert torch.equal(moved["image"][..., 8:], views["image"][..., :-8])
    assert torch.equal(moved["source"][..., 12:], views["source"][..., :-12])
    assert moved_views(views, "shift", 1)["image"].shape == views["image"].shape
    assert torch.equal(moved_views(views, "mirror", 4)["source"], views["source"].flip(-1))


def test_the_parts_of_a_network_are_found_among_the_windows() -> None:
    model = make()
    inputs = [to_input(centre_view(sample.image, model.view)[0], model.view) for sample in finches(3)]
    views = {key: torch.stack([one[key] for one in inputs]) for key in inputs[0]}

    @torch.no_grad()
    def run(views: dict[str, Tensor]) -> Any:
        return model(views["image"], views.get("source"))

    output = run(views)
    assert [int(one.sum()) for one in part_choice(output)] == [9, 6, 3]  # 3, 2 and 1 of three photos
    found = following(output, views, run)
    assert set(found) == {f"{what}_follows_{move}" for what in ("gate", "parts") for move in MOVES}
    some = torch.tensor([True, False, True])
    part = following(rows_of(output, some), {key: view[some] for key, view in views.items()}, run)
    for key, value in found.items():
        torch.testing.assert_close(part[key], value[some], equal_nan=True)
