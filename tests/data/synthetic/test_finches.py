import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from scapnet.data.sample import Sample
from scapnet.data.synthetic.anatomy import ANATOMY
from scapnet.data.synthetic.cache import CachedFinches
from scapnet.data.synthetic.drawing import Parameters, mark_boxes, render
from scapnet.data.synthetic.finches import Finches, codes

FAMILIES = ("finch", "lark")


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def pixels(p: Parameters, size: int) -> np.ndarray:
    return np.asarray(render(p, size)).astype(int)


def without(p: Parameters, kind: str) -> Parameters:
    names = [k.name for k in ANATOMY[p.family].kinds]
    return replace(p, forms=tuple("" if name == kind else form for name, form in zip(names, p.forms, strict=True)))


def distances(family: str, classes: int) -> np.ndarray:
    words = np.array(codes(family)[:classes])
    return np.asarray((words[:, None] != words[None]).sum(-1))


# Both tables: python -c "import hashlib; from scapnet.data.synthetic.finches import *; d = Finches(family='finch');
#   ps = [d.parameters(i) for i in range(20)]; print(hashlib.sha256(repr(ps).encode()).hexdigest()[:16],
#   [hashlib.sha256(b''.join(render(p, s).tobytes() for p in ps)).hexdigest()[:16] for s in (64, 128, 224)])"
@pytest.mark.parametrize(("family", "golden"), [("finch", "bea66b15a2cb65f2"), ("lark", "c66cf2b077aa86bd")])
def test_parameters_are_golden_to_the_bit(family: str, golden: str) -> None:
    data = Finches(family=family)
    assert sha(repr([data.parameters(i) for i in range(20)]).encode()) == golden


@pytest.mark.parametrize(
    ("family", "size", "golden"),
    [
        ("finch", 64, "383d6f25265ac1fc"),
        ("finch", 128, "40a0a42d5b84f785"),
        ("finch", 224, "a1cc9d3f34520c0a"),
        ("lark", 64, "344e051d56e6d799"),
        ("lark", 128, "0176d1e111b7026c"),
        ("lark", 224, "ee1a657e8e243a7c"),
    ],
)
def test_pixels_are_golden(family: str, size: int, golden: str) -> None:
    data = Finches(family=family)
    assert sha(b"".join(render(data.parameters(i), size).tobytes() for i in range(20))) == golden


def test_another_instance_and_workers_draw_the_same() -> None:
    first, second = (Finches(length=8, size=48) for _ in range(2))
    loader: DataLoader[Sample] = DataLoader(second, batch_size=None, num_workers=2)
    for i, sample in enumerate(loader):
        here = first[i]
        assert torch.equal(here.image, sample.image)
        torch.testing.assert_close(here.marks, sample.marks, rtol=0, atol=0, equal_nan=True)
        assert (here.label, here.path) == (sample.label, sample.path)


def test_a_sample_matches_its_description() -> None:
    data = Finches("val", num_classes=8, length=10, size=40)
    sample = data[7]
    assert sample.image.shape == (3, 40, 40)
    assert sample.image.dtype == torch.uint8
    assert sample.path == "finch/val/7"
    assert [one.label for one in map(data.__getitem__, range(10))] == list(data.labels)
    assert sample.marks.shape == (len(data.mark_names), 4)
    assert len(data) == 10


@pytest.mark.parametrize("family", FAMILIES)
def test_another_size_is_the_same_picture(family: str) -> None:
    small, large = Finches(family=family, size=64), Finches(family=family, size=256)
    for i in range(4):
        assert small.parameters(i) == large.parameters(i)
        a, b = small[i], large[i]
        torch.testing.assert_close(a.marks * 4, b.marks, equal_nan=True)
        shrunk = b.image.float().reshape(3, 64, 4, 64, 4).mean((2, 4))
        assert (a.image.float() - shrunk).abs().mean() < 4
    assert Finches(family=family, size=512)[0].image.shape == (3, 512, 512)


@pytest.mark.parametrize("scale", [0.6, 1.0])
@pytest.mark.parametrize("family", FAMILIES)
def test_boxes_hold_their_marks_tightly(family: str, scale: float) -> None:
    data, size = Finches(family=family, mark_scale=scale), 192
    for i in range(6):
        p = data.parameters(i)
        p, whole = replace(p, front=()), pixels(replace(p, front=()), size)
        for name, (x0, y0, x1, y1) in mark_boxes(p, size).items():
            assert 0 <= x0 < x1 <= size
            assert 0 <= y0 < y1 <= size
            ys, xs = np.nonzero((whole != pixels(without(p, name), size)).any(-1))
            assert x0 - 1 <= xs.min() <= x0 + 3, (i, name)
            assert y0 - 1 <= ys.min() <= y0 + 3, (i, name)
            assert x1 - 4 <= xs.max() <= x1 + 1, (i, name)
            assert y1 - 4 <= ys.max() <= y1 + 1, (i, name)


