"""Predict photos with an exported model where no PyTorch is installed: needs onnxruntime, numpy and Pillow.

scapnet export runs/photos --out model.onnx
python onnx_predict.py model.onnx photo.jpg ...
"""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


def predict(session: onnxruntime.InferenceSession, path: str, top: int = 5) -> None:
    """Print the best classes of a photo, and where the parts lie that they rest on."""
    classes = json.loads(session.get_modelmeta().custom_metadata_map["classes"])
    with Image.open(path) as photo:
        pixels = np.asarray(ImageOps.exif_transpose(photo).convert("RGB"))  # (H, W, 3) uint8, upright
    names = [output.name for output in session.get_outputs()]
    found = dict(zip(names, session.run(None, {"image": pixels.transpose(2, 0, 1)[None]}), strict=True))
    probabilities = found["probabilities"][0]
    print(path)
    for k in probabilities.argsort()[::-1][:top]:
        print(f"  {probabilities[k]:6.1%}  {classes[k]}")
    # A plain backbone has no parts, and a graph exported with --parts unsure looks at those of some photos only.
    if "boxes" in found and found.get("looked", [True])[0]:
        for box, scale, score in zip(found["boxes"][0], found["scales"][0], found["scores"][0], strict=True):
            print(f"  part of scale {scale}, score {score:.2f}, at {np.round(box).astype(int).tolist()}")


if __name__ == "__main__":
    model = onnxruntime.InferenceSession(sys.argv[1])
    for name in sys.argv[2:]:
        predict(model, name)
