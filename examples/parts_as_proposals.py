"""SCAPS as a proposal generator: the best windows of each scale, as COCO results that other programs read.

python parts_as_proposals.py runs/photos photo.jpg folder/*.jpg > proposals.json
"""

import json
import sys
from typing import Any

import torch
from PIL import Image, ImageOps
from torchvision.ops import box_convert, nms
from torchvision.transforms.functional import pil_to_tensor

import scapnet
from scapnet.data.transforms import centre_view, to_input
from scapnet.modules import PartSelection


@torch.no_grad()
def propose(model: Any, path: str, keep: tuple[int, ...] = (8, 5, 2), overlap: float = 0.5) -> list[dict[str, Any]]:
    """Windows of a photo that the gate scores highest.

    Args:
        model: a trained SCAPNet in evaluation mode.
        path: the photo.
        keep: the number of windows of scale 1, 2, ...; it need not be what the network was trained with.
        overlap: of two windows with a larger intersection over union, only the better one stays.
    """
    with Image.open(path) as photo:
        pixels = pil_to_tensor(ImageOps.exif_transpose(photo).convert("RGB"))  # (3, H, W)
    view, geometry = centre_view(pixels, model.view)
    features = model.backbone.head(to_input(view, model.view)["image"][None])
    parts = PartSelection(model.gate.grid, keep)(features, model.gate.score)
    corners = geometry.to_photo(box_convert(parts.boxes[0], "cxcywh", "xyxy"))  # in pixels of the photo
    best = nms(corners, parts.scores[0], overlap)
    boxes = box_convert(corners[best], "xyxy", "xywh").tolist()
    found = zip(boxes, parts.scores[0, best].tolist(), parts.scales[0, best].tolist(), strict=True)
    return [{"image_id": path, "bbox": box, "score": score, "category_id": scale} for box, score, scale in found]


def main(run: str, *photos: str) -> None:
    """Print the proposals of all photos as JSON."""
    model = scapnet.from_pretrained(run).eval()
    json.dump([window for photo in photos for window in propose(model, photo)], sys.stdout, indent=1)


if __name__ == "__main__":
    main(*sys.argv[1:])
