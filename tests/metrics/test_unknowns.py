"""Scores of unknown photos against loops over all pairs."""

import pytest
import torch
from torch.nn.functional import normalize

from scapnet.metrics.unknowns import (
    WEIGHTS,
    auroc,
    choose_weights,
    evidence,
    false_positive_rate,
    familiarity,
    knn_score,
    known_score,
    max_softmax,
)
from scapnet.prototypes import SHRINKAGE, prototypes_of


def test_auroc_counts_the_pairs() -> None:
    generator = torch.Generator().manual_seed(0)
    known, unknown = (torch.randint(0, top, (n,), generator=generator).float() for top, n in ((9, 30), (6, 40)))
    pairs = [(a > b) + 0.5 * (a == b) for a in known.tolist() for b in unknown.tolist()]
    assert auroc(known, unknown) == pytest.approx(sum(pairs) / len(pairs))
    assert auroc(torch.tensor([2.0, 3.0]), torch.tensor([0.0, 1.0])) == 1
    assert auroc(torch.ones(3), torch.ones(4)) == 0.5


def test_fpr95_is_what_passes_where_95_of_100_known_ones_do() -> None:
    known, unknown = torch.arange(100.0), torch.tensor([4.0, 5.0, 6.0, -3.0])
    assert false_positive_rate(known, unknown) == 0.5  # 5 to 99 are the best 95
    assert false_positive_rate(known, unknown, 1.0) == 0.75
    assert false_positive_rate(torch.ones(3), torch.ones(2)) == 1


def test_the_nearest_neighbour_score_is_a_distance() -> None:
    generator = torch.Generator().manual_seed(0)
    features, training = (torch.randn(n, 4, generator=generator) for n in (5, 30))
    found = knn_score(features, training, 3)
    for row, score in zip(features, found.tolist(), strict=True):
        distances = sorted(float((row / row.norm() - other / other.norm()).norm()) for other in training)
        assert score == pytest.approx(-distances[2], abs=1e-5)
    assert knn_score(training, training, 1).abs().max() < 1e-6
    assert len(knn_score(features, training[:2], 10)) == 5


def test_max_softmax() -> None:
    assert max_softmax(torch.tensor([[0.2, 0.8], [0.6, 0.4]])).tolist() == pytest.approx([0.8, 0.6])


def distance(x: torch.Tensor, mean: torch.Tensor, rows: torch.Tensor) -> float:
    """The squared Mahalanobis distance by the shrunk covariance of centred rows, times the shrinkage."""
    covariance = rows.T @ rows / len(rows)
    floor = SHRINKAGE * covariance.trace() / len(covariance)
    inverse = torch.linalg.inv(covariance + floor * torch.eye(len(covariance), dtype=torch.double))
    return float((x - mean) @ inverse @ (x - mean) * floor)


def test_evidence_is_the_loop() -> None:
    generator = torch.Generator().manual_seed(1)
    probs = torch.randn(6, 4, generator=generator).softmax(1)
    parts = torch.randn(6, 3, 4, generator=generator)
    features, training = (torch.randn(n, 5, generator=generator) for n in (6, 40))
    labels = torch.arange(40) % 4
    prototypes = prototypes_of(training, labels, 4)
    rows = normalize(training.double(), dim=1)
    means = torch.stack([rows[labels == k].mean(0) for k in range(4)])
    hidden = probs.argmax(1)
    for gone in (None, hidden):
        found = evidence(probs, parts, features, prototypes, gone)
        plain = evidence(probs, None, hidden=gone)
        for i, x in enumerate(normalize(features.double(), dim=1)):
            left = [k for k in range(4) if gone is None or k != int(gone[i])]
            answer = max(left, key=lambda k: float(probs[i, k]))
            own = min(distance(x, means[k], rows - means[labels]) for k in left)
            ratio = -own / distance(x, rows.mean(0), rows - rows.mean(0))
            nearest = -min(float((x - row).norm()) for row, k in zip(rows, labels.tolist(), strict=True) if k in left)
            votes = [float(part[left].softmax(0)[left.index(answer)]) for part in parts[i]]
            assert found[i, :2].tolist() == pytest.approx([ratio, nearest], abs=3e-3)  # 16 bits
            assert float(found[i, 2]) == pytest.approx(sum(votes) / 3, abs=1e-6)
            top = float(probs[i, answer] / probs[i, left].sum())
            assert plain[i].tolist() == pytest.approx([top, 0, 0], abs=1e-6)


def test_a_class_without_a_photo_is_far_from_everything() -> None:
    training = torch.randn(20, 5, generator=torch.Generator().manual_seed(3))
    both = [prototypes_of(training, torch.arange(20) % 2, classes) for classes in (2, 3)]
    assert torch.equal(*(familiarity(training, one)[0] for one in both))
    alone = prototypes_of(training[:1], torch.tensor([0]), 1)
    assert all(one.isfinite().all() for one in familiarity(training, alone))


def test_parts_have_weight_only_if_they_help() -> None:
    generator = torch.Generator().manual_seed(2)
    main, noise = torch.rand(200, generator=generator), torch.rand(200, generator=generator)
    none = torch.zeros(200)
    shown, hidden = torch.stack([main + 0.3, none, noise], 1), torch.stack([main, none, noise.flip(0)], 1)
    assert list(choose_weights(shown, hidden)) == pytest.approx([1 / float(main.std(correction=0)), 0, 0])  # noise
    apart = torch.linspace(0, 0.1, 200)
    shown, hidden = torch.stack([main, none, apart + 0.1], 1), torch.stack([main.flip(0), none, apart], 1)
    assert choose_weights(shown, hidden)[2] == pytest.approx(WEIGHTS[-1] / float(apart.std(correction=0)))
    assert choose_weights(shown[:1], hidden[:1]) == (1, 0, 0)
    assert known_score(torch.tensor([[0.5, 0.4, 0.2]]), (1, 2, 0.5)).tolist() == pytest.approx([1.4])
