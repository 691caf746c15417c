"""Groups of photos that belong together (one animal, one burst) and are held out together.

n photos.
"""

import random
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

FOLDER = "folder"  # a group is the folder below the class


def name_groups(paths: Sequence[Path], homes: Sequence[Path], by: str) -> list[str]:
    """The group of each photo.

    Args:
        paths: n photos.
        homes: the class folder of each, or the photo's own folder if a table names it.
        by: "folder" for the first folder below the class folder, or a regular expression to search for in the file
            names; its last group, or the whole match if it has none, names the group.

    Raises:
        ValueError: a file name that the expression does not match.
    """
    if by == FOLDER:
        return [_folder(path, home) for path, home in zip(paths, homes, strict=True)]
    found = [re.search(by, path.name) for path in paths]
    missing = [path for path, match in zip(paths, found, strict=True) if match is None]
    if missing:
        raise ValueError(
            f"the expression {by!r} of data.group does not match {len(missing)} of {len(paths)} file names, such as "
            f"{missing[0].name}; write one that matches all of them"
        )
    return [match[match.re.groups] for match in found if match is not None]


def _folder(path: Path, home: Path) -> str:
    """The folder below the class; a photo directly in the class folder is a group of its own."""
    below = path.relative_to(home).parts
    return str(home / below[0])


def held_out_groups(labels: Sequence[int], groups: Sequence[str], fraction: float, seed: int) -> list[int]:
    """Indices of whole groups that add up to about a given share of each class.

    At least one group of each class is held out, and never all of them; of a class with a single group, none is.
    """
    sizes, members = Counter(labels), _members(groups)
    target = {label: min(max(1, round(fraction * size)), size - 1) for label, size in sizes.items()}
    counts = {name: Counter(labels[i] for i in indices) for name, indices in members.items()}
    order = sorted(counts)
    random.Random(f"{seed}/groups").shuffle(order)
    held, chosen = Counter[int](), list[str]()

    def take(names: Sequence[str], only_better: bool) -> None:
        for name in names:
            whole = any(held[label] + n >= sizes[label] for label, n in counts[name].items())
            change = sum(abs(target[k] - held[k] - n) - abs(target[k] - held[k]) for k, n in counts[name].items())
            if name not in chosen and not whole and (change < 0 or not only_better):
                held.update(counts[name])
                chosen.append(name)
                if not only_better:
                    return

    take(order, True)
    for label in sorted(sizes):
        if not held[label]:  # its groups are larger than the share
            take(sorted((name for name in order if label in counts[name]), key=lambda name: len(members[name])), False)
    return sorted(i for name in chosen for i in members[name])


def fold_groups(labels: Sequence[int], groups: Sequence[str], folds: int, fold: int, seed: int) -> list[int]:
    """Indices of one of k folds of whole groups, with each class spread over the folds as evenly as possible.

    A group that holds all photos of a class is in no fold.
    """
    sizes, members = Counter(labels), _members(groups)
    counts = {name: Counter(labels[i] for i in indices) for name, indices in members.items()}
    order = sorted(name for name, own in counts.items() if all(own[label] < sizes[label] for label in own))
    random.Random(f"{seed}/groups").shuffle(order)
    filled = [Counter[int]() for _ in range(folds)]
    chosen: list[int] = []
    for name in sorted(order, key=lambda name: -len(members[name])):  # the largest first, as they are hardest to place
        best = min(range(folds), key=lambda k: (_overlap(filled[k], counts[name]), filled[k].total(), k))
        filled[best].update(counts[name])
        chosen += members[name] if best == fold else []
    return sorted(chosen)


def _overlap(filled: Mapping[int, int], group: Mapping[int, int]) -> int:
    return sum(filled[label] * n for label, n in group.items())


def _members(groups: Sequence[str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for i, name in enumerate(groups):
        found[name].append(i)
    return found
