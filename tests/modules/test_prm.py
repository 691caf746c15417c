from typing import Any

import pytest
import torch
from torch import Tensor

import reference
from scapnet.modules import PartRelation, relation_weights
from scapnet.modules.prm import encode_geometry, relative_geometry


def random_boxes(*shape: int) -> Tensor:
    """Boxes (..., 4) whose centres are well apart for the clamp of the log."""
    return torch.cat([torch.rand(*shape, 2), 0.1 + 0.5 * torch.rand(*shape, 2)], dim=-1).double()


def lists(layer: torch.nn.Linear | None) -> Any:
    return None if layer is None else layer.weight.tolist()


@pytest.mark.parametrize("heads", [1, 2, 3, 4])
@pytest.mark.parametrize("dim", [12, 10])
@pytest.mark.parametrize(("appearance", "geometry"), [(True, True), (True, False), (False, True)])
def test_module_equals_the_reference(heads: int, dim: int, appearance: bool, geometry: bool) -> None:
    torch.manual_seed(heads)
    prm = PartRelation(dim, key_dim=5, heads=heads, appearance=appearance, geometry=geometry).double()
    for parameter in prm.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    parts, boxes = torch.randn(2, 6, dim, dtype=torch.float64), random_boxes(2, 6)
    boxes[1, 3, :2] = boxes[1, 0, :2] + 1e-5
    output = prm(parts, boxes)
    for b in range(2):
        expected = reference.eq16_relate(
            parts[b].tolist(),
            boxes[b].tolist(),
            lists(prm.query),
            lists(prm.key),
            lists(prm.value),
            lists(prm.geo),
            heads,
        )
        torch.testing.assert_close(output[b].tolist(), expected, rtol=0, atol=1e-5)


def test_layers_are_those_of_the_paper() -> None:
    shapes = {name: tuple(p.shape) for name, p in PartRelation(20, key_dim=8, geo_dim=16, heads=3).named_parameters()}
    assert shapes == {
        "query.weight": (24, 20),
        "key.weight": (24, 20),
        "value.weight": (20, 20),
        "geo.weight": (3, 16),
    }
    assert {name for name, _ in PartRelation(20, appearance=False).named_parameters()} == {"value.weight", "geo.weight"}
    names = {name for name, _ in PartRelation(20, geometry=False).named_parameters()}
    assert names == {"query.weight", "key.weight", "value.weight"}


def test_geometry_and_its_code_equal_the_reference() -> None:
    torch.manual_seed(0)
    boxes = random_boxes(2, 5)
    g = relative_geometry(boxes)
    code = encode_geometry(g, 64)
    assert g.shape == (2, 5, 5, 4)
    assert code.shape == (2, 5, 5, 64)
    for b in range(2):
        for n in range(5):
            for m in range(5):
                expected = reference.relative_geometry(boxes[b, n].tolist(), boxes[b, m].tolist())
                torch.testing.assert_close(g[b, n, m].tolist(), expected, rtol=0, atol=1e-9)
                waves = reference.encode_geometry(expected)
                torch.testing.assert_close(code[b, n, m].tolist(), waves, rtol=0, atol=1e-5)
    own = torch.tensor([1e-3, 1e-3, 1.0, 1.0], dtype=torch.float64).log()
    torch.testing.assert_close(g[:, range(5), range(5)], own.expand(2, 5, 4))


def test_relative_geometry_of_two_parts_by_hand() -> None:
    boxes = torch.tensor([[0.2, 0.3, 0.1, 0.2], [0.6, 0.4, 0.4, 0.1]], dtype=torch.float64)
    g = relative_geometry(boxes).exp()
    torch.testing.assert_close(g[0, 1].tolist(), [1.0, 1.0, 0.25, 2.0])  # part 1 sends: by its width and height
    torch.testing.assert_close(g[1, 0].tolist(), [4.0, 0.5, 4.0, 0.5])


@pytest.mark.parametrize("heads", [1, 3])
def test_shifting_and_scaling_all_boxes_changes_nothing(heads: int) -> None:
    torch.manual_seed(1)
    prm = PartRelation(10, heads=heads).double()
    parts, boxes = torch.randn(3, 6, 10, dtype=torch.float64), random_boxes(3, 6)
    shift = torch.tensor([0.3, -0.2, 0.0, 0.0], dtype=torch.float64)
    for moved in (boxes + shift, 0.4 * boxes, 2.5 * boxes - shift):
        torch.testing.assert_close(relative_geometry(moved), relative_geometry(boxes), rtol=0, atol=1e-9)
        torch.testing.assert_close(prm(parts, moved), prm(parts, boxes), rtol=0, atol=1e-6)
    assert (prm(parts, boxes.flip(1)) - prm(parts, boxes)).abs().max() > 1e-3


@pytest.mark.parametrize("heads", [1, 4])
def test_permuting_the_parts_permutes_the_output(heads: int) -> None:
    torch.manual_seed(2)
    prm = PartRelation(10, heads=heads).double()
    parts, boxes, order = torch.randn(3, 6, 10).double(), random_boxes(3, 6), torch.tensor([4, 0, 5, 2, 1, 3])
    torch.testing.assert_close(prm(parts[:, order], boxes[:, order]), prm(parts, boxes)[:, order])


