"""Photos to measure with: JPEGs of soft noise."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

COUNT, WIDTH, HEIGHT = 16, 500, 375  # the usual size of a photo of CUB-200-2011


def noise_photos(folder: Path, classes: Sequence[str], count: int = COUNT) -> Path:
    """A folder of ``count`` photos of the first two classes, in a folder for each."""
    rng = np.random.default_rng(0)
    for i in range(count):
        file = folder / classes[i % 2] / f"{i}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(rng.integers(0, 255, (HEIGHT // 25, WIDTH // 25, 3), dtype=np.uint8))
        coarse.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC).save(file, quality=90)
    return folder
