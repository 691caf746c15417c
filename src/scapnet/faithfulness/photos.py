"""Deletion, insertion and pointing on photos: how the answer changes without the places that an explanation names.

B batch, C classes, M parts, R marks, S side of the view.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from scapnet.data.sample import FineGrained
from scapnet.data.transforms import EvalViews, Views
from scapnet.faithfulness.evidence import chosen_classes, has_votes, part_evidence, pixels_inside
from scapnet.faithfulness.explanations import explanations, run
from scapnet.metrics.pointing import NEAR, energy_inside, points_inside, region_of
from scapnet.metrics.removal import impute, most_important
from scapnet.network import Network, device_of
from scapnet.terminal.console import ProgressBar

SHARES = (0.1, 0.3, 0.5)  # of the view that are removed or kept
WHOLE = 0.95  # pointing at a box that fills the view means nothing
Rows = dict[str, dict[str, list[float]]]


def some_views(model: Network, data: FineGrained, count: int) -> Iterator[Views]:
    """Views of ``count`` readable photos, evenly spaced over a split, in batches of one."""
    views, device = EvalViews(data, model.view), device_of(model)
    spread = torch.linspace(0, len(data) - 1, min(count, len(data))).round().long().tolist()
    for i in dict.fromkeys(spread):
        view = views[i]
        if not view["broken"]:
            tensors = {key: value[None].to(device) for key, value in view.items() if isinstance(value, Tensor)}
            yield tensors | {"index": torch.tensor([i], device=device)}


class Eraser:
    """Removes places from a photo and asks the network again.

    The imputation is computed at the size of the view, and enlarged for a larger source.
    """

    def __init__(self, model: Network, batch: Views) -> None:
        self.model, self.batch = model, batch
        self.mean, self.std = (
            torch.tensor(v).view(1, 3, 1, 1).to(batch["image"]) for v in (model.view.mean, model.view.std)
        )
        self.image = (batch["image"] * self.std + self.mean)[0].cpu()
        generator = torch.Generator().manual_seed(int(batch["index"][0]))
        self.noise = torch.randn(self.image.shape, generator=generator)

    @torch.no_grad()
    def probs(self, removed: list[Tensor], label: int) -> list[float]:
        """The probability of a class for each of several masks (S, S) bool of removed places."""
        filled = torch.stack([impute(self.image, one.cpu(), self.noise) for one in removed]).to(self.mean)
        views: Views = {"image": (filled - self.mean) / self.std}
        if "source" in self.batch:
            size = self.batch["source"].shape[-2:]
            mask = F.interpolate(torch.stack(removed).to(filled)[:, None], size=size)
            large = F.interpolate(views["image"], size=size, mode="bilinear", align_corners=False)
            views["source"] = torch.where(mask > 0.5, large, self.batch["source"])
        views["index"] = self.batch["index"].expand(len(removed))
        found: list[float] = run(self.model, views).probs[:, label].tolist()
        return found


def by_pixels(eraser: Eraser, maps: Mapping[str, Tensor], label: int, rows: Rows) -> None:
    """Remove the most important pixels by each explanation's map (S, S), or all others."""
    for name, values in maps.items():
        chosen = [most_important(values, share) for share in SHARES]
        probs = eraser.probs([*chosen, *(~one for one in chosen)], label)
        rows[name]["deletion"].append(sum(probs[: len(SHARES)]) / len(SHARES))
        rows[name]["insertion"].append(sum(probs[len(SHARES) :]) / len(SHARES))


def by_parts(eraser: Eraser, output: Any, label: int, rows: Rows) -> None:
    """Remove the parts one after the other, once with the most evidence first and once with the least first."""
    evidence = chosen_classes(part_evidence(output), torch.tensor([[label]], device=output.probs.device))[0, :, 0]
    inside = pixels_inside(output.parts.boxes[0], eraser.image.shape[-1])  # (M, S, S)
    for name, order in (("strongest_first", evidence.argsort(descending=True)), ("weakest_first", evidence.argsort())):
        covered = inside[order].cumsum(0) > 0
        count = len(covered)
        probs = eraser.probs([*covered, *(~one for one in covered)], label)
        rows[name]["deletion"].append(sum(probs[:count]) / count)
        rows[name]["insertion"].append(sum(probs[count:]) / count)
        rows[name]["removed"].append(float(covered.float().mean()))


def regions(batch: Views, size: int) -> dict[str, Tensor]:
    """The places of a photo that an explanation should point at: the object's box, and its marks."""
    found = {}
    box = batch["box"][:1]
    inside = region_of(box, size, size)
    if inside.any() and inside.float().mean() < WHOLE:
        found["box"] = inside
    marks = batch["marks"][0]
    marks = marks[~marks.isnan().any(1)]
    if len(marks):
        points = bool((marks[:, :2] == marks[:, 2:]).all())
        found["marks"] = region_of(marks, size, size, NEAR if points else 0.0)
    return found


def measure_photos(model: Network, data: FineGrained, count: int, bar: ProgressBar | None = None) -> dict[str, Any]:
    """Deletion, insertion and pointing on photos of a split.

    Args:
        model: a network in evaluation mode, with its ``view``.
        data: the split, of photos or of drawn birds.
        count: the largest number of photos to use.
        bar: shows the progress.

    Returns:
        "images"; "explanations": by the keys of `scapnet.faithfulness.explanations.NAMES` "deletion" and "insertion",
        the mean probability of the network's answer without, and with nothing but, the most important 10, 30 and 50% of
        the pixels, and "difference", the second minus the first; "points_in_box", "energy_in_box", "points_in_marks"
        and "energy_in_marks" where there are boxes or marks; "parts", the same of deletion and insertion by parts with
        the "strongest_first" and the "weakest_first"; and "area", the share of the view that "box" and "marks" fill.
    """
    bar = bar or ProgressBar(quiet=True)
    bar.start("removing pixels", min(count, len(data)))
    rows: Rows = defaultdict(lambda: defaultdict(list))
    parts: Rows = defaultdict(lambda: defaultdict(list))
    area: dict[str, list[float]] = defaultdict(list)
    images = 0
    for batch in some_views(model, data, count):
        with torch.no_grad():
            output = run(model, batch)
        label = int(output.probs.argmax())
        found = explanations(model, batch, torch.tensor([[label]], device=device_of(model)))
        maps = {name: one.maps[0, 0] for name, one in found.items() if name != "parts_spread"}
        eraser = Eraser(model, batch)
        by_pixels(eraser, maps, label, rows)
        if has_votes(output):
            by_parts(eraser, output, label, parts)
        for name, region in regions(batch, eraser.image.shape[-1]).items():
            area[name].append(float(region.float().mean()))
            for key, values in maps.items():
                rows[key][f"points_in_{name}"].append(points_inside(values, region))
                rows[key][f"energy_in_{name}"].append(energy_inside(values, region))
        images += 1
        bar.advance(1)
    return {
        "images": images,
        "explanations": {name: _means(row) for name, row in rows.items()},
        "parts": {name: _means(row) for name, row in parts.items()},
        "area": _means(area),
    }


def _means(row: Mapping[str, list[float]]) -> dict[str, float]:
    means = {key: float(torch.tensor(values).nanmean()) for key, values in row.items()}
    return means | ({"difference": means["insertion"] - means["deletion"]} if "insertion" in means else {})
