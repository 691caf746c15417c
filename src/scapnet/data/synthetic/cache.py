"""A disk cache of drawn pictures: each is drawn once, and later epochs and runs read it."""

import hashlib
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from scapnet.data.sample import Sample
from scapnet.data.synthetic.finches import Finches


class CachedFinches(Dataset[Sample]):
    """Finches that are drawn on first access and then read from a file.

    The file's name is a hash of everything that determines its pixels, including the output of the drawing code.
    Processes can share it: a picture is marked as drawn only after all its bytes are written, and every process writes
    the same bytes.

    Args:
        data: the pictures to cache.
        folder: folder of the cache file; created if missing.
    """

    def __init__(self, data: Finches, folder: Path) -> None:
        self.data, self.classes, self.labels, self.mark_names = data, data.classes, data.labels, data.mark_names
        style = (data.codes, data.labels, data.mark_scale, data.hide, data.bird_scale, data.seed, data.size)
        some = [data.draw(data.parameters(i)).numpy().tobytes() for i in range(min(4, len(data)))]
        digest = hashlib.sha256(repr(style).encode() + b"".join(some)).hexdigest()
        self.file = folder / f"{data.family}-{data.split}-{digest[:16]}.pixels"
        # The last byte of each row is 1 once the picture is drawn. A new file is sparse: all zeros, no disk space used.
        self.shape = (len(data), data.size * data.size * 3 + 1)
        folder.mkdir(parents=True, exist_ok=True)
        with self.file.open("ab") as file:
            file.truncate(self.shape[0] * self.shape[1])

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Sample:
        p = self.data.parameters(index)
        # Opened for each picture, which is cheap, because an open memory map cannot be sent to a loader process.
        row = np.memmap(self.file, np.uint8, "r+", shape=self.shape)[index]
        if row[-1]:
            return self.data.sample(index, p, torch.from_numpy(np.array(row[:-1])).reshape(3, self.data.size, -1))
        image = self.data.draw(p)
        row[:-1] = image.numpy().ravel()
        row[-1] = 1
        return self.data.sample(index, p, image)
