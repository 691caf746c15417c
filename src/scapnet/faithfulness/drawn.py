"""The FunnyBirds protocols on the drawn finches: explanations compared with the effect of removing marks and clutter.

B batch, K classes, R regions, S side of the view, T thresholds.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from scapnet.data.synthetic.anatomy import ANATOMY
from scapnet.data.synthetic.cache import CachedFinches
from scapnet.data.synthetic.drawing import Parameters
from scapnet.data.synthetic.finches import Finches
from scapnet.data.synthetic.interventions import (
    background_objects,
    visible_marks,
    with_background,
    without_background,
    without_marks,
)
from scapnet.data.transforms import Views, centre_view, to_input
from scapnet.faithfulness.evidence import class_scores
from scapnet.faithfulness.explanations import Explanation, explanations, run
from scapnet.metrics import faithfulness as protocol
from scapnet.network import Network, device_of
from scapnet.terminal.console import ProgressBar

BATCH = 32
CHECKS = ("data_check", "preservation", "deletion", "distractibility")
NOISE = 2.5 / 255  # smaller changes of a pixel are ignored
DILATION = 5 / 256  # side of the square that a region is dilated by, in sides of the view; 5 pixels of 256 as published


def drawn_birds(data: object) -> Finches | None:
    """The drawn birds of a split; None for photos."""
    data = data.data if isinstance(data, CachedFinches) else data
    return data if isinstance(data, Finches) else None


class Answer:
    """A network's answer for one picture."""

    def __init__(self, scores: Tensor, probs: Tensor, image: Tensor) -> None:
        self.scores: list[float] = scores.tolist()  # K
        self.predicted = int(probs.argmax())
        self.image = image  # (3, S, S) as the network sees it


