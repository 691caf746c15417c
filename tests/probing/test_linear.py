"""The linear classifier is at the minimum of its loss, and neighbours vote as a slow reference says."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from scapnet.probing.linear import TAU, choose_penalty, fit_linear, folds_of, linear_probe, nearest_neighbours


def blobs(count: int, classes: int = 3, spread: float = 1.0, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Features (n, 6) around a centre for each class, and labels."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(classes, 6, generator=torch.Generator().manual_seed(9))
    labels = torch.arange(count) % classes
    return centres[labels] + spread * torch.randn(count, 6, generator=generator), labels


@pytest.mark.parametrize("penalty", [1.0, 0.01])
def test_the_loss_is_at_its_minimum(penalty: float) -> None:
    features, labels = blobs(60)
    weight, bias = (one.requires_grad_() for one in fit_linear(features, labels, 3, penalty))
    loss = F.cross_entropy(features @ weight.T + bias, labels) + penalty / 2 * weight.square().sum()
    gradients = torch.autograd.grad(loss, (weight, bias))
    assert max(float(one.abs().max()) for one in gradients) < 1e-3


def test_folds_share_every_class() -> None:
    labels = torch.tensor([0] * 10 + [1] * 7 + [2])
    parts = folds_of(labels, 5)
    for label, count in ((0, 10), (1, 7), (2, 1)):
        sizes = parts[labels == label].bincount(minlength=5)
        assert int(sizes.sum()) == count
        assert int(sizes.max() - sizes.min()) <= 1


def test_noise_asks_for_a_larger_penalty() -> None:
    clear, noisy = blobs(90, spread=0.2), blobs(90, spread=3.0)
    assert choose_penalty(*clear, 3) < choose_penalty(*noisy, 3)


def test_a_probe_does_not_depend_on_the_scale_of_features() -> None:
    features, labels = blobs(60)
    scale, shift = torch.tensor([1.0, 100.0, 0.01, 5.0, 1.0, 1.0]), torch.tensor([0.0, 50.0, 0.0, -5.0, 0.0, 3.0])
    changed = features * scale + shift
    constant = torch.cat([changed, torch.full((60, 1), 7.0)], 1)  # says nothing and divides by nothing
    one, penalty = linear_probe(features, labels, 3)
    other, again = linear_probe(constant, labels, 3)
    assert penalty == again
    torch.testing.assert_close(one.logits(features), other.logits(constant), rtol=0, atol=0.02)
    held, answers = blobs(300, seed=1)
    assert (one.logits(held).argmax(1) == answers).double().mean() > 0.7


def voted(known: Tensor, labels: Tensor, photo: Tensor, k: int, classes: int) -> int:
    """The answer for one photo, by plain loops."""
    cosine = [float(F.cosine_similarity(row, photo, dim=0)) for row in known]
    best = sorted(range(len(known)), key=lambda i: -cosine[i])[:k]
    votes = [sum(math.exp(cosine[i] / TAU) for i in best if labels[i] == c) for c in range(classes)]
    return votes.index(max(votes))


def test_neighbours_vote() -> None:
    features, labels = blobs(40, spread=1.5)
    others, answers = blobs(30, spread=1.5, seed=2)
    found = nearest_neighbours(features, labels, others, 3)
    assert found.predicted.tolist() == [voted(features, labels, photo, found.k, 3) for photo in others]
    assert (found.predicted == answers).double().mean() > 0.5
    right = {}
    kept = [torch.arange(40) != i for i in range(40)]
    for k in (1, 3, 5, 10, 20):
        answers_k = [voted(features[rows], labels[rows], features[i], k, 3) for i, rows in enumerate(kept)]
        right[k] = int((torch.tensor(answers_k) == labels).sum())
    assert right[found.k] == max(right.values())


def test_one_photo_is_enough_for_a_neighbour() -> None:
    found = nearest_neighbours(torch.ones(1, 4), torch.tensor([1]), torch.randn(3, 4), 2)
    assert (found.k, found.predicted.tolist()) == (1, [1, 1, 1])
