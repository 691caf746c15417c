"""Removing a mark or an object changes the picture there and nowhere else."""

import numpy as np
import pytest

from scapnet.data.synthetic.drawing import Parameters, mark_boxes, render
from scapnet.data.synthetic.finches import Finches
from scapnet.data.synthetic.interventions import (
    background_objects,
    visible_marks,
    with_background,
    without_background,
    without_marks,
)

SIZE = 96
BIRDS = Finches("test", 8, 6, SIZE)


def pixels(p: Parameters) -> np.ndarray:
    return np.asarray(render(p, SIZE)).astype(int)


@pytest.mark.parametrize("index", range(6))
def test_a_removed_mark_changes_its_box_alone(index: int) -> None:
    p = BIRDS.parameters(index)
    marks = visible_marks(p)
    boxes = mark_boxes(p, SIZE)
    assert set(marks) == set(boxes)
    whole = pixels(p)
    for name, (x0, y0, x1, y1) in boxes.items():
        changed = np.argwhere((pixels(without_marks(p, [name])) != whole).any(-1))
        if len(changed):  # it can be under a leaf of the foreground
            (top, left), (bottom, right) = changed.min(0), changed.max(0)
            assert x0 - 2 <= left <= right <= x1 + 2
            assert y0 - 2 <= top <= bottom <= y1 + 2
    assert not visible_marks(without_marks(p, marks))
    assert without_marks(p, []) == p


@pytest.mark.parametrize("family", ["finch", "lark"])
def test_every_stamp_behind_the_bird_is_one_object(family: str) -> None:
    p = Finches("test", 8, 1, SIZE, family=family).parameters(0)
    objects = background_objects(p)
    assert [i for some in objects for i in some] == list(range(len(p.near)))
    kinds = [tuple(p.near[i].form for i in some) for some in objects]
    assert [k for k in kinds if k == ("berry",) * 6] == [("berry",) * 6]
    assert len([k for k in kinds if len(k) == 2]) == 8  # a leaf with a look-alike of a mark on it
    assert kinds[-1] == ("branch",)
    assert without_background(p, range(len(p.near))).near == ()
    assert without_background(p, objects[0]).near == p.near[1:]


def test_another_background_leaves_the_bird() -> None:
    p, other = BIRDS.parameters(0), BIRDS.parameters(1)
    new = with_background(p, other)
    assert (new.forms, new.pose, new.front, new.plumage) == (p.forms, p.pose, p.front, p.plumage)
    assert (new.near, new.far, new.ground) == (other.near, other.far, other.ground)
    x0, y0, x1, y1 = (round(v) for v in mark_boxes(p, SIZE)["beak"])
    before, after = pixels(p), pixels(new)
    assert (before != after).any(-1).mean() > 0.3
    assert (before[y0:y1, x0:x1] == after[y0:y1, x0:x1]).all(-1).any()
