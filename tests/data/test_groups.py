"""Groups of photos: their names, and holding them out as wholes."""

from collections import Counter
from pathlib import Path

import pytest

from samples import photo
from scapnet.config import DataConfig
from scapnet.data.groups import fold_groups, held_out_groups, name_groups
from scapnet.data.load import load_data
from scapnet.data.photos import PhotoList

LABELS = [0] * 12 + [1] * 12 + [2] * 4 + [3] * 3
GROUPS = [f"a{i // 3}" for i in range(12)] + [f"b{i // 2}" for i in range(12)] + ["c0", "c1", "c1", "c1", "d", "d", "d"]


def test_a_pattern_names_groups_by_its_group_or_its_whole_match() -> None:
    paths = [Path("x/nest7_003.jpg"), Path("x/nest7_004.jpg"), Path("x/nest12_001.jpg")]
    homes = [Path("x")] * 3
    assert name_groups(paths, homes, r"(.+)_\d+") == ["nest7", "nest7", "nest12"]
    assert name_groups(paths, homes, r"nest\d+") == ["nest7", "nest7", "nest12"]
    with pytest.raises(ValueError, match=r"does not match 1 of 3 file names, such as nest12_001\.jpg"):
        name_groups(paths, homes, r"nest(\d)_")


def test_folders_below_the_class_are_groups() -> None:
    paths = [Path(f"set/{name}.jpg") for name in ("a/n1/1", "a/n1/day 2/1", "a/n2/1", "a/3", "a/4", "b/n1/1")]
    homes = [Path("set/a")] * 5 + [Path("set/b")]
    names = name_groups(paths, homes, "folder")
    assert names[0] == names[1]
    assert len(set(names)) == 5


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5])
def test_whole_groups_add_up_to_about_the_fraction_of_each_class(seed: int, fraction: float) -> None:
    chosen = held_out_groups(LABELS, GROUPS, fraction, seed)
    out = {GROUPS[i] for i in chosen}
    assert chosen == [i for i, name in enumerate(GROUPS) if name in out]  # whole groups
    held = Counter(LABELS[i] for i in chosen)
    assert abs(held[0] - 12 * fraction) <= 2
    assert abs(held[1] - 12 * fraction) <= 1
    assert 1 <= held[2] < 4
    assert held[3] == 0  # one group alone always trains
    assert chosen == held_out_groups(LABELS, GROUPS, fraction, seed)


def test_other_seeds_hold_other_groups_out() -> None:
    assert len({tuple(held_out_groups(LABELS, GROUPS, 0.25, seed)) for seed in range(8)}) > 3


def test_groups_of_several_classes_stay_whole() -> None:
    labels, groups = [0, 1] * 10, [f"{i // 4}" for i in range(20)]
    chosen = held_out_groups(labels, groups, 0.2, 1)
    assert Counter(groups[i] for i in chosen) == {groups[chosen[0]]: 4}
    assert {labels[i] for i in chosen} == {0, 1}


def test_folds_of_groups_cover_every_photo_but_single_group_classes_once() -> None:
    parts = [fold_groups(LABELS, GROUPS, 3, fold, 5) for fold in range(3)]
    assert sorted(i for part in parts for i in part) == list(range(28))  # the class of one group is in none
    for part in parts:
        assert {GROUPS[i] for i in part}.isdisjoint(GROUPS[i] for i in range(31) if i not in part)
        held = Counter(LABELS[i] for i in part)
        assert 3 <= held[0] <= 6
        assert held[1] == 4
    assert parts == [fold_groups(LABELS, GROUPS, 3, fold, 5) for fold in range(3)]
    assert parts != [fold_groups(LABELS, GROUPS, 3, fold, 6) for fold in range(3)]


def nests(root: Path) -> Path:
    for name in "ab":
        for nest in range(4):
            for i in range(3):
                photo(root / name / f"nest{nest}" / f"{nest}_{i}.png")
    return root


@pytest.mark.parametrize("group", ["folder", r"^(\d+)_"])
@pytest.mark.parametrize("folds", [0, 4])
def test_class_folders_keep_groups_together(tmp_path: Path, group: str, folds: int) -> None:
    config = DataConfig("folder", nests(tmp_path), val_fraction=0.25, folds=folds, group=group)
    splits = load_data(config)
    assert isinstance(splits.train, PhotoList)
    assert isinstance(splits.val, PhotoList)
    sides = [{(path.parent.name, path.parts[-3]) for path in data.paths} for data in (splits.train, splits.val)]
    assert not sides[0] & sides[1]
    assert (Counter(splits.train.labels), Counter(splits.val.labels)) == ({0: 9, 1: 9}, {0: 3, 1: 3})
    assert splits.drawn is not None
    assert splits.drawn["groups"] == (8 if group == "folder" else 4)


def test_groups_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    for expression, words in ((r"(\w)(\d)", "has more than one group"), ("(", "is not a regular expression")):
        with pytest.raises(ValueError, match=f"data.group .* {words}"):
            DataConfig("folder", group=expression)
    with pytest.raises(ValueError, match="only folder and csv data have groups"):
        load_data(DataConfig("cub", group="folder"))
    with pytest.raises(ValueError, match=r"groups, which make the folds; leave out --data\.fold-by neighbours"):
        load_data(DataConfig("folder", nests(tmp_path), folds=2, fold_by="neighbours", group="folder"))
