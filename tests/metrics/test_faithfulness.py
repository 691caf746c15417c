"""The FunnyBirds protocols against plain loops over all sets of parts."""

import itertools
import math

import numpy as np
import pytest

from scapnet.data.synthetic.anatomy import ANATOMY
from scapnet.data.synthetic.finches import codes
from scapnet.metrics.faithfulness import (
    THRESHOLDS,
    data_check,
    distraction,
    important,
    matters,
    single_deletion,
    sufficient_sets,
    summary,
    target_pair,
    target_sensitivity,
)

KINDS = [kind.name for kind in ANATOMY["finch"].kinds]
CODES = [dict(zip(KINDS, code, strict=True)) for code in codes("finch")[:16]]


def subsets(names: list[str]) -> list[set[str]]:
    return [set(some) for n in range(len(names) + 1) for some in itertools.combinations(names, n)]


@pytest.mark.parametrize("label", range(0, 16, 3))
def test_sufficient_sets_are_the_smallest_that_no_other_class_has(label: int) -> None:
    parts = {name: form for name, form in CODES[label].items() if form}
    enough = [
        names
        for names in subsets(list(parts))
        if not any(all(CODES[k][name] == parts[name] for name in names) for k in range(len(CODES)) if k != label)
    ]
    smallest = [names for names in enough if not any(other < names for other in enough)]
    found = sufficient_sets(parts, label, CODES)
    assert sorted(map(sorted, found)) == sorted(map(sorted, smallest))


def test_what_all_classes_have_is_never_sufficient() -> None:
    assert sufficient_sets({"beak": "cone"}, 0, [{"beak": "cone"}, {"beak": "cone"}]) == []
    assert sufficient_sets({}, 0, CODES) == []


def test_the_data_check_takes_the_best_set() -> None:
    sets = [frozenset({"a", "b"}), frozenset({"c", "d", "e"})]
    assert data_check({"a", "c", "d"}, sets) == pytest.approx(2 / 3)
    assert data_check(set(), sets) == 0
    assert data_check({"a", "b"}, sets) == 1


def ranks(values: list[float]) -> list[float]:
    """The mean rank of equal values."""
    return [
        sum(other < value for other in values) + (sum(other == value for other in values) - 1) / 2 for value in values
    ]


@pytest.mark.parametrize("seed", range(4))
def test_single_deletion_is_the_correlation_of_ranks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    drops, importance = rng.normal(size=5).tolist(), rng.integers(0, 3, 5).astype(float).tolist()
    a, b = ranks(drops), ranks(importance)
    mean_a, mean_b = sum(a) / 5, sum(b) / 5
    over = sum((x - mean_a) * (y - mean_b) for x, y in zip(a, b, strict=True))
    under = math.sqrt(sum((x - mean_a) ** 2 for x in a) * sum((y - mean_b) ** 2 for y in b))
    assert single_deletion(drops, importance) == pytest.approx((1 + over / under) / 2)


def test_single_deletion_ends_and_gaps() -> None:
    assert single_deletion([3, 2, 1], [30, 20, 10]) == 1
    assert single_deletion([3, 2, 1], [10, 20, 30]) == 0
    assert math.isnan(single_deletion([3, 2, 1], [1, 1, 1]))
    assert math.isnan(single_deletion([3], [1]))


def test_a_part_is_important_above_a_share_of_the_total() -> None:
    row = {"beak": 0.5, "wing": 0.2, "tail": -0.1}
    assert important(row, 1.0, 0.2) == {"beak"}
    assert important(row, 1.0, 0.19) == {"beak", "wing"}
    assert important(row, -1.0, 0.2) == {"beak", "wing", "tail"}  # as published


def test_what_matters_lowers_the_score_by_five_percent() -> None:
    assert matters(10.0, 9.5)
    assert not matters(10.0, 9.51)
    assert not matters(10.0, 11.0)  # it speaks against the class
    assert not matters(0.0, 0.0)
    assert matters(-10.0, -10.6)
    assert not matters(-10.0, -9.0)


def test_distraction_is_a_share_of_what_does_not_matter() -> None:
    assert distraction({"a", "b"}, {"b", "c", "d", "e"}) == 0.25


@pytest.mark.parametrize("label", range(16))
def test_the_two_classes_of_target_sensitivity(label: int) -> None:
    parts = {name: form for name, form in CODES[label].items() if form}

    def shared(k: int) -> set[str]:
        return {name for name in parts if CODES[k][name] == parts[name]}

    fits = [
        (a, b)
        for a in range(16)
        for b in range(a + 1, 16)
        if label not in (a, b) and len(shared(a)) == len(shared(b)) == 2 and not shared(a) & shared(b)
    ]
    found = target_pair(parts, label, CODES)
    assert (found is None) == (not fits)
    if found is not None:
        a, b, with_a, with_b = found
        assert (a, b) == fits[0]
        assert set(with_a) == shared(a)
        assert set(with_b) == shared(b)


def test_target_sensitivity_asks_for_the_class_of_the_shared_parts() -> None:
    for_a, for_b = {"x": 2.0, "y": 1.0, "z": 1.0}, {"x": 1.0, "y": 1.0, "z": 3.0}
    assert target_sensitivity(for_a, for_b, ["x", "y"], ["z"]) == (1.0, 1.0)
    assert target_sensitivity(for_a, for_b, ["z"], ["x"]) == (0.0, 0.0)


def test_the_summary_of_the_published_network() -> None:
    """ResNet-50 with Input x Gradient, whose figures the authors print beside each other."""
    worse, n = [0.0] * len(THRESHOLDS), 7
    checks = {}
    published = {"data_check": 0.7353, "preservation": 0.602, "deletion": 0.532, "distractibility": 0.54372}
    for key, value in published.items():
        checks[key] = [*worse[:n], value, *worse[n + 1 :]]
    found = summary(checks, 0.54592, 0.806, 0.99826, 0.998)
    assert found["threshold"] == THRESHOLDS[n]
    assert found["completeness"] == pytest.approx(((0.7353 + 0.602 + 0.532) / 3 + 0.54372) / 2)
    assert (found["correctness"], found["contrastivity"]) == (0.54592, 0.806)
    assert found["mean"] == pytest.approx((found["completeness"] + 0.54592 + 0.806) / 3)
    assert {key: found[key] for key in published} == published


def test_the_summary_where_a_check_suits_no_picture() -> None:
    one = [1.0] * len(THRESHOLDS)
    none = [math.nan] * len(THRESHOLDS)
    found = summary({"data_check": none, "preservation": one, "deletion": one, "distractibility": one}, 1, 1, 1, 0)
    assert found["completeness"] == 1
    assert math.isnan(found["data_check"])