@pytest.mark.parametrize("family", FAMILIES)
def test_visible_marks_are_seen_and_hidden_ones_are_not(family: str) -> None:
    data, size = Finches(family=family, hide=0.5), 160
    for i in range(6):
        p = data.parameters(i)
        boxes, full = mark_boxes(p, size), pixels(p, size)
        for kind, form, hidden in zip(ANATOMY[family].kinds, p.forms, p.hidden, strict=True):
            changed = (abs(full - pixels(without(p, kind.name), size)) > 12).any(-1).sum()
            assert (kind.name in boxes) == bool(form and not hidden)
            assert changed > 8 if kind.name in boxes else changed <= 4, (i, kind.name)


def test_hiding() -> None:
    never, always = Finches(hide=0), Finches(hide=1)
    assert not any(any(never.parameters(i).hidden) for i in range(20))
    assert never.parameters(3).forms == never.codes[never.labels[3]]
    assert always[3].marks.isnan().all()
    some = Finches(hide=0.4)
    drawn = [some.parameters(i) for i in range(300)]
    codes_drawn = [some.codes[label] for label in some.labels[:300]]
    there = sum(form != "" for code in codes_drawn for form in code[1:])  # all but the beak, which is never worn off
    worn = sum(a != b for p, code in zip(drawn, codes_drawn, strict=True) for a, b in zip(p.forms, code, strict=True))
    assert worn / there == pytest.approx(0.2, abs=0.04)
    assert np.mean([p.hidden[1:] for p in drawn]) == pytest.approx(0.2, abs=0.04)
    assert np.mean([p.hidden[0] for p in drawn]) == pytest.approx(0.4, abs=0.08)


def test_marks_grow_with_mark_scale() -> None:
    half, whole = (mark_boxes(Finches(mark_scale=scale, hide=0).parameters(0), 1) for scale in (0.5, 1.0))
    for name, (x0, _, x1, _) in whole.items():
        assert half[name][2] - half[name][0] == pytest.approx((x1 - x0) / 2)


def test_small_birds_are_the_same_birds_with_smaller_marks() -> None:
    small, usual = (Finches(bird_scale=scale, length=20, hide=0) for scale in (0.5, 1.0))
    for i in range(20):
        one, other = small.parameters(i), usual.parameters(i)
        assert one.pose[2] == pytest.approx(other.pose[2] / 2, abs=1e-4)
        assert one.pose[3:] == other.pose[3:]
        assert (one.forms, one.paints, one.plumage, one.ground) == (
            other.forms,
            other.paints,
            other.plumage,
            other.ground,
        )
        both = (mark_boxes(one, 1000), mark_boxes(other, 1000))
        assert both[0].keys() == both[1].keys()
        for kind, (x0, y0, x1, y1) in both[0].items():
            u0, v0, u1, v1 = both[1][kind]
            assert min(x0, y0) >= 0
            assert max(x1, y1) <= 1000
            assert (x1 - x0, y1 - y0) == pytest.approx(((u1 - u0) / 2, (v1 - v0) / 2), abs=2)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("classes", [2, 8, 16, 32, 50, 64])
def test_species_are_unlike_with_close_neighbours_and_balanced(family: str, classes: int) -> None:
    gaps = distances(family, classes) + 99 * np.eye(classes, dtype=int)
    assert (gaps.min(1) == 2).all()
    if classes >= 16:
        for kind, forms in zip(ANATOMY[family].kinds, zip(*codes(family)[:classes], strict=True), strict=True):
            share = classes / len(kind.forms)
            assert all(abs(forms.count(form) - share) <= 0.15 * share + 1 for form in kind.forms), kind.name


def test_only_kinds_that_tell_species_apart_are_annotated() -> None:
    data = Finches(num_classes=2, size=32, hide=0)
    assert len(data.mark_names) == 2
    kinds = [kind.name for kind in ANATOMY["finch"].kinds]
    assert list(data.mark_names) == [name for name in kinds if name in data.mark_names]
    for sample in map(data.__getitem__, range(6)):
        boxes = mark_boxes(data.parameters(int(sample.path.split("/")[-1])), 32)
        for name, mark in zip(data.mark_names, sample.marks, strict=True):
            assert mark.isnan().all() if name not in boxes else mark.tolist() == pytest.approx(boxes[name])


