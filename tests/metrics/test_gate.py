"""The gate's mask against the object's box, and against chance; how much of it the position explains."""

import itertools

import pytest
import torch
from torch import Tensor

from scapnet.metrics.gate import gate_overlap, intraclass_correlation
from scapnet.model import SCAPNetOutput
from scapnet.modules.ggau import GateOutput


def gate_of(mask: Tensor, size: int) -> SCAPNetOutput:
    zero = torch.zeros(1)
    gate = GateOutput(torch.zeros(len(mask), 1, size, size), mask, zero)
    return SCAPNetOutput(zero, None, zero, gate, None)


@pytest.mark.parametrize(("cells", "grid"), [(8, 4), (8, 3), (28, 5)])
@pytest.mark.parametrize("soft", [False, True])
def test_gate_precision_and_recall_equal_counting_fine_points(cells: int, grid: int, soft: bool) -> None:
    torch.manual_seed(0)
    mask = torch.rand(5, grid, grid)
    mask = mask if soft else (mask > 0.5).float()
    fine = 40 * cells
    first = torch.randint(-fine // 4, fine // 2, (5, 2))
    box = torch.cat((first, first + torch.randint(20, fine, (5, 2))), 1)  # some reach out of the view
    found = gate_overlap(gate_of(mask, cells), box / fine)
    line = [i * cells // grid * 40 for i in range(grid + 1)]
    for b in range(5):
        x0, y0, x1, y1 = box[b].clamp(0, fine).tolist()
        kept = inside = 0.0
        for i, j in itertools.product(range(grid), repeat=2):
            weight = float(mask[b, i, j])
            kept += weight * (line[i + 1] - line[i]) * (line[j + 1] - line[j])
            rows = len(set(range(line[i], line[i + 1])) & set(range(y0, y1)))
            inside += weight * rows * len(set(range(line[j], line[j + 1])) & set(range(x0, x1)))
        size = (x1 - x0) * (y1 - y0)
        if not size:
            assert found["gate_precision"][b].isnan()
            continue
        assert float(found["gate_precision"][b]) == pytest.approx(inside / kept, abs=1e-5)
        assert float(found["gate_recall"][b]) == pytest.approx(inside / size, abs=1e-5)


@pytest.mark.parametrize("kept", [1, 3, 9])
def test_a_random_gate_is_the_mean_over_all_gates_of_the_same_share(kept: int) -> None:
    masks = torch.zeros(0, 9)
    for chosen in itertools.combinations(range(9), kept):
        masks = torch.cat((masks, torch.zeros(1, 9).index_fill(1, torch.tensor(chosen), 1.0)))
    box = torch.tensor([0.1, 0.2, 0.75, 0.6]).expand(len(masks), 4)
    found = gate_overlap(gate_of(masks.view(-1, 3, 3), 9), box)
    for name in ("precision", "recall"):
        expected = float(found[f"random_gate_{name}"][0])
        assert float(found[f"gate_{name}"].mean()) == pytest.approx(expected, abs=1e-5)


def test_no_box_and_a_box_out_of_the_view_give_no_figure() -> None:
    box = torch.tensor([[torch.nan] * 4, [1.1, 0.0, 1.5, 1.0], [0.0, 0.0, 1.0, 1.0]])
    found = gate_overlap(gate_of(torch.ones(3, 4, 4), 8), box)
    assert all(value.isnan().tolist() == [True, True, False] for value in found.values())
    assert {key: float(value[2]) for key, value in found.items()} == dict.fromkeys(found, 1.0)


def test_the_intraclass_correlation_is_the_share_of_the_variance_between_units() -> None:
    torch.manual_seed(0)
    often = torch.rand(4, 4) < 0.5
    same = often.float().expand(30, 4, 4)
    assert float(intraclass_correlation(same)) == 1  # one mask for all
    chance = torch.where(often, 0.8, 0.2)  # variance of a unit 0.16, of the means about 0.09
    many = (torch.rand(20_000, 4, 4) < chance).float()
    between, within = float(chance.var()), 0.16
    assert float(intraclass_correlation(many)) == pytest.approx(between / (between + within), abs=0.02)
    soft = 0.2 + 0.6 * many  # no unit of measure
    assert float(intraclass_correlation(soft)) == pytest.approx(float(intraclass_correlation(many)))
    few = torch.stack([intraclass_correlation(five) for five in many.view(-1, 5, 4, 4)]).mean()  # no more by chance
    assert float(few) == pytest.approx(between / (between + within), abs=0.04)
    rolled = torch.stack([often.float().roll((i, j), (0, 1)) for i in range(4) for j in range(4)])
    assert float(intraclass_correlation(rolled)) == 0  # every place as often as the others
    for nothing in (torch.ones(30, 4, 4), torch.rand(1, 4, 4), torch.rand(30, 1, 1)):
        assert intraclass_correlation(nothing).isnan()
