"""What explanations are made of: the evidence of parts adds up, gradients are those of the score."""

from typing import Any

import pytest
import torch
from torch import nn

from samples import NO_MODULES, STAGE4, finches, leaves_unchanged, make
from scapnet.data.transforms import Views, centre_view, to_input
from scapnet.faithfulness.activation import activations, pasted
from scapnet.faithfulness.evidence import class_scores, part_evidence, part_maps, pixels_inside
from scapnet.faithfulness.explanations import chosen_by, explanations, input_x_gradient, run
from scapnet.model import SCAPNet

SETS: list[dict[str, Any]] = [{}, {"parts__strategy": "random"}, {"parts__classifier": "each"}]


def batch_of(model: SCAPNet, count: int = 2) -> Views:
    inputs = [to_input(centre_view(sample.image, model.view)[0], model.view) for sample in finches(count)]
    return {key: torch.stack([one[key] for one in inputs]) for key in inputs[0]} | {"index": torch.arange(count)}


@pytest.mark.parametrize("changes", SETS)
def test_parts_and_main_branch_add_up_to_the_score(changes: dict[str, Any]) -> None:
    model = make(**changes)
    with torch.no_grad():
        output = run(model, batch_of(model))
    main = output.logits - output.logits.mean(1, keepdim=True)
    torch.testing.assert_close(main / 2 + part_evidence(output).sum(1), class_scores(output))
    assert torch.allclose(class_scores(output).sum(1), torch.zeros(2), atol=1e-5)


def test_the_score_of_a_network_with_weighed_branches_is_its_answer() -> None:
    model = make(parts__pool=(0.3, 1.2))
    with torch.no_grad():
        output = run(model, batch_of(model))
    torch.testing.assert_close(class_scores(output).softmax(1), output.probs)
    main = 0.3 * (output.logits - output.logits.mean(1, keepdim=True))
    torch.testing.assert_close(main + part_evidence(output).sum(1), class_scores(output))


def test_part_maps_are_sums_over_the_boxes_that_hold_a_pixel() -> None:
    model = make()
    with torch.no_grad():
        output = run(model, batch_of(model))
    classes = torch.tensor([[2, 0], [1, 3]])
    size, evidence = 10, part_evidence(output)
    assert output.parts is not None
    plain, spread = part_maps(output, classes, size), part_maps(output, classes, size, spread=True)
    for b in range(2):
        for c in range(2):
            expected, divided = torch.zeros(size, size), torch.zeros(size, size)
            for m in range(6):
                x, y, w, h = output.parts.boxes[b, m].tolist()
                inside = [
                    (i, j)
                    for i in range(size)
                    for j in range(size)
                    if x - w / 2 <= (j + 0.5) / size < x + w / 2 and y - h / 2 <= (i + 0.5) / size < y + h / 2
                ]
                for i, j in inside:
                    expected[i, j] += evidence[b, m, classes[b, c]]
                    divided[i, j] += evidence[b, m, classes[b, c]] / len(inside)
            torch.testing.assert_close(plain[b, c], expected)
            torch.testing.assert_close(spread[b, c], divided)


def test_pixels_of_the_whole_view_and_of_no_box() -> None:
    boxes = torch.tensor([[0.5, 0.5, 1.0, 1.0], [0.25, 0.25, 0.5, 0.5], [0.5, 0.5, 0.0, 0.0]])
    assert pixels_inside(boxes, 8).float().mean((1, 2)).tolist() == [1, 0.25, 0]


@pytest.mark.parametrize("changes", [{}, STAGE4, NO_MODULES])
def test_cam_sums_to_the_main_branch_without_its_bias(changes: dict[str, Any]) -> None:
    model = make(**changes)
    if model.gate is not None:
        model.gate.mode = "hard"
        with torch.no_grad():
            model.gate.fc2.bias.copy_(torch.tensor([-50.0, 50.0]))  # open
    batch, classes = batch_of(model), torch.tensor([[0, 1, 2, 3]] * 2)
    found = activations(model, batch, classes)
    with torch.no_grad():
        output = run(model, batch)
        main = output.logits - model.classifier.bias
        main = main - main.mean(1, keepdim=True)
    half = 1.0 if output.part_logits is None else 0.5
    torch.testing.assert_close(found.main.sum((2, 3)), half * main, rtol=1e-3, atol=1e-4)


