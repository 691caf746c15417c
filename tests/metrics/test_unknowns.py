"""Scores of unknown photos against loops over all pairs."""

import pytest
import torch

from scapnet.metrics.unknowns import (
    WEIGHTS,
    auroc,
    choose_weight,
    evidence,
    false_positive_rate,
    knn_score,
    known_score,
    max_softmax,
)


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


def test_evidence_is_the_loop() -> None:
    generator = torch.Generator().manual_seed(1)
    probs = torch.randn(6, 4, generator=generator).softmax(1)
    parts = torch.randn(6, 3, 4, generator=generator)
    features, prototypes = torch.randn(6, 5, generator=generator), torch.randn(4, 5, generator=generator)
    prototypes /= prototypes.norm(dim=1, keepdim=True)
    hidden = probs.argmax(1)
    for gone in (None, hidden):
        found = evidence(probs, parts, features, prototypes, gone)
        plain = evidence(probs, None, hidden=gone)
        for i in range(6):
            left = [k for k in range(4) if gone is None or k != int(gone[i])]
            answer = max(left, key=lambda k: float(probs[i, k]))
            nearest = max(float(features[i] @ prototypes[k] / features[i].norm()) for k in left)
            votes = [float(part[left].softmax(0)[left.index(answer)]) for part in parts[i]]
            assert found[i].tolist() == pytest.approx([nearest, sum(votes) / 3], abs=1e-6)
            top = float(probs[i, answer] / probs[i, left].sum())
            assert plain[i].tolist() == pytest.approx([top, 0], abs=1e-6)


def test_parts_have_weight_only_if_they_help() -> None:
    generator = torch.Generator().manual_seed(2)
    main, noise = torch.rand(200, generator=generator), torch.rand(200, generator=generator)
    shown = torch.stack([main + 0.3, noise], 1)
    assert choose_weight(shown, torch.stack([main, noise.flip(0)], 1)) == 0  # noise
    telling = torch.stack([main, torch.ones(200)], 1), torch.stack([main.flip(0), torch.zeros(200)], 1)
    assert choose_weight(*telling) == WEIGHTS[-1]
    assert known_score(torch.tensor([[0.5, 0.4]]), 0.5).tolist() == pytest.approx([0.7])