def test_labels_are_balanced_and_do_not_depend_on_the_length() -> None:
    long, short = Finches(num_classes=7, length=100), Finches(num_classes=7, length=31)
    counts = np.bincount(long.labels)
    assert counts.max() - counts.min() <= 1
    assert list(long.labels[:31]) == list(short.labels)
    assert list(long.labels[:7]) != list(long.labels[7:14])


def test_splits_seeds_and_indices_share_no_picture() -> None:
    sets = [Finches(split, seed=seed) for split in ("train", "val", "test") for seed in (0, 1)]
    assert len({sha(render(data.parameters(i), 32).tobytes()) for data in sets for i in range(10)}) == 60


def test_families_share_no_mark() -> None:
    finch, lark = (ANATOMY[family].kinds for family in FAMILIES)
    assert not {kind.name for kind in finch} & {kind.name for kind in lark}
    assert {form for kind in finch for form in kind.forms} & {form for kind in lark for form in kind.forms} == {""}


def test_the_species_changes_nothing_but_its_marks() -> None:
    few, many = Finches(num_classes=2, hide=0.5), Finches(num_classes=50, hide=0.5)
    for i in range(50):
        a, b = few.parameters(i), many.parameters(i)
        assert replace(a, forms=()) == replace(b, forms=())
    data = Finches(num_classes=2, length=800)
    drawn = [data.parameters(i) for i in range(800)]
    facts = np.array([[*p.pose, *sum(p.plumage, ()), *p.hidden] for p in drawn], dtype=float)
    chance = np.corrcoef(facts.T, np.array(data.labels))[-1, :-1]
    assert abs(chance).max() < 4 / 800**0.5


def test_names_description_and_sheet() -> None:
    data = Finches(num_classes=64, length=128, size=32)
    assert len(set(data.classes)) == 64
    assert data.plot().width == 4 * 36
    plain, boxed = data.plot([5], marks=False), data.plot([5])
    assert plain.size == boxed.size
    assert plain.tobytes() != boxed.tobytes()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("split", "dev"), ("family", "wren"), ("num_classes", 1), ("num_classes", 65), ("length", 0), ("size", 31)),
        *(("mark_scale", 0.0), ("bird_scale", 1.1), ("hide", 1.1), ("hide", float("nan"))),
    ],
)
def test_bad_arguments(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{name} is {value!r}, but must be .+$"):
        Finches(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("index", [-1, 5])
def test_index_outside(index: int) -> None:
    with pytest.raises(IndexError, match=f"index {index} is not in this split of 5 pictures"):
        Finches(length=5)[index]


def same(a: Sample, b: Sample) -> bool:
    return (
        torch.equal(a.image, b.image)
        and torch.equal(a.marks.nan_to_num(-1), b.marks.nan_to_num(-1))
        and a[1:3] == b[1:3]
    )


def test_cached_pictures_are_drawn_once_and_equal_the_drawn_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = Finches(length=12, size=48)
    loader = DataLoader(CachedFinches(data, tmp_path), batch_size=None, num_workers=2)
    assert all(same(a, data[i]) for i, a in enumerate(loader))
    kept = CachedFinches(data, tmp_path)  # another run, which finds the file
    monkeypatch.setattr(data, "draw", None)
    samples = [kept[i] for i in range(len(kept))]
    monkeypatch.undo()
    assert all(same(a, data[i]) for i, a in enumerate(samples))
    with pytest.raises(IndexError):
        kept[12]


def test_other_pictures_are_cached_in_other_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changes: list[dict[str, Any]] = [{}, {"seed": 1}, {"split": "test"}, {"size": 64}, {"mark_scale": 0.5}]
    changes += [{"hide": 0.5}, {"bird_scale": 0.5}, {"num_classes": 8}, {"length": 41}, {"family": "lark"}]
    files = {CachedFinches(Finches(**{"length": 40, "size": 48} | change), tmp_path).file for change in changes}
    assert len(files) == len(changes)
    data = Finches(length=40, size=48)
    monkeypatch.setattr(data, "draw", lambda p: Finches.draw(data, p) // 2)  # code that draws otherwise
    assert CachedFinches(data, tmp_path).file not in files


def test_a_half_written_picture_is_drawn_again(tmp_path: Path) -> None:
    data = Finches(length=4, size=48)
    kept = CachedFinches(data, tmp_path)
    with kept.file.open("r+b") as file:
        file.write(b"\x07" * 99)
    assert same(kept[0], data[0])
    assert same(kept[0], data[0])
