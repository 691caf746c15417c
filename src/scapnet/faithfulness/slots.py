"""Parts as slots on annotated photos: consistency, stability, and how clusters of parts match annotated points.

n images, M parts, T slots, R points, D feature size.
"""

from collections import defaultdict
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torchvision.ops import box_convert

from scapnet.data.sample import FineGrained, mark_names
from scapnet.data.transforms import EvalViews, Views
from scapnet.faithfulness.evidence import has_votes
from scapnet.faithfulness.explanations import can_choose, chosen_by, run
from scapnet.metrics.consistency import consistency, hits, stability, with_noise
from scapnet.metrics.slots import adjusted_rand_index, keypoint_error, kmeans, normalized_mutual_information
from scapnet.model import SCAPNet
from scapnet.network import Network, device_of
from scapnet.terminal.console import ProgressBar

SLOTS = 8  # T, the number of parts that is usually reported
BATCH = 32
SETS = ("parts", "random_boxes", "fixed_boxes")


class Seen(NamedTuple):
    """A network's parts of some images, with their annotations."""

    boxes: Tensor  # (n, M, 4) cxcywh in [0, 1]
    embeddings: Tensor  # (n, M, D) of length 1
    points: Tensor  # (n, R, 2) in [0, 1] of the view; NaN if not visible
    box: Tensor  # (n, 4) the object's, xyxy in [0, 1]; the whole view if there is none
    target: Tensor  # (n,)


def look(
    model: SCAPNet, data: FineGrained, indices: list[int], kind: str, bar: ProgressBar, noise: bool = False
) -> Seen:
    """Run a network on images of a split and collect its parts.

    Args:
        model: a network whose parts vote separately.
        data: the split.
        indices: indices of the images; broken ones are left out.
        kind: "parts" for the network's own choice, or one of the other SETS.
        bar: shows the progress.
        noise: add noise to the views.
    """
    views, rows = EvalViews(data, model.view), list[tuple[Tensor, ...]]()
    for start in range(0, len(indices), BATCH):
        some = [view for i in indices[start : start + BATCH] if not (view := views[i])["broken"]]
        if some:
            rows.append(_look(model, some, kind, noise))
        bar.advance(len(indices[start : start + BATCH]))
    return Seen(*(torch.cat(column) for column in zip(*rows, strict=True)))


@torch.no_grad()
def _look(model: SCAPNet, some: list[Views], kind: str, noise: bool) -> tuple[Tensor, ...]:
    device, kept = device_of(model), list[Tensor]()
    batch: Views = {key: torch.stack([v[key] for v in some]) for key in ("image", "source") if key in some[0]}
    if noise:
        generator = torch.Generator().manual_seed(some[0]["index"])
        batch = {key: with_noise(value, generator) for key, value in batch.items()}
    batch = {key: value.to(device) for key, value in batch.items()}
    batch["index"] = torch.tensor([view["index"] for view in some], device=device)
    assert model.part_classifier is not None
    hook = model.part_classifier.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0]))
    try:
        if kind == "parts":
            output = run(model, batch)
        else:
            with chosen_by(model, kind.removesuffix("_boxes")):
                output = run(model, batch)
    finally:
        hook.remove()
    marks = torch.stack([view["marks"] for view in some])
    box = torch.stack([view["box"] for view in some])
    box = torch.where(box.isnan(), torch.tensor([0.0, 0.0, 1.0, 1.0]), box)
    embeddings = torch.nn.functional.normalize(kept[0].float().cpu(), dim=-1)
    target = torch.tensor([view["target"] for view in some])
    return output.parts.boxes.float().cpu(), embeddings, (marks[..., :2] + marks[..., 2:]) / 2, box, target


def nearest_slot(embeddings: Tensor, centres: Tensor) -> Tensor:
    """The slot (n, M) of each part: the centre (T, D) that is nearest to its embedding (n, M, D)."""
    return torch.cdist(embeddings, centres.expand(len(embeddings), -1, -1)).argmin(-1)


def best_parts(embeddings: Tensor, centres: Tensor) -> Tensor:
    """The part (n, T) nearest to each slot, as a prototype is located where it is most similar."""
    return torch.cdist(embeddings, centres.expand(len(embeddings), -1, -1)).argmin(1)


def slot_centres(seen: Seen, labels: Tensor, slots: int) -> Tensor:
    """The mean centre (n, T, 2) of each slot's parts in units of the object's box; NaN for a slot without parts."""
    member = torch.nn.functional.one_hot(labels, slots).float()  # (n, M, T)
    sums = torch.einsum("nmt,nmc->ntc", member, seen.boxes[..., :2])
    return in_box(sums / member.sum(1).unsqueeze(-1), seen.box)  # 0 / 0 is NaN


