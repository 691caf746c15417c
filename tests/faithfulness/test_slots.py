"""Parts as slots: which slot a point gets, where a slot is, and the figures of a network."""

import math

import pytest
import torch

from samples import make
from scapnet.data.synthetic.finches import Finches
from scapnet.faithfulness.slots import Seen, best_parts, labels_at_points, measure_slots, nearest_slot, slot_centres


def seen() -> Seen:
    torch.manual_seed(0)
    sides = torch.tensor([0.25, 0.25, 0.5, 0.75])[:, None].expand(4, 2)
    boxes = torch.cat((torch.rand(5, 4, 2) * 0.5 + 0.25, sides.expand(5, 4, 2)), -1)
    embeddings = torch.nn.functional.normalize(torch.randn(5, 4, 6), dim=-1)
    points = torch.rand(5, 7, 2)
    points[2, 3] = math.nan
    return Seen(boxes, embeddings, points, torch.tensor([[0.1, 0.2, 0.9, 0.7]]).expand(5, 4), torch.arange(5))


def test_a_point_has_the_slot_of_the_smallest_part_that_holds_it() -> None:
    one, labels = seen(), torch.randint(0, 3, (5, 4))
    found = labels_at_points(one, labels, 3)
    for i in range(5):
        for r in range(7):
            u, v = one.points[i, r].tolist()
            holding = []
            for m in range(4):
                x, y, w, h = one.boxes[i, m].tolist()
                if x - w / 2 <= u < x + w / 2 and y - h / 2 <= v < y + h / 2:
                    holding.append((w * h, m))
            assert int(found[i, r]) == (int(labels[i, min(holding)[1]]) if holding else 3)


def test_slots_are_the_nearest_centres_and_their_parts() -> None:
    one, centres = seen(), torch.randn(3, 6)
    labels, best = nearest_slot(one.embeddings, centres), best_parts(one.embeddings, centres)
    for i in range(5):
        far = [[float((one.embeddings[i, m] - centres[t]).norm()) for t in range(3)] for m in range(4)]
        assert labels[i].tolist() == [row.index(min(row)) for row in far]
        columns = [[far[m][t] for m in range(4)] for t in range(3)]
        assert best[i].tolist() == [column.index(min(column)) for column in columns]
    middle = slot_centres(one, labels, 3)
    for i in range(5):
        for t in range(3):
            own = [m for m in range(4) if labels[i, m] == t]
            if not own:
                assert middle[i, t].isnan().all()
                continue
            x, y = one.boxes[i, own, :2].mean(0).tolist()
            assert middle[i, t].tolist() == pytest.approx([(x - 0.1) / 0.8, (y - 0.2) / 0.5], abs=1e-5)


def test_the_figures_of_a_network_and_of_other_boxes() -> None:
    birds, train = Finches("test", 4, 5, 64), Finches("train", 4, 4, 64)
    found = measure_slots(make(), birds, train, 4)
    assert found is not None
    assert (found["images"], found["train_images"], found["slots"]) == (4, 4, 8)
    assert set(found["explanations"]) == {"parts", "random_boxes", "fixed_boxes"}
    assert found["explanations"]["fixed_boxes"]["stability_by_order"] == 1
    for row in found["explanations"].values():
        assert all(0 <= row[key] <= 1 for key in ("consistency", "stability", "nmi"))
    assert measure_slots(make(parts__classifier="concat"), birds, train, 4) is None
