"""Fig. 2 shows the shapes that the tensors have."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from PIL import ImageDraw
from torch import Tensor

from samples import NO_MODULES, STAGE4, leaves_unchanged, make
from scapnet.experiments.figures.architecture import architecture, shape_text, tensor_shapes


@pytest.mark.parametrize(
    "changes",
    [
        {},
        NO_MODULES,
        {"parts__enabled": False, "relation__enabled": False},
        STAGE4 | {"parts__shared": True},
        {"gate__mask": "none", "gate__grid": 3},
    ],
)
def test_the_architecture_shows_the_shapes_that_the_tensors_have(
    changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, image = make(**changes), torch.zeros(1, 3, 64, 64)
    with torch.no_grad():
        output = model(image)
        expected: dict[str, Sequence[Tensor]] = {"image": [image], "logits": [output.logits], "probs": [output.probs]}
        expected["features"] = [model.backbone(image)]
        expected["last map"] = [model.backbone.net.forward_features(image)]  # type: ignore[operator]
        if model.gate is not None:
            grid, third = model.gate.grid, model.backbone.head(image)
            expected |= {"stage-3 map": [third], "gate logits": [output.gate.logits]}
            expected["pooled units"] = [torch.zeros(1, grid, grid, third.shape[1])]
            if model.mask != "none":
                expected["mask"] = [output.gate.mask]
            if model.mask == "stage3":
                expected["masked map"] = [output.gate.features]
        if output.parts is not None:
            assert model.selection is not None
            # Scale 1 has the gate's own units.
            sides = [(1, grid - u, grid - u) for u in range(1, len(model.selection.keep))]
            m = model.selection.num_parts
            expected |= {"scores": output.parts.maps, "boxes": [output.parts.boxes]}
            expected |= {"windows": [torch.zeros(*side, third.shape[1]) for side in sides]}
            expected |= {"source": [torch.zeros(1, 3, 96, 96)], "crops": [torch.zeros(m, 3, 32, 32)]}
            expected |= {"part features": [torch.zeros(1, m, model.backbone.dim)], "part logits": [output.part_logits]}
        if model.relation is not None:
            expected["related features"] = expected["part features"]
    shapes = tensor_shapes(model, 64)
    assert shapes == {name: [tuple(tensor.shape) for tensor in tensors] for name, tensors in expected.items()}

    written: list[str] = []
    text = ImageDraw.ImageDraw.text

    def spy(self: ImageDraw.ImageDraw, xy: Any, said: str, *rest: Any, **options: Any) -> None:
        written.append(said)
        text(self, xy, said, *rest, **options)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", spy)
    architecture(model, 64)
    shown = sorted(line for line in written if line.startswith(("B x", "6B x", "4B x")))
    assert shown == sorted(shape_text(shape) for all_shapes in shapes.values() for shape in all_shapes)
    assert set(shapes) <= set(written)


def test_it_leaves_the_network_as_it_was() -> None:
    leaves_unchanged(lambda model: architecture(model, 64))