def in_box(points: Tensor, box: Tensor) -> Tensor:
    """Points (n, ..., 2) of the view in units of a box (n, 4)."""
    return (points - box[:, None, :2]) / (box[:, None, 2:] - box[:, None, :2])


def labels_at_points(seen: Seen, labels: Tensor, slots: int) -> Tensor:
    """The slot (n, R) of the smallest part that contains each point; ``slots`` if no part does."""
    corners = box_convert(seen.boxes, "cxcywh", "xyxy").unsqueeze(2)  # (n, M, 1, 4)
    points = seen.points.unsqueeze(1)
    inside = ((corners[..., :2] <= points) & (points < corners[..., 2:])).all(-1)  # (n, M, R)
    size = seen.boxes[..., 2:].prod(-1, keepdim=True).expand_as(inside)
    smallest = torch.where(inside, size, torch.inf).argmin(1)  # (n, R), ties by index
    return torch.where(inside.any(1), labels.gather(1, smallest), slots)


def figures(train: Seen, test: Seen, noisy: Seen, slots: int) -> dict[str, float]:
    """All figures for one set of parts."""
    seen = ~test.points.isnan().any(-1)
    by_order = hits(test.boxes[..., :2], test.points), hits(noisy.boxes[..., :2], test.points)
    centres = kmeans(train.embeddings.flatten(0, 1), slots)
    best, noisy_best = (best_parts(one.embeddings, centres) for one in (test, noisy))
    by_slot = [
        hits(one.boxes[..., :2].gather(1, part.unsqueeze(-1).expand(-1, -1, 2)), test.points)
        for one, part in ((test, best), (noisy, noisy_best))
    ]
    labels, fit_labels = nearest_slot(test.embeddings, centres), nearest_slot(train.embeddings, centres)
    at_points = labels_at_points(test, labels, slots)[seen]
    true = torch.arange(seen.shape[1]).expand_as(seen)[seen]
    pairs = ((slot_centres(one, names, slots), in_box(one.points, one.box)) for one, names in
             ((train, fit_labels), (test, labels)))  # fmt: skip
    return {
        "consistency_by_order": consistency(by_order[0], seen, test.target),
        "stability_by_order": stability(*by_order, test.target),
        "consistency": consistency(by_slot[0], seen, test.target),
        "stability": stability(by_slot[0], by_slot[1], test.target),
        "nmi": normalized_mutual_information(true, at_points),
        "ari": adjusted_rand_index(true, at_points),
        "kp": keypoint_error(*pairs),
    }


def measure_slots(
    model: Network, data: FineGrained, train: FineGrained, count: int, bar: ProgressBar | None = None
) -> dict[str, Any] | None:
    """Consistency, stability, NMI, ARI and Kp of a network's parts, and of random and fixed boxes.

    Args:
        model: a network in evaluation mode, with its ``view``.
        data: a split with annotated points or marks.
        train: the training split, on which part embeddings are clustered.
        count: the largest number of images of each to use; those of ``data`` are whole classes as far as possible.
        bar: shows the progress.

    Returns:
        "images", "train_images" and "slots", and by "parts", "random_boxes" and "fixed_boxes" "consistency",
        "stability", "nmi", "ari" and "kp" (a share of the object's box; lower is better), and the first two with the
        parts' places in their order as slots, "consistency_by_order" and "stability_by_order". None if the network
        has no parts that vote separately, or if nothing is annotated.
    """
    if not isinstance(model, SCAPNet) or model.selection is None or not mark_names(data) or not _votes(model, data):
        return None
    bar = bar or ProgressBar(quiet=True)
    test_indices = sorted(sorted(range(len(data)), key=lambda i: data.labels[i])[:count])
    spread = torch.linspace(0, len(train) - 1, min(count, len(train))).round().long().tolist()
    train_indices = list(dict.fromkeys(spread))
    found: dict[str, Any] = defaultdict(dict)
    kinds = SETS if can_choose(model) else SETS[:1]
    bar.start("parts as slots", len(kinds) * (2 * len(test_indices) + len(train_indices)))
    for kind in kinds:
        fit = look(model, train, train_indices, kind, bar)
        test, noisy = (look(model, data, test_indices, kind, bar, noise) for noise in (False, True))
        slots = min(SLOTS, fit.embeddings.shape[0] * fit.embeddings.shape[1])
        found[kind] = figures(fit, test, noisy, slots)
    return {
        "images": len(test_indices),
        "train_images": len(train_indices),
        "slots": slots,
        "explanations": dict(found),
    }


def _votes(model: SCAPNet, data: FineGrained) -> bool:
    view = EvalViews(data, model.view)[0]
    batch = {key: value[None].to(device_of(model)) for key, value in view.items() if isinstance(value, Tensor)}
    with torch.no_grad():
        return has_votes(run(model, batch | {"index": torch.tensor([0], device=device_of(model))}))
