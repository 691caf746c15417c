"""What a network looked at on single photos: view, gate, class activation map, parts with their votes, and PRM.

B batch, M parts, K classes, N grid, H' W' size of the last map.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor
from torchvision.ops import box_convert

from scapnet.backbones.cnn import evaluation_mode
from scapnet.cam import class_activation_maps, last_maps
from scapnet.data.broken import readable_samples
from scapnet.data.images import to_photo
from scapnet.data.sample import FineGrained
from scapnet.explain.evidence import NEEDED, WHOLE, Captured, branches_of, capturing
from scapnet.explain.photo import Terms, evidence
from scapnet.modules.prm import PartRelation, relation_weights
from scapnet.network import Network, NetworkOutput, as_module
from scapnet.predict import run_network, view_of

Numbers = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class LookedPart:
    """A part of one photo."""

    box: tuple[float, float, float, float]  # x0, y0, x1, y1 in [0, 1] of the view
    scale: int
    score: float  # P(keep)
    vote: int  # the class that it alone votes for, or all at once where one classifier sees them all
    probability: float
    share: float | None  # what it adds to p(answer) - p(versus); None where the answer cannot be divided
    takes: tuple[float, ...]  # PRM's weights (Eq. 11) of all parts for this one, mean over the heads; () without PRM


@dataclass(frozen=True)
class Look:
    """What a network looked at on one photo."""

    sample: int  # its index in the split
    true: int
    best: tuple[tuple[int, float], ...]  # the first classes and their probabilities
    main: tuple[int, float]  # the main branch's answer
    together: tuple[int, float] | None  # the parts' answer
    versus: int  # the true class where the answer is wrong, or else the second best
    whole: float | None  # what the main branch adds to p(answer) - p(versus)
    gate: Numbers | None  # (N, N) share of each unit that was kept
    cam: Numbers | None  # (H', W') from 0 to 1: the answer's class activation map
    parts: tuple[LookedPart, ...]
    view: Image.Image  # what the network saw


def look(model: Network, data: FineGrained, samples: Sequence[int], batch_size: int = 16) -> Iterator[Look]:
    """Look at some photos of a split, in order; unreadable ones are left out.

    Args:
        model: with its ``view``.
        data: the split.
        samples: indices into it.
        batch_size: photos at a time.
    """
    for start in range(0, len(samples), batch_size):
        read = [(i, one) for i in samples[start : start + batch_size] for one in readable_samples(data, [i])[0]]
        if not read:
            continue
        views = [view_of(sample.image, sample.path, model.view) for _, sample in read]
        with ExitStack() as stack:
            captured = stack.enter_context(capturing(model, NEEDED))
            maps = stack.enter_context(last_maps(model.backbone))
            output = run_network(model, views, [i for i, _ in read])
        labels = torch.tensor([sample.label for _, sample in read])
        batch = _Batch(model, output, captured, maps[0], labels)
        for row, (i, _) in enumerate(read):
            yield batch.look(row, i, to_photo(views[row].source))


class _Batch:
    """What is known of a batch, on the CPU."""

    def __init__(self, model: Network, output: NetworkOutput, captured: Captured, last: Tensor, labels: Tensor) -> None:
        self.output, self.labels = output, labels
        self.probs = output.probs.float().cpu()
        self.main = output.logits.float().softmax(1).cpu()
        self.part_probs = None if output.part_logits is None else output.part_logits.float().softmax(2).cpu()
        self.together = None if output.part_logits is None else output.part_logits.float().mean(1).softmax(1).cpu()
        answer, second = self.probs.topk(2, 1).indices.unbind(1)
        self.versus = torch.where(answer == labels, second, labels)
        self.cam = _activation(model, last, answer)
        self.takes = _relation(model, captured)
        try:
            self.terms = [Terms(branch, answer, self.versus) for branch in branches_of(model, output, captured)]
        except ValueError:  # an answer that is no mean of softmax outputs
            self.terms = []

    def look(self, i: int, sample: int, view: Image.Image) -> Look:
        """The look at photo i of the batch."""
        order = self.probs[i].topk(min(3, self.probs.shape[1]))
        gate = self.output.gate
        return Look(
            sample,
            int(self.labels[i]),
            tuple(zip(order.indices.tolist(), order.values.tolist(), strict=True)),
            _top(self.main[i]),
            None if self.together is None else _top(self.together[i]),
            int(self.versus[i]),
            evidence(self.terms, i, WHOLE).share if self.terms else None,
            None if gate is None else _rows(gate.mask[i]),
            None if self.cam is None else _rows(self.cam[i]),
            tuple(self._parts(i)),
            view,
        )

    def _parts(self, i: int) -> Iterator[LookedPart]:
        parts, probs = self.output.parts, self.part_probs
        if parts is None or probs is None:
            return
        corners = box_convert(parts.boxes[i].float().cpu(), "cxcywh", "xyxy").clamp(0, 1)
        for m, (x0, y0, x1, y1) in enumerate(corners.tolist()):
            # A classifier over all parts at once has one row of logits, which speaks for each of them.
            vote, probability = _top(probs[i, min(m, probs.shape[1] - 1)])
            share = evidence(self.terms, i, m).share if self.terms else None
            takes = () if self.takes is None else tuple(self.takes[i, m].tolist())
            scale, score = int(parts.scales[i, m]), float(parts.scores[i, m])
            yield LookedPart((x0, y0, x1, y1), scale, score, vote, probability, share, takes)


def _top(probs: Tensor) -> tuple[int, float]:
    probability, k = probs.max(0)
    return int(k), float(probability)


def _rows(values: Tensor) -> Numbers:
    return tuple(tuple(row) for row in values.float().cpu().tolist())


def _activation(model: Network, last: Tensor, answer: Tensor) -> Tensor | None:
    """Class activation maps (B, H', W') from 0 to 1; None where the network ends in no map.

    Args:
        model: the network.
        last: (B, D, H', W') the main branch's last map.
        answer: (B,) classes.
    """
    if last.dim() != 4:
        return None
    with evaluation_mode(as_module(model)):
        cam = class_activation_maps(model, last, answer).cpu()
    least, most = cam.amin((1, 2), keepdim=True), cam.amax((1, 2), keepdim=True)
    return (cam - least) / (most - least).clamp(min=1e-12)


@torch.inference_mode()
def _relation(model: Network, captured: Captured) -> Tensor | None:
    """PRM's weights (B, n, m), the mean over the heads; None for a network without it."""
    relation = getattr(model, "relation", None)
    if not isinstance(relation, PartRelation) or "relation" not in captured:
        return None
    features, boxes = captured["relation"][0]
    weights = relation_weights(relation.appearance(features).float(), relation.geometry(boxes).float())
    return weights.mean(1).cpu()
