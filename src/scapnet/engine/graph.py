"""An exported graph, which its own runtime runs.

B batch, S' side of the source.
"""

import torch
from torch import Tensor
from torchvision.ops import box_convert

from scapnet.checkpoint import Known
from scapnet.engine.base import Answers
from scapnet.exported import ExportedGraph


class GraphEngine:
    """An exported graph of views. It gets the pixels that the normalised views came from, and so the same answers.

    Args:
        graph: from `scapnet.exported.open_graph`.
        known: what the model folder that it was made from knows of its answers.

    Raises:
        ValueError: the graph takes whole photos.
    """

    def __init__(self, graph: ExportedGraph, known: Known | None = None) -> None:
        if graph.pixels != "view":
            raise ValueError(
                "this exported file takes whole photos; to predict with it here, export the model with --input view"
            )
        self.graph, self.view = graph, graph.view
        self.classes, self.threshold = graph.classes, graph.threshold
        values = torch.tensor([self.view.mean, self.view.std])[:, :, None, None]
        self.mean, self.std = values[0], values[1]
        self.parents, self.calibration, self.prototypes = known or Known()

    def __call__(self, image: Tensor, source: Tensor | None, index: Tensor) -> Answers:
        """Run the graph; ``index`` is not used, since graphs draw no random parts."""
        pixels = ((image if source is None else source) * self.std + self.mean).mul(255).round().clamp(0, 255)
        whole = self.graph.metadata["pixels"] == "uint8"
        given = pixels.to(torch.uint8) if whole else pixels / 255
        found = {name: torch.from_numpy(value) for name, value in self.graph.run(given.numpy()).items()}
        boxes = found.get("view_boxes")
        if boxes is not None:
            boxes = box_convert(boxes / pixels.shape[-1], "xyxy", "cxcywh")
        scores, scales, parts = (found.get(name) for name in ("scores", "scales", "part_logits"))
        chosen = boxes, scores, scales, parts
        return Answers(found["probabilities"], found.get("gate"), *chosen, found["embedding"], None, found["logits"])
