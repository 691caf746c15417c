"""Class activation maps against a hand-made network and the classifier's weights."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from samples import NAMES, NO_MODULES, STAGE4, finches, make
from scapnet.backbones.cnn import Backbone
from scapnet.config import ViewConfig
from scapnet.data.transforms import centre_view, to_input
from scapnet.experiments.figures.cam import activation
from scapnet.model import SCAPNet, masked_tail


class Pooled(nn.Module):
    """A network whose last map is the photo in 4 x 4 blocks, with more layers behind its pool on request."""

    def __init__(self, more: nn.Module) -> None:
        super().__init__()
        self.more = more

    def forward_features(self, x: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(x, 8)

    def forward_head(self, x: Tensor, pre_logits: bool) -> Tensor:
        assert pre_logits
        pooled: Tensor = self.more(x.mean((2, 3)))
        return pooled


def hand_made(more: nn.Module, weight: Tensor) -> SCAPNet:
    classifier = nn.Linear(weight.shape[1], len(weight), bias=False)
    with torch.no_grad():
        classifier.weight.copy_(weight)
    model = SCAPNet(Backbone(Pooled(more), 32, cut=False), classifier).eval()
    model.view, model.classes = ViewConfig(32, 32, mean=(0.0,) * 3, std=(1.0,) * 3), NAMES[: len(weight)]
    return model


def test_the_map_of_a_hand_made_network_is_known() -> None:
    photo = torch.full((3, 32, 32), 51, dtype=torch.uint8)
    photo[0, 8:16, 24:] = 255  # one red block, at row 1 and column 3
    model = hand_made(nn.Identity(), torch.tensor([[2.0, 0, -1], [1.0, 0, -1]]))
    cam, output = activation(model, [photo])
    expected = torch.full((1, 4, 4), 2 * 0.2 - 0.2)
    expected[0, 1, 3] = 2 * 1.0 - 0.2
    assert output.probs.argmax(1).tolist() == [0]
    torch.testing.assert_close(cam, expected)

    # Behind the pool, the first of two rectified sums is closed: the map follows the second one alone.
    linear = nn.Linear(3, 2, bias=False)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[-1.0, 0, 0], [0.5, 1, 0]]))
    model = hand_made(nn.Sequential(linear, nn.ReLU()), torch.tensor([[3.0, -1], [7.0, 2]]))
    cam, output = activation(model, [photo])
    blocks = nn.functional.avg_pool2d(photo.float() / 255, 8)
    assert output.probs.argmax(1).tolist() == [1]
    torch.testing.assert_close(cam[0], 2 * (0.5 * blocks[0] + blocks[1]))


@pytest.mark.parametrize("changes", [{}, NO_MODULES, {"parts__shared": True}, STAGE4, {"backbone": "convnext_atto"}])
def test_the_map_is_the_classifiers_weights_over_the_last_map(changes: dict[str, Any]) -> None:
    model, photos = make(**changes), [sample.image for sample in finches(2)]
    cam, output = activation(model, photos)
    view = torch.stack([to_input(centre_view(photo, model.view)[0], model.view)["image"] for photo in photos])
    with torch.no_grad():
        last = model.backbone.net.forward_features(view)  # type: ignore[operator]
        if model.gate is not None:
            third = model.backbone.head(view)
            last = masked_tail(model.backbone, third, model.gate, model.gate(third), model.mask)
        weight = model.classifier.weight[output.probs.argmax(1)]  # type: ignore[index]
    assert cam.shape == (2, *last.shape[-2:])
    if "backbone" not in changes:  # a norm behind the pool weighs the channels anew
        torch.testing.assert_close(cam, torch.einsum("bd,bdhw->bhw", weight, last), rtol=1e-3, atol=1e-4)
