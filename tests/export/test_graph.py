"""A network behind everything that turns pixels into its inputs."""

from typing import Any

import pytest
import torch

from samples import NO_MODULES, calibrated, make, painted
from scapnet.config import ViewConfig
from scapnet.data.images import to_tensor
from scapnet.engine import TorchEngine
from scapnet.export.graph import OUTPUTS, PixelNetwork
from scapnet.predict import predict_images, run_views, view_of


@pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
@pytest.mark.parametrize("size", [(1, 1), (31, 200), (300, 211)])
def test_it_answers_as_prediction_does(fit: Any, size: tuple[int, int]) -> None:
    model = calibrated()
    model.view = ViewConfig(64, 72, 96, fit=fit)
    photo = to_tensor(painted(*size))
    with torch.no_grad():
        found = PixelNetwork(model)(photo[None])
    (expected,) = predict_images(model, [photo], ["a"], top=4)
    assert list(found) == list(OUTPUTS)
    values, order = found["probabilities"][0].sort(descending=True)
    assert [model.classes[k] for k in order.tolist()] == list(expected.names)
    torch.testing.assert_close(values, torch.tensor(expected.probabilities))
    boxes = torch.tensor([part.box for part in expected.parts])
    torch.testing.assert_close(found["boxes"][0], boxes, atol=1e-3, rtol=1e-4)
    assert found["scales"][0].tolist() == [part.scale for part in expected.parts]
    torch.testing.assert_close(found["scores"][0], torch.tensor([part.score for part in expected.parts]))
    assert float(found["gate"].mean()) == expected.kept
    answers = run_views(TorchEngine(model), [view_of(photo, "a", model.view)], [0])
    assert answers.features is not None
    torch.testing.assert_close(found["embedding"], answers.features)


def test_floats_whole_numbers_and_views_give_one_answer() -> None:
    model, photo = calibrated(), to_tensor(painted(120, 90))
    view = view_of(photo, "a", model.view)
    with torch.no_grad():
        whole, floats = PixelNetwork(model)(photo[None]), PixelNetwork(model)(photo[None] / 255)
        of_view = PixelNetwork(model, "view")(view.source[None])
    for name in OUTPUTS:
        assert torch.equal(whole[name], floats[name])
        assert name == "boxes" or torch.equal(whole[name], of_view[name])
    assert "boxes" not in of_view
    side = view.frame.side
    back = view.frame.to_photo(of_view["view_boxes"][0] / side)
    torch.testing.assert_close(whole["boxes"][0], back, atol=1e-3, rtol=1e-4)


def test_a_plain_backbone_has_an_answer_and_an_embedding() -> None:
    with torch.no_grad():
        found = PixelNetwork(make(**NO_MODULES))(to_tensor(painted(80, 80))[None])
    assert list(found) == ["probabilities", "embedding", "logits"]
