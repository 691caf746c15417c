"""Whether an explanation names what the network's answer depends on: the protocols of FunnyBirds.

Hesse et al., "FunnyBirds: A Synthetic Vision Dataset for a Part-Based Analysis of Explainable AI Methods", ICCV 2023.
An explanation assigns an importance to each part of a picture (here: each visible mark) and each object of the
background; what the network really uses is found by removing them. All figures are in [0, 1]; higher is better.

K classes, R parts of a picture, T thresholds.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from itertools import combinations

import numpy as np
from scipy.stats import spearmanr

# Shares of the total importance above which a part is important; the best one is reported, as published.
THRESHOLDS = tuple(np.linspace(0.01, 0.5, 80).tolist())
RELEVANT = 0.05  # something matters if the class score depends on it by at least this share
SHARED = 2  # parts that the picture has in common with each of the two classes of `target_pair`

Sets = list[frozenset[str]]
Code = Mapping[str, str]  # the form of each part, by its name
Pair = tuple[int, int, frozenset[str], frozenset[str]]  # classes a and b, the parts shared with a, those shared with b


def important(importance: Mapping[str, float], total: float, threshold: float) -> frozenset[str]:
    """The parts whose importance is more than a share of the explanation's total.

    Args:
        importance: importance by part name.
        total: total of the whole explanation.
        threshold: the share.
    """
    return frozenset(name for name, value in importance.items() if value > threshold * total)


def sufficient_sets(parts: Code, label: int, codes: Sequence[Code]) -> Sets:
    """The minimal sets of visible parts that only one class has: each alone is enough to know the class.

    Args:
        parts: the visible parts of a picture.
        label: its class.
        codes: the parts of each of the K classes.

    Returns:
        Sets of names, none of which contains another; empty if even all parts together are ambiguous.
    """
    found: Sets = []
    others = [code for k, code in enumerate(codes) if k != label]
    for size in range(1, len(parts) + 1):
        for names in map(frozenset, combinations(sorted(parts), size)):
            if any(smaller <= names for smaller in found):
                continue
            if all(any(code.get(name, "") != parts[name] for name in names) for code in others):
                found.append(names)
    return found


def data_check(named: Collection[str], sets: Sets) -> float:
    """Controlled synthetic data check: the largest share of any sufficient set that is named as important."""
    return max(len(one & set(named)) / len(one) for one in sets)


def single_deletion(drops: Sequence[float], importance: Sequence[float]) -> float:
    """How well importances rank the parts like the effects of removing each alone: (1 + Spearman's rho) / 2.

    Args:
        drops: drop of the class score when each of the R parts is removed alone.
        importance: importance of each part.

    Returns:
        NaN if rho is undefined: fewer than two parts, or all values equal.
    """
    if len(drops) < 2 or len(set(drops)) < 2 or len(set(importance)) < 2:
        return math.nan
    return float(spearmanr(drops, importance).statistic) / 2 + 0.5


def matters(score: float, without: float) -> bool:
    """Whether removing something lowers the class score by at least 5% of it."""
    return score - without >= RELEVANT * abs(score) and score > without


def distraction(named: Collection[str], irrelevant: Collection[str]) -> float:
    """The share of irrelevant things that an explanation names as important; distractibility is 1 - its mean."""
    return len(set(named) & set(irrelevant)) / len(irrelevant)


def target_pair(parts: Code, label: int, codes: Sequence[Code]) -> Pair | None:
    """Two other classes that each share two visible parts with a picture, and not the same parts.

    Args:
        parts: the visible parts of a picture.
        label: its class.
        codes: the parts of each of the K classes.

    Returns:
        The classes a and b, the parts shared with a and those shared with b; None if there is no such pair.
    """
    shared = {
        k: frozenset(name for name, form in parts.items() if code.get(name, "") == form)
        for k, code in enumerate(codes)
        if k != label
    }
    fit = [(k, names) for k, names in shared.items() if len(names) == SHARED]
    for (a, with_a), (b, with_b) in combinations(fit, 2):
        if not with_a & with_b:
            return a, b, with_a, with_b
    return None


def target_sensitivity(
    for_a: Mapping[str, float], for_b: Mapping[str, float], with_a: Collection[str], with_b: Collection[str]
) -> tuple[float, float]:
    """Whether the parts shared with each of two classes are more important for that class than for the other.

    Args:
        for_a: importance of each part when class a is explained.
        for_b: likewise for class b.
        with_a: parts that the picture shares with class a.
        with_b: likewise for class b.

    Returns:
        1 or 0 for the parts of a, and for those of b.
    """
    of_a = sum(for_a[name] for name in with_a) > sum(for_b[name] for name in with_a)
    of_b = sum(for_b[name] for name in with_b) > sum(for_a[name] for name in with_b)
    return float(of_a), float(of_b)


def summary(
    checks: Mapping[str, Sequence[float]], deletion: float, sensitivity: float, independence: float, accuracy: float
) -> dict[str, float]:
    """The figures of one explanation at its best threshold, as in the published comparison.

    Args:
        checks: "data_check", "preservation", "deletion" and "distractibility", a mean over the pictures for each of
            the T thresholds; NaN if no picture was suitable.
        deletion: mean of `single_deletion`.
        sensitivity: mean of `target_sensitivity`.
        independence: background independence, a property of the network alone.
        accuracy: the network's accuracy on these pictures.

    Returns:
        The four checks, "single_deletion", "target_sensitivity", "background_independence", "accuracy",
        "threshold", "completeness" (the mean of distractibility and of the mean of the first three checks),
        "correctness" (single deletion), "contrastivity" (target sensitivity) and "mean" of these three.
    """
    values = np.array([checks[key] for key in ("data_check", "preservation", "deletion")])
    three = np.nanmean(values, axis=0) if not np.isnan(values).all() else np.zeros(len(THRESHOLDS))
    other = np.nan_to_num(np.array(checks["distractibility"]))
    best = int((three + other).argmax())
    found = {key: float(row[best]) for key, row in checks.items()}
    completeness = float(three[best] + other[best]) / 2
    return found | {
        "single_deletion": deletion,
        "target_sensitivity": sensitivity,
        "background_independence": independence,
        "accuracy": accuracy,
        "threshold": THRESHOLDS[best],
        "completeness": completeness,
        "correctness": deletion,
        "contrastivity": sensitivity,
        "mean": (completeness + deletion + sensitivity) / 3,
    }
