"""The most similar training photos, and the same part in them, by the cosine of the network's features.

n photos of a class, M parts, D feature size.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.nn.functional import normalize

from scapnet.backbones.weights import model_folder
from scapnet.checkpoint import read_run
from scapnet.data.broken import readable_samples
from scapnet.data.record import names_of
from scapnet.data.sample import FineGrained
from scapnet.data.scored import choose
from scapnet.explain.evidence import NEEDED, capturing, main_features, part_embeddings
from scapnet.explain.explanation import Explanation, Neighbour, Neighbours, PartNeighbour
from scapnet.network import Network
from scapnet.predict import photo_boxes, run_network, view_of
from scapnet.tensorfile import save_tensors

FOLDER = "part-index"  # in a run folder
MOST = 100  # photos per class, evenly spread over the class


@dataclass(frozen=True)
class ClassParts:
    """A network's features and parts of the training photos of one class."""

    photos: Tensor  # (n,) indices into the training split
    features: Tensor  # (n, D) of the main branch, of length 1
    embeddings: Tensor  # (n, M, D) of the parts, of length 1; M is 0 without parts
    boxes: Tensor  # (n, M, 4) xyxy in [0, 1] of the photo


class TrainingPhotos:
    """The training photos of a run.

    The features of a class are computed on first use and stored in the run folder.

    Args:
        run: the run folder.
        model: its network.
        root: the folder of its data now, if it has moved.
        table: likewise for a table of photos.
        say: receives a sentence before photos are read.

    Raises:
        ValueError: the run's training photos are missing.
    """

    def __init__(
        self,
        run: Path,
        model: Network,
        root: Path | None = None,
        table: Path | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        config = read_run(run)
        chosen = choose(run, config.data, model.classes, "train", root, table)
        self.model, self.say, self.folder = model, say, run / FOLDER
        self.data: FineGrained = chosen.data
        self.names = names_of(chosen.data, chosen.root)
        self.digest = _digest(run, self.names)
        self.found: dict[int, ClassParts] = {}

    def of_class(self, k: int) -> ClassParts:
        """The features and parts of the photos of class number k."""
        if k not in self.found:
            file = self.folder / f"{k:05d}.safetensors"
            found = _read(file, self.digest)
            if found is None:
                found = self._look(k)
                _write(file, found, self.digest)
            self.found[k] = found
        return self.found[k]

    def others(self, k: int, path: str) -> ClassParts:
        """Likewise, without the photo at a path, which would be its own nearest neighbour."""
        found, place = self.of_class(k), Path(path)
        file = getattr(self.data, "name", None)
        if file is None or not place.is_file():
            return found
        keep = torch.tensor([not _same_file(Path(file(i)), place) for i in found.photos.tolist()], dtype=torch.bool)
        return ClassParts(*(tensor[keep] for tensor in vars(found).values()))

    def _look(self, k: int) -> ClassParts:
        indices = [i for i, label in enumerate(self.data.labels) if int(label) == k]
        if len(indices) > MOST:
            indices = [indices[i] for i in torch.linspace(0, len(indices) - 1, MOST).long().tolist()]
        self.say(f"reading {len(indices)} training photos of {self.model.classes[k]}")
        rows = [looked_at(self.model, self.data, [i]) for i in indices]
        rows = [row for row in rows if len(row.photos)]
        if not rows:
            raise ValueError(f"none of the training photos of {self.model.classes[k]} can be read")
        columns = zip(*((row.photos, row.features, row.embeddings, row.boxes) for row in rows), strict=True)
        return ClassParts(*(torch.cat(column) for column in columns))


def looked_at(model: Network, data: FineGrained, indices: Sequence[int]) -> ClassParts:
    """The features and parts of the readable ones among some photos of a split, as one batch."""
    samples = {i: found for i in indices for found in readable_samples(data, [i])[0]}
    if not samples:
        return ClassParts(torch.zeros(0, dtype=torch.long), *(torch.zeros(0) for _ in range(3)))
    views = [view_of(sample.image, sample.path, model.view) for sample in samples.values()]
    with capturing(model, NEEDED) as captured:
        output = run_network(model, views, samples)
    features = normalize(main_features(captured), dim=1)
    parts, embeddings = output.parts, part_embeddings(captured)
    if parts is None or embeddings is None:
        empty = torch.zeros(len(views), 0)
        return ClassParts(torch.tensor([*samples]), features, empty[:, :, None], empty[:, :, None])
    boxes = [
        photo_boxes(box, view.frame, view.height, view.width) / torch.tensor([view.width, view.height] * 2)
        for box, view in zip(parts.boxes, views, strict=True)
    ]
    return ClassParts(torch.tensor([*samples]), features, normalize(embeddings, dim=2), torch.stack(boxes))


def _same_file(one: Path, other: Path) -> bool:
    return one.name == other.name and one.is_file() and one.samefile(other)


def _digest(run: Path, names: Sequence[str]) -> str:
    """A hash of what an index depends on: the weights of the run's model, and its training photos."""
    with (model_folder(run) / "model.safetensors").open("rb") as file:
        found = hashlib.file_digest(file, "blake2b")
    found.update("\n".join(names).encode(errors="surrogateescape"))
    return found.hexdigest()[:32]


def _read(file: Path, digest: str) -> ClassParts | None:
    """An index file; None if it is missing, or of another model or other photos."""
    try:
        with safe_open(file, "pt") as tensors:
            if (tensors.metadata() or {}).get("digest") != digest:
                return None
            names = ("photos", "features", "embeddings", "boxes")
            photos, *rest = (tensors.get_tensor(name) for name in names)
            return ClassParts(photos, *(tensor.float() for tensor in rest))
    except (OSError, SafetensorError):
        return None


def _write(file: Path, found: ClassParts, digest: str) -> None:
    """Store an index, if the run folder is writable."""
    tensors = {key: value.half().contiguous() for key, value in vars(found).items()}
    tensors["photos"] = found.photos
    try:
        file.parent.mkdir(exist_ok=True)
        draft = file.with_suffix(".draft")
        save_tensors(tensors, draft, {"digest": digest})
        draft.replace(file)
    except (OSError, SafetensorError):
        return


def neighbours(explanation: Explanation, training: TrainingPhotos, k: int, count: int = 3) -> Neighbours:
    """The training photos of a class that a photo resembles most, and those with the most similar parts.

    Args:
        explanation: the explanation of the photo, with its features.
        training: the run's training photos.
        k: number of the class.
        count: number of neighbours.

    Returns:
        The nearest photos by the main branch's features, without the explained one itself, each with its nearest part
        to each of the M parts; and for each part, the nearest parts in all photos of the class, at most one per photo.
    """
    index = training.others(k, explanation.path)
    assert explanation.features is not None
    cosine = index.features @ normalize(explanation.features.float(), dim=0)  # (n,)
    ours = torch.zeros(0, 1) if explanation.embeddings is None else normalize(explanation.embeddings.float(), dim=1)
    places, similar = _same_parts(ours, index.embeddings)  # (M, n) each

    def part(m: int, i: int) -> PartNeighbour:
        x0, y0, x1, y1 = index.boxes[i, places[m, i]].tolist()
        number = int(index.photos[i])
        return PartNeighbour(training.names[number], number, (x0, y0, x1, y1), float(similar[m, i]))

    photos = []
    for i in cosine.topk(min(count, len(cosine))).indices.tolist():
        number = int(index.photos[i])
        same = tuple(part(m, i) for m in range(len(places)))
        photos.append(Neighbour(training.names[number], number, float(cosine[i]), same))
    nearest = similar.topk(min(count, len(cosine)), dim=1).indices.tolist()
    parts = tuple(tuple(part(m, i) for i in row) for m, row in enumerate(nearest))
    return Neighbours(training.model.classes[k], tuple(photos), parts)


def _same_parts(ours: Tensor, theirs: Tensor) -> tuple[Tensor, Tensor]:
    """The part of each photo (n, M', D) most similar to each of ours (M, D), and the cosine: (M, n) each."""
    if not len(ours) or not theirs.shape[1]:
        return torch.zeros(0, len(theirs), dtype=torch.long), torch.zeros(0, len(theirs))
    similar, places = torch.einsum("md,npd->mnp", ours, theirs).max(2)
    return places, similar
