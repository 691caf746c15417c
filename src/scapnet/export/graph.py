"""The whole system as one graph: from pixels to probabilities, boxes, scores, scales, gate and embedding.

B batch, K classes, M parts, N grid, D feature size, H W size of the photo, S' side of the source.
"""

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torchvision.ops import box_convert

from scapnet.calibration import Prototypes
from scapnet.data.augment import sides
from scapnet.export.resize import Side, photo_sides, resized_view, shrunk
from scapnet.metrics.unknowns import agreement, familiarity, known_score
from scapnet.network import Network, as_module

Pixels = Literal["photo", "view"]
Kind = Literal["uint8", "float"]
OUTPUTS = {
    "probabilities": "(B, K) the answer; each row sums to 1",
    "embedding": "(B, D) the main branch's features",
    "logits": "(B, K) of the main branch",
    "part_logits": "(B, M, K) of the parts; (B, 1, K) of a classifier over all parts at once",
    "boxes": "(B, M, 4) x0, y0, x1, y1 of the parts in pixels of the photo, clipped to it",
    "view_boxes": "(B, M, 4) the same in pixels of the view",
    "scores": "(B, M) the gate's probability of keeping each part",
    "scales": "(B, M) sides of the parts in units of the grid",
    "gate": "(B, N, N) 1 for the units of the grid that the gate kept, 0 for the others",
    "known": "(B,) how familiar the photo looks; see `scapnet.metrics.unknowns`",
}


class PixelNetwork(nn.Module):
    """A network together with the steps from pixels to its inputs.

    Args:
        model: with its ``view``.
        pixels: "photo" takes photos of any size, "view" takes views (B, 3, S', S').
    """

    mean: Tensor
    std: Tensor

    def __init__(self, model: Network, pixels: Pixels = "photo") -> None:
        super().__init__()
        self.model, self.view, self.pixels = as_module(model), model.view, pixels
        self.classifier = model.classifier
        for name, values in (("mean", model.view.mean), ("std", model.view.std)):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)
        self.weights = familiar_weights(model)
        for name, tensor in model.prototypes._asdict().items() if self.weights and model.prototypes else ():
            self.register_buffer(f"prototypes_{name}", tensor, persistent=False)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Classify photos of one size.

        Args:
            image: (B, 3, H, W) uint8, or floats from 0 to 1.

        Returns:
            `OUTPUTS` without those that the network lacks; "view_boxes" only for photos.
        """
        height, width = image.shape[-2:]
        photo = image.float() if image.dtype == torch.uint8 else (image.float() * 255).round().clamp(0, 255)
        if self.pixels == "photo":
            vertical, horizontal = photo_sides(height, width, self.view)
            source = resized_view(photo, vertical, horizontal, self.view)
        else:
            source = photo
        output, embedding = self._run(source)
        found = {"probabilities": output.probs.float(), "embedding": embedding.float(), "logits": output.logits.float()}
        if output.part_logits is not None:
            found["part_logits"] = output.part_logits.float()
        if output.parts is not None:
            corners = box_convert(output.parts.boxes.float(), "cxcywh", "xyxy")  # (B, M, 4) in [0, 1]
            side = sides(self.view)[0]
            if self.pixels == "photo":
                found["boxes"] = self._in_photo(corners * side, vertical, horizontal, height, width)
            found |= {"view_boxes": corners * side, "scores": output.parts.scores, "scales": output.parts.scales}
        if output.gate is not None:
            found["gate"] = output.gate.mask.float()
        if self.weights:
            found["known"] = self._known(found)
        return found

    def _known(self, found: dict[str, Tensor]) -> Tensor:
        """`known_score` (B,) of outputs."""
        kept = Prototypes(*(getattr(self, f"prototypes_{name}") for name in Prototypes._fields))
        columns = [*familiarity(found["embedding"], kept)]
        if "part_logits" in found and self.weights[len(columns)]:
            columns.append(agreement(found["probabilities"], found["part_logits"]))
        return known_score(torch.stack(columns, 1), self.weights[: len(columns)])

    def _run(self, source: Tensor) -> tuple[Any, Tensor]:
        """The network's output for a source (B, 3, S', S') of whole numbers, and its classifier's input."""
        features = list[Tensor]()
        hook = self.classifier.register_forward_pre_hook(lambda _, inputs: features.append(inputs[0]))
        try:
            image = self._normalised(shrunk(source, self.view.size))
            larger = source.shape[-1] != self.view.size
            output = self.model(image, self._normalised(source) if larger else None)
        finally:
            hook.remove()
        return output, features[0]

    def _normalised(self, pixels: Tensor) -> Tensor:
        return (pixels / 255 - self.mean) / self.std

    def _in_photo(self, boxes: Tensor, vertical: Side, horizontal: Side, height: int, width: int) -> Tensor:
        """Boxes (B, M, 4) converted from pixels of the source to pixels of the photo, clipped to it."""
        offset = torch.stack([horizontal.offset, vertical.offset] * 2)
        scale = torch.stack([horizontal.scale, vertical.scale] * 2)
        end = torch.stack([torch.full((), length, dtype=torch.float32) for length in (width, height) * 2])
        return torch.minimum(((boxes + offset) / scale).clamp(min=0), end)


def familiar_weights(model: Network) -> tuple[float, ...]:
    """The weights of a calibrated network's score of being known; none where the score is not of its prototypes."""
    found = model.calibration
    return found.weights if found is not None and found.prototypes and model.prototypes is not None else ()


def trace(model: Network, pixels: Pixels = "photo", kind: Kind = "uint8") -> tuple[ExportedProgram, list[str]]:
    """The graph of a network, for any batch size, and for photos of any size.

    Args:
        model: in evaluation mode, with its ``view``.
        pixels: what the graph takes, photos or views; see `PixelNetwork`.
        kind: "uint8", or "float" for floats from 0 to 1.

    Returns:
        The graph, and the names of its outputs in order.
    """
    net = PixelNetwork(model, pixels).eval()
    side = sides(model.view)[0]
    shape = (2, 3, side + 37, side + 90) if pixels == "photo" else (2, 3, side, side)
    image = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    example = image if kind == "uint8" else image / 255
    # Torch 2.7 refuses a batch without a limit, because its tracer compares it with the largest integer.
    free = {0: Dim("batch", min=1, max=2**31 - 1)}
    free |= {2: Dim("height", min=1), 3: Dim("width", min=1)} if pixels == "photo" else {}
    with torch.no_grad():
        names = list(net(example))
        return torch.export.export(net, (example,), dynamic_shapes=(free,), strict=False), names
