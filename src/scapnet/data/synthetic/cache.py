"""Drawn pictures kept in a file, so that every epoch and every run after the first only reads them."""

import hashlib
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from scapnet.data.sample import Sample
from scapnet.data.synthetic.finches import Finches


class CachedFinches(Dataset[Sample]):
    """Finches whose pictures are drawn once, and after that read from a file.

    The file is named after everything that decides its pixels, the drawing code among them. Processes may share it: a
    picture counts as drawn only when all of it is there, and whoever draws it again writes the same bytes.

    Args:
        data: the drawn pictures.
        folder: where the file lies; it is made.
    """

    def __init__(self, data: Finches, folder: Path) -> None:
        self.data, self.classes, self.labels = data, data.classes, data.labels
        style = (data.codes, data.labels, data.mark_scale, data.hide, data.seed, data.size)
        some = [data.draw(data.parameters(i)).numpy().tobytes() for i in range(min(4, len(data)))]
        digest = hashlib.sha256(repr(style).encode() + b"".join(some)).hexdigest()
        self.file = folder / f"{data.family}-{data.split}-{digest[:16]}.pixels"
        # A byte more for each picture tells whether it is drawn. A new file is all zeros, and takes no room yet.
        self.shape = (len(data), data.size * data.size * 3 + 1)
        folder.mkdir(parents=True, exist_ok=True)
        with self.file.open("ab") as file:
            file.truncate(self.shape[0] * self.shape[1])

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Sample:
        p = self.data.parameters(index)
        # Mapped anew for each picture: a mapping cannot travel to a loader's process, and making one costs little.
        row = np.memmap(self.file, np.uint8, "r+", shape=self.shape)[index]
        if row[-1]:
            return self.data.sample(index, p, torch.from_numpy(np.array(row[:-1])).reshape(3, self.data.size, -1))
        image = self.data.draw(p)
        row[:-1] = image.numpy().ravel()
        row[-1] = 1
        return self.data.sample(index, p, image)
