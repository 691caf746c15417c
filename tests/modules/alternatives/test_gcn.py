"""The graph convolution of Table X against plain loops, and on boxes that divide by nothing."""

import pytest
import torch
from torch import Tensor

import reference
from scapnet.modules import PartGraph
from scapnet.modules.alternatives.gcn import box_adjacency, normalise


def random_boxes(*shape: int) -> Tensor:
    return torch.cat([torch.rand(*shape, 2), 0.1 + 0.5 * torch.rand(*shape, 2)], dim=-1).double()


@pytest.mark.parametrize("parts", [1, 2, 6])
def test_module_equals_the_reference(parts: int) -> None:
    torch.manual_seed(parts)
    graph = PartGraph(7).double()
    features, boxes = torch.randn(3, parts, 7, dtype=torch.float64), random_boxes(3, parts)
    boxes[1] = boxes[1, :1]
    output = graph(features, boxes)
    for b in range(3):
        adjacency = reference.graph_adjacency(boxes[b].tolist())
        torch.testing.assert_close(box_adjacency(boxes)[b].tolist(), adjacency, rtol=0, atol=1e-12)
        expected = reference.graph_relate(features[b].tolist(), boxes[b].tolist(), graph.value.weight.tolist())
        torch.testing.assert_close(output[b].tolist(), expected, rtol=0, atol=1e-9)


def test_the_adjacency_by_hand() -> None:
    boxes = torch.tensor([[0.2, 0.5, 0.2, 0.5], [0.4, 0.5, 0.2, 0.5], [0.2, 0.5, 0.6, 0.1]], dtype=torch.float64)
    adjacency = box_adjacency(boxes)
    torch.testing.assert_close(adjacency.diagonal(), torch.ones(3).double())
    torch.testing.assert_close(adjacency, adjacency.T)
    torch.testing.assert_close(adjacency[0, 1:].log().tolist(), [-1.0, 0.0])  # they touch; the same centre
    torch.testing.assert_close(adjacency[1, 2].log().item(), -0.25)


def test_shifting_and_scaling_all_boxes_changes_nothing_and_their_places_do() -> None:
    torch.manual_seed(1)
    boxes = random_boxes(3, 6)
    shift = torch.tensor([0.3, -0.2, 0.0, 0.0], dtype=torch.float64)
    for moved in (boxes + shift, 0.4 * boxes, 448 * (boxes - shift)):
        torch.testing.assert_close(box_adjacency(moved), box_adjacency(boxes), rtol=0, atol=1e-9)
    graph, features = PartGraph(5).double(), torch.randn(3, 6, 5).double()
    assert (graph(features, boxes.flip(1)) - graph(features, boxes)).abs().max() > 1e-3


def test_permuting_the_parts_permutes_the_output() -> None:
    torch.manual_seed(2)
    graph, order = PartGraph(10).double(), torch.tensor([4, 0, 5, 2, 1, 3])
    features, boxes = torch.randn(3, 6, 10).double(), random_boxes(3, 6)
    torch.testing.assert_close(graph(features[:, order], boxes[:, order]), graph(features, boxes)[:, order])


def test_a_batch_equals_its_images_and_gradients_reach_everything() -> None:
    torch.manual_seed(3)
    graph, boxes = PartGraph(10).double(), random_boxes(4, 6)
    features = torch.randn(4, 6, 10).double().requires_grad_()
    whole = graph(features, boxes)
    single = torch.cat([graph(features[b : b + 1], boxes[b : b + 1]) for b in range(4)])
    torch.testing.assert_close(single, whole, rtol=0, atol=1e-9)
    gradients = torch.autograd.grad(whole.square().sum(), [features, *graph.parameters()])
    assert [name for name, _ in graph.named_parameters()] == ["value.weight"]
    assert all(g.isfinite().all() and g.abs().sum() > 0 for g in gradients)


def test_equal_boxes_give_every_part_the_mean_of_all_values() -> None:
    torch.manual_seed(4)
    graph, features = PartGraph(10).double(), torch.randn(2, 6, 10).double()
    expected = features + graph.value(features).mean(1, keepdim=True)
    torch.testing.assert_close(graph(features, random_boxes(2, 1).expand(2, 6, 4)), expected)


def test_zero_values_make_it_the_identity() -> None:
    graph, features = PartGraph(10), torch.randn(2, 6, 10)
    torch.nn.init.zeros_(graph.value.weight)
    assert torch.equal(graph(features, random_boxes(2, 6).float()), features)


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("size", [0.0, 1e-30, 1e-4, 1.0, 1e4])
@pytest.mark.parametrize("same", [False, True])
def test_degenerate_boxes_stay_finite(autocast: bool, size: float, same: bool) -> None:
    torch.manual_seed(5)
    graph, boxes = PartGraph(10), random_boxes(2, 6).float()
    boxes[..., 2:] = size
    boxes = (boxes[:, :1].expand(2, 6, 4) if same else boxes).clone().requires_grad_()
    features = torch.randn(2, 6, 10).requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        output = graph(features, boxes)
    gradients = torch.autograd.grad(output.float().square().mean(), [features, boxes, *graph.parameters()])
    assert all(v.isfinite().all() for v in [output, *gradients])
    weights = normalise(box_adjacency(boxes))
    assert weights.min() >= 0
    assert torch.linalg.eigvalsh(weights.detach().double()).max() < 1 + 1e-5  # what the normalisation is for