def test_the_cam_of_the_parts_sums_to_their_evidence_without_the_bias() -> None:
    model = make(relation__enabled=False)
    batch, classes = batch_of(model), torch.tensor([[0, 1, 2, 3]] * 2)
    found = activations(model, batch, classes)
    with torch.no_grad():
        evidence = part_evidence(run(model, batch)).sum(1)
    assert isinstance(model.part_classifier, nn.Linear)
    bias = model.part_classifier.bias - model.part_classifier.bias.mean()
    assert found.parts is not None
    torch.testing.assert_close(found.parts.sum((2, 3)), evidence - bias / 2, rtol=1e-3, atol=1e-4)


def test_maps_are_laid_into_their_boxes() -> None:
    maps = torch.rand(1, 2, 3, 2, 2)
    boxes = torch.tensor([[[0.25, 0.25, 0.5, 0.5], [0.5, 0.5, 1.0, 1.0]]])
    found = pasted(maps, boxes, 8)
    alone = pasted(maps[:, 1:], boxes[:, 1:], 8)
    torch.testing.assert_close(alone.sum((2, 3)), maps[:, 1].sum((2, 3)))
    torch.testing.assert_close((found - alone)[..., :4, :4].sum((2, 3)), maps[:, 0].sum((2, 3)))
    assert torch.equal(found[..., 4:, :], alone[..., 4:, :])


def test_input_x_gradient_is_that_of_the_score() -> None:
    """On a step that is small enough to leave the choice of parts and the gate as they are."""
    model = make(relation__enabled=False).double()
    batch = {key: value.double() if value.is_floating_point() else value for key, value in batch_of(model).items()}
    classes = torch.tensor([[1], [2]])
    found = input_x_gradient(model, batch, classes)
    mean, std = (torch.tensor(v).view(3, 1, 1).double() for v in (model.view.mean, model.view.std))
    step = 1e-5  # all pixels in [0, 1] times 1 + step
    brighter = {
        key: (value * std + mean) * (1 + step) / std - mean / std if value.is_floating_point() else value
        for key, value in batch.items()
    }
    with torch.no_grad():
        rise = (class_scores(run(model, brighter)) - class_scores(run(model, batch))).gather(1, classes) / step
    assert "source" in batch
    torch.testing.assert_close(found.maps.sum((2, 3)), rise, rtol=1e-3, atol=1e-4)


def test_a_networks_explanations_and_what_they_leave() -> None:
    classes = torch.tensor([[0, 1], [2, 3]])
    model = make()
    names = set(explanations(model, batch_of(model), classes))
    assert names >= {
        "parts",
        "random_boxes",
        "fixed_boxes",
        "cam",
        "parts_cam",
        "whole_cam",
        "input_x_gradient",
        "chance",
    }
    plain = make(**NO_MODULES)
    assert set(explanations(plain, batch_of(plain), classes)) == {"cam", "input_x_gradient", "chance"}
    joined = make(parts__classifier="concat")  # no part has a vote of its own
    assert "parts" not in explanations(joined, batch_of(joined), classes)

    def work(model: SCAPNet) -> Any:
        model.eval()
        found = explanations(model, batch_of(model), classes)
        model.train()
        model.backbone.eval()
        return [found[name].total.tolist() for name in found]

    leaves_unchanged(work)


def test_other_boxes_and_back() -> None:
    model = make()
    batch = batch_of(model)
    assert model.selection is not None
    with torch.no_grad(), chosen_by(model, "fixed"):
        fixed = run(model, batch)
    assert torch.equal(fixed.parts.boxes[0], fixed.parts.boxes[1])
    assert model.selection.strategy == "score"