def test_zero_values_make_it_the_identity() -> None:
    torch.manual_seed(3)
    prm = PartRelation(10, heads=3)
    torch.nn.init.zeros_(prm.value.weight)
    parts = torch.randn(2, 6, 10)
    assert torch.equal(prm(parts, random_boxes(2, 6).float()), parts)


def test_one_part_receives_its_own_value() -> None:
    torch.manual_seed(3)
    prm, parts = PartRelation(10, heads=3).double(), torch.randn(2, 1, 10).double()
    torch.testing.assert_close(prm(parts, random_boxes(2, 1)), parts + parts @ prm.value.weight.T)


def test_a_batch_equals_its_images_and_runs_are_equal() -> None:
    torch.manual_seed(4)
    prm = PartRelation(10, heads=3).double().eval()
    parts, boxes = torch.randn(4, 6, 10).double(), random_boxes(4, 6)
    whole = prm(parts, boxes)
    assert torch.equal(whole, prm(parts, boxes))
    single = torch.cat([prm(parts[b : b + 1], boxes[b : b + 1]) for b in range(4)])
    torch.testing.assert_close(single, whole, rtol=0, atol=1e-6)


def test_relation_weights_equal_the_quotient() -> None:
    torch.manual_seed(5)
    appearance, geometry = 3 * torch.randn(2, 3, 6, 6).double(), torch.randn(2, 3, 6, 6).double().relu()
    geometry[0, 0, :, 0] = 0.1
    weights = relation_weights(appearance, geometry)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 3, 6).double())
    naive = geometry * appearance.exp()
    naive = naive / naive.sum(-1, keepdim=True)
    finite = naive.isfinite().all(-1)
    assert finite.sum() >= 30
    torch.testing.assert_close(weights[finite], naive[finite])
    assert (weights[finite][geometry[finite] == 0] == 0).all()
    for row, f, p in zip(weights.flatten(0, 2), appearance.flatten(0, 2), geometry.flatten(0, 2), strict=True):
        torch.testing.assert_close(row.tolist(), reference.eq11_relation(f.tolist(), p.tolist()), rtol=0, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_relation_weights_at_the_extremes(dtype: torch.dtype) -> None:
    appearance = torch.tensor([[1e4, -1e4, 0.0], [1.0, 2.0, 3.0], [5.0, 5.0, 9.0], [1e4, 0.0, -1e4]], dtype=dtype)
    geometry = torch.tensor([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 1e-30, 1e30]], dtype=dtype)
    appearance.requires_grad_()
    geometry.requires_grad_()
    weights = relation_weights(appearance, geometry)
    alone = torch.tensor([1.0, 2.0, 3.0]).softmax(0).tolist()
    expected = torch.tensor([[1.0, 0.0, 0.0], alone, [0.5, 0.5, 0.0], [0.0, 1.0, 0.0]], dtype=dtype)
    torch.testing.assert_close(weights, expected, rtol=0, atol=1e-2 if dtype == torch.bfloat16 else 1e-6)
    steepness = torch.arange(12.0, dtype=dtype).reshape(4, 3)
    gradients = torch.autograd.grad((weights * steepness).sum(), [appearance, geometry])
    assert all(g.isfinite().all() for g in gradients)


@pytest.mark.parametrize("heads", [1, 3])
@pytest.mark.parametrize("factor", [1.0, 1e4])
@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("case", ["plain", "same boxes", "no omega_P", "some omega_P", "tiny boxes"])
def test_degenerate_input_stays_finite(heads: int, factor: float, autocast: bool, case: str) -> None:
    torch.manual_seed(6)
    prm = PartRelation(10, heads=heads)
    boxes = random_boxes(2, 6).float()
    if case == "same boxes":
        boxes = boxes[:, :1].expand(2, 6, 4).clone()
    if case == "no omega_P":
        prm.load_state_dict({**prm.state_dict(), "geo.weight": torch.zeros(heads, 64)})
    if case == "some omega_P":
        boxes[:, :3] = boxes[:, :1]
    if case == "tiny boxes":
        boxes[..., 2:] = 1e-4
    parts = (factor * torch.randn(2, 6, 10)).requires_grad_()
    boxes.requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        output = prm(parts, boxes)
    gradients = torch.autograd.grad(output.float().mean(), [parts, boxes, *prm.parameters()], allow_unused=True)
    assert all(v is None or v.isfinite().all() for v in [output, *gradients])
    assert gradients[0] is not None
    if case == "no omega_P" and not autocast and factor == 1.0:
        alone = PartRelation(10, heads=heads, geometry=False)
        alone.load_state_dict({k: v for k, v in prm.state_dict().items() if k != "geo.weight"})
        torch.testing.assert_close(output, alone(parts, boxes))


@pytest.mark.parametrize("heads", [0, 11])
def test_impossible_heads_are_refused(heads: int) -> None:
    with pytest.raises(ValueError, match=str(heads)):
        PartRelation(10, heads=heads)