class Scene:
    """A drawn picture, and a network's answers for it with and without some of its objects."""

    def __init__(self, model: Network, birds: Finches, index: int) -> None:
        self.model, self.birds, self.index = model, birds, index
        self.parameters, self.label = birds.parameters(index), birds.labels[index]
        self.parts = visible_marks(self.parameters)
        self.objects = {f"background {i}": stamps for i, stamps in enumerate(background_objects(self.parameters))}
        self._answers = dict[frozenset[str], Answer]()
        self.ask([frozenset(), *(frozenset({name}) for name in (*self.parts, *self.objects))])

    def without(self, names: Iterable[str]) -> Parameters:
        """The picture without some marks and objects."""
        names = set(names)
        stamps = [i for name in names & set(self.objects) for i in self.objects[name]]
        return without_background(without_marks(self.parameters, names & set(self.parts)), stamps)

    def views(self, pictures: Sequence[Parameters]) -> Views:
        """A batch of views."""
        inputs = [to_input(centre_view(self.birds.draw(p), self.model.view)[0], self.model.view) for p in pictures]
        device = device_of(self.model)
        batch: Views = {key: torch.stack([one[key] for one in inputs]).to(device) for key in inputs[0]}
        return batch | {"index": torch.full((len(pictures),), self.index, device=device)}

    @torch.no_grad()
    def ask(self, removals: Iterable[frozenset[str]]) -> None:
        """Run the network on a batch of pictures, each without some marks and objects."""
        missing = [names for names in dict.fromkeys(removals) if names not in self._answers]
        for start in range(0, len(missing), BATCH):
            some = missing[start : start + BATCH]
            for names, answer in zip(some, self._run([self.without(names) for names in some]), strict=True):
                self._answers[names] = answer

    def _run(self, pictures: Sequence[Parameters]) -> list[Answer]:
        batch = self.views(pictures)
        output = run(self.model, batch)
        rows = zip(class_scores(output).cpu(), output.probs.cpu(), batch["image"].cpu(), strict=True)
        return [Answer(*row) for row in rows]

    def answer(self, *names: str) -> Answer:
        """The answer without some marks and objects."""
        self.ask([frozenset(names)])
        return self._answers[frozenset(names)]

    @torch.no_grad()
    def before(self, other: Parameters) -> Answer:
        """The answer for the bird in front of another picture's background."""
        return self._run([with_background(self.parameters, other)])[0]

    def regions(self) -> dict[str, Tensor]:
        """The dilated pixels (S, S) bool that each mark and object changes; those that are not visible are left out."""
        std = torch.tensor(self.model.view.std).view(3, 1, 1)
        whole, found = self.answer().image, {}
        for name in (*self.parts, *self.objects):
            change = ((self.answer(name).image - whole).abs() * std).amax(0) > NOISE
            if change.any():
                side = 2 * round(DILATION * change.shape[-1] / 2) + 1
                found[name] = F.max_pool2d(change[None].float(), side, 1, side // 2)[0] > 0
        return found


class Importance:
    """Importance of each region of a scene, for each explained class."""

    def __init__(self, explanation: Explanation, regions: dict[str, Tensor], classes: Sequence[int]) -> None:
        stacked = torch.stack(list(regions.values())).to(explanation.maps.device)
        self.rows: dict[int, dict[str, float]] = {}
        self.totals: dict[int, float] = {}
        values = explanation.importance(0, stacked).tolist()
        for k, row, total in zip(classes, values, explanation.total[0].tolist(), strict=True):
            self.rows[k], self.totals[k] = dict(zip(regions, row, strict=True)), total

    def important(self, k: int, names: Iterable[str], threshold: float) -> frozenset[str]:
        """Those of the names that are important for class k."""
        row = {name: self.rows[k][name] for name in names}
        return protocol.important(row, self.totals[k], threshold)


class Tally:
    """Sums over the pictures, for one explanation."""

    def __init__(self) -> None:
        self.checks: dict[str, list[list[float]]] = {name: [] for name in CHECKS}
        self.single, self.sensitive = list[float](), list[float]()

    def figures(self, independence: float, accuracy: float) -> dict[str, float]:
        """The published figures, and the number of pictures behind some of them."""
        means = {
            name: torch.tensor(rows).mean(0).tolist() if rows else [math.nan] * len(protocol.THRESHOLDS)
            for name, rows in self.checks.items()
        }
        found = protocol.summary(means, _mean(self.single), _mean(self.sensitive), independence, accuracy)
        counts = {"data_check": "data_check", "distractibility": "distractibility"}
        found |= {f"{name}_images": float(len(self.checks[key])) for name, key in counts.items()}
        return found | {
            "single_deletion_images": float(len(self.single)),
            "target_sensitivity_images": len(self.sensitive) / 2,
        }


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def add_scene(scene: Scene, tallies: dict[str, Tally], codes: Sequence[protocol.Code]) -> None:
    """Add the scores of the explanations of one picture."""
    regions = scene.regions()
    parts = {name: form for name, form in scene.parts.items() if name in regions}
    if not parts:
        return
    whole, label = scene.answer(), scene.label
    pair = protocol.target_pair(parts, label, codes)
    classes = list(dict.fromkeys((whole.predicted, label, *(pair[:2] if pair else ()))))
    column = torch.tensor([classes], device=device_of(scene.model))
    found = explanations(scene.model, scene.views([scene.parameters]), column)
    sets = protocol.sufficient_sets(parts, label, codes) if whole.predicted == label else []
    irrelevant = [name for name in regions if _is_irrelevant(scene, name)]
    for name, explanation in found.items():
        importance = Importance(explanation, regions, classes)
        tally = tallies[name]
        _checks(scene, tally, importance, list(parts), sets, irrelevant, list(regions))
        drops = [whole.scores[label] - scene.answer(part).scores[label] for part in parts]
        rho = protocol.single_deletion(drops, [importance.rows[label][part] for part in parts])
        tally.single += [] if math.isnan(rho) else [rho]
        if pair and _assumption_holds(scene, *pair):
            a, b, with_a, with_b = pair
            tally.sensitive += protocol.target_sensitivity(importance.rows[a], importance.rows[b], with_a, with_b)


def _checks(
    scene: Scene,
    tally: Tally,
    importance: Importance,
    parts: Sequence[str],
    sets: protocol.Sets,
    irrelevant: Sequence[str],
    everything: Sequence[str],
) -> None:
    """Add the four checks that depend on which parts count as important, for each threshold."""
    whole, label = scene.answer(), scene.label
    named = [importance.important(whole.predicted, parts, t) for t in protocol.THRESHOLDS]
    rest = [frozenset(parts) - names for names in named]
    scene.ask([*named, *rest])
    tally.checks["preservation"].append([float(scene.answer(*r).predicted == whole.predicted) for r in rest])
    tally.checks["deletion"].append([float(scene.answer(*n).predicted != whole.predicted) for n in named])
    if sets:  # the answer is correct, so `named` is for the true class
        tally.checks["data_check"].append([protocol.data_check(names, sets) for names in named])
    if irrelevant:
        picked = [importance.important(label, everything, t) for t in protocol.THRESHOLDS]
        tally.checks["distractibility"].append([1 - protocol.distraction(names, irrelevant) for names in picked])


def _is_irrelevant(scene: Scene, name: str) -> bool:
    whole, without = (answer.scores[scene.label] for answer in (scene.answer(), scene.answer(name)))
    return not protocol.matters(whole, without)


def _assumption_holds(scene: Scene, a: int, b: int, with_a: frozenset[str], with_b: frozenset[str]) -> bool:
    """Whether the network itself takes the shared parts as evidence for their class, as the protocol assumes."""
    no_a, no_b = scene.answer(*with_a).scores, scene.answer(*with_b).scores
    return no_a[a] < no_b[a] and no_b[b] < no_a[b]


def measure_drawn(model: Network, data: object, count: int, bar: ProgressBar | None = None) -> dict[str, Any]:
    """The FunnyBirds protocols on the first pictures of a split of drawn birds.

    Args:
        model: a network in evaluation mode, with its ``view``.
        data: the split.
        count: number of pictures.
        bar: shows the progress.

    Returns:
        "images"; "explanations", the figures of `scapnet.metrics.faithfulness.summary` by the keys of
        `scapnet.faithfulness.explanations.NAMES`; "background_swap", the share of answers that stay the same
        with another picture's background; and "marks_matter", the share of visible marks whose removal lowers the
        score of the true class by 5%, beside "background_matters".

    Raises:
        ValueError: the data is not drawn birds.
    """
    birds = drawn_birds(data)
    if birds is None:
        raise ValueError("these protocols need drawn birds, as only their marks can be removed")
    names = [kind.name for kind in ANATOMY[birds.family].kinds]
    codes = [dict(zip(names, code, strict=True)) for code in birds.codes]
    tallies: dict[str, Tally] = defaultdict(Tally)
    matters: dict[str, list[float]] = {"marks": [], "background": []}
    swaps, right, count = list[float](), list[float](), min(count, len(birds))
    bar = bar or ProgressBar(quiet=True)
    bar.start("removing marks", count)
    for index in range(count):
        scene = Scene(model, birds, index)
        add_scene(scene, tallies, codes)
        for name in scene.regions():
            matters["marks" if name in scene.parts else "background"].append(float(not _is_irrelevant(scene, name)))
        other = birds.parameters((index + 1) % len(birds))
        swaps.append(float(scene.before(other).predicted == scene.answer().predicted))
        right.append(float(scene.answer().predicted == scene.label))
        bar.advance(1)
    independence, accuracy = 1 - _mean(matters["background"]), _mean(right)
    return {
        "images": count,
        "explanations": {name: tally.figures(independence, accuracy) for name, tally in tallies.items()},
        "background_swap": _mean(swaps),
        "marks_matter": _mean(matters["marks"]),
        "background_matters": _mean(matters["background"]),
    }
