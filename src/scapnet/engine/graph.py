"""An exported graph, which its own runtime runs.

B batch, H W size of a photo, S' side of the source.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torchvision.ops import box_convert

from scapnet.checkpoint import Known
from scapnet.data.augment import sides
from scapnet.engine.base import Answers
from scapnet.exported import ExportedGraph


class GraphEngine:
    """An exported graph. One of views gets the pixels that the normalised views came from, and so the same answers.

    Args:
        graph: from `scapnet.exported.open_graph`.
        known: what the model folder that it was made from knows of its answers; by default what the file knows.
    """

    def __init__(self, graph: ExportedGraph, known: Known | None = None) -> None:
        self.graph, self.view = graph, graph.view
        self.classes, self.threshold = graph.classes, graph.threshold
        values = torch.tensor([self.view.mean, self.view.std])[:, :, None, None]
        self.mean, self.std = values[0], values[1]
        self.parents, self.calibration, self.prototypes = known or Known(graph.parents, graph.calibration)
        self.scores = known is None  # a folder may have been calibrated again since its graph was made

    @property
    def of_photos(self) -> Callable[[Sequence[Tensor]], Answers] | None:
        """What answers whole photos (3, H, W) uint8 of any sizes, one by one; None of a graph that takes views."""
        return self._photos if self.graph.pixels == "photo" else None

    def __call__(self, image: Tensor, source: Tensor | None, index: Tensor) -> Answers:
        """Run a graph of views; ``index`` is not used, since graphs draw no random parts."""
        pixels = ((image if source is None else source) * self.std + self.mean).mul(255).round().clamp(0, 255)
        return self._run(pixels)

    def _photos(self, photos: Sequence[Tensor]) -> Answers:
        rows = [self._run(photo[None].float()) for photo in photos]
        fields = {name: [getattr(row, name) for row in rows] for name in Answers._fields}
        return Answers(**{name: torch.cat(found) for name, found in fields.items() if found[0] is not None})

    def _run(self, pixels: Tensor) -> Answers:
        """The answers to (B, 3, H, W) floats of whole numbers from 0 to 255."""
        whole = self.graph.metadata["pixels"] == "uint8"
        given = pixels.to(torch.uint8) if whole else pixels / 255
        found = {name: torch.from_numpy(value) for name, value in self.graph.run(given.numpy()).items()}
        boxes = found.get("view_boxes")
        if boxes is not None:
            boxes = box_convert(boxes / sides(self.view)[0], "xyxy", "cxcywh")
        scores, scales, parts = (found.get(name) for name in ("scores", "scales", "part_logits"))
        known = found.get("known") if self.scores else None
        said = boxes, scores, scales, parts, found["embedding"], found.get("looked"), found["logits"], known
        return Answers(found["probabilities"], found.get("gate"), *said)
