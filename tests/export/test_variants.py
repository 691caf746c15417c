"""Variants of the network as ONNX graphs, by the exporter of PyTorch that is fast and will go one day."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from samples import make

onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra: pip install scapnet[export]")
pytest.importorskip("onnxscript", reason="needs the extra: pip install scapnet[export]")


class Flat(nn.Module):
    """Tensors in, tensors out."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        output = self.model(image)
        return output.probs, output.parts.boxes


def check(file: Path, model: nn.Module, count: int) -> None:
    image = torch.randn(count, 3, 64, 64, generator=torch.Generator().manual_seed(count))
    session = onnxruntime.InferenceSession(file)
    probs, boxes = session.run(None, {session.get_inputs()[0].name: image.numpy()})
    with torch.no_grad():
        expected = model(image)
    np.testing.assert_allclose(probs, expected[0].numpy(), atol=1e-5)
    np.testing.assert_allclose(boxes, expected[1].numpy(), atol=1e-6)


@pytest.mark.parametrize(
    "changes",
    [
        {"parts__strategy": "top", "parts__total": 5},
        {"backbone": "test_vit"},
        {"gate__mask": "stage4", "gate__grid": 2, "parts__keep": (3, 1)},
    ],
)
def test_the_older_exporter_takes_any_batch_size(tmp_path: Path, changes: dict[str, Any]) -> None:
    model = Flat(make(**changes)).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            (torch.randn(2, 3, 64, 64),),
            str(tmp_path / "m.onnx"),
            dynamo=False,
            opset_version=17,
            input_names=["image"],
            dynamic_axes={"image": {0: "batch"}},
        )
    for count in (1, 2, 5):
        check(tmp_path / "m.onnx", model, count)
