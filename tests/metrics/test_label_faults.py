"""Confident learning against loops, and against cleanlab where it is installed."""

import pytest
import torch
from torch import Tensor

from scapnet.metrics.label_faults import confident_thresholds, label_faults


def example(seed: int, photos: int = 200, classes: int = 5) -> tuple[Tensor, Tensor, Tensor]:
    """Labels of which a tenth is wrong, answers that are good, and which labels are wrong."""
    random = torch.Generator().manual_seed(seed)
    truth = torch.randint(classes, (photos,), generator=random)
    logits = torch.randn(photos, classes, generator=random) + 5 * torch.nn.functional.one_hot(truth, classes)
    wrong = torch.rand(photos, generator=random) < 0.1
    return torch.where(wrong, (truth + 1) % classes, truth), logits.double().softmax(1), wrong


def slow(target: Tensor, probs: Tensor) -> set[tuple[int, int]]:
    """Rows and suggested classes, as the paper's Eq. 1 and 2 say it."""
    t = {j: float(probs[target == j, j].mean()) for j in set(target.tolist())}
    found = set()
    for i, row in enumerate(probs.tolist()):
        counted = [j for j in t if row[j] >= t[j] - 1e-6]
        if counted:
            j = max(counted, key=lambda j: row[j])
            if j != target[i] and row.index(max(row)) != target[i]:
                found.add((i, j))
    return found


@pytest.mark.parametrize("seed", range(4))
def test_it_is_the_formula(seed: int) -> None:
    target, probs, wrong = example(seed)
    faults = label_faults(target, probs)
    assert {(one.row, one.suggested) for one in faults} == slow(target, probs)
    assert [one.own for one in faults] == sorted(one.own for one in faults)
    assert all(one.label == target[one.row] for one in faults)
    rows = {one.row for one in faults}
    assert sum(bool(wrong[row]) for row in rows) > 0.7 * int(wrong.sum())
    assert len(rows) < 2 * int(wrong.sum())


def test_a_class_without_photos_is_never_suggested() -> None:
    target, probs, _ = example(0)
    wider = torch.cat([probs * 0.5, torch.full((len(probs), 1), 0.5, dtype=torch.float64)], 1)
    assert confident_thresholds(target, wider)[5] == torch.inf
    assert all(one.suggested != 5 for one in label_faults(target, wider))


@pytest.mark.parametrize("seed", range(3))
def test_it_agrees_with_cleanlab(seed: int) -> None:
    cleanlab = pytest.importorskip("cleanlab")
    target, probs, _ = example(seed)
    mask = cleanlab.filter.find_label_issues(
        target.numpy(), probs.numpy(), filter_by="confident_learning", min_examples_per_class=0, n_jobs=1
    )
    assert {one.row for one in label_faults(target, probs)} == set(mask.nonzero()[0].tolist())
    thresholds = cleanlab.count.get_confident_thresholds(target.numpy(), probs.numpy())
    assert confident_thresholds(target, probs).tolist() == pytest.approx(thresholds.tolist())
