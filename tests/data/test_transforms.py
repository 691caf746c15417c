"""Views that show what they say."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as tv

from scapnet.config import DataConfig, ViewConfig
from scapnet.data.augment import TrainView
from scapnet.data.sample import Sample
from scapnet.data.synthetic.finches import Finches
from scapnet.data.transforms import EvalViews, TrainViews, centre_view, to_input


class Fixed:
    """A data set of one given picture."""

    classes, mark_names = ("a", "b"), ("mark", "unseen")

    def __init__(self, image: Tensor, length: int = 3) -> None:
        self.image, self.labels = image, [0] * length

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Sample:
        return Sample(self.image, 0, "fixed", torch.tensor([[1.0, 1, 3, 3], [torch.nan] * 4]))


@pytest.mark.parametrize(("height", "width"), [(200, 120), (90, 160), (72, 72), (31, 47), (500, 333)])
@pytest.mark.parametrize("source", [None, 128])
@pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
def test_a_painted_box_lands_where_the_frame_says(height: int, width: int, source: int | None, fit: Any) -> None:
    view = ViewConfig(64, 72, source, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), fit)
    y, x = round(height / 2 - min(height, width) * 0.3), round(width / 2 - min(height, width) * 0.2)
    box = torch.tensor([[x, y, x + min(height, width) * 0.4, y + min(height, width) * 0.5]]).round()
    image = torch.zeros(3, height, width, dtype=torch.uint8)
    x0, y0, x1, y1 = (int(edge) for edge in box[0])
    image[:, y0:y1, x0:x1] = 255
    shown, frame = centre_view(image, view)
    inside = frame.to_view(box)
    torch.testing.assert_close(frame.to_photo(inside), box, rtol=0, atol=1e-3)
    views = to_input(shown, view)
    assert views["image"].shape == (3, 64, 64)
    assert ("source" in views) == (source is not None)
    for picture in views.values():
        bright = picture[0] > 0.5
        rows, columns = bright.any(1).nonzero().flatten(), bright.any(0).nonzero().flatten()
        found = torch.stack([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]) / picture.shape[-1]
        assert (found - inside[0]).abs().max() * picture.shape[-1] <= 1.0


@pytest.mark.parametrize(("height", "width"), [(300, 40), (50, 200), (64, 64), (1000, 2)])
@pytest.mark.parametrize("fit", ["pad", "squash"])
def test_a_whole_photo_is_seen_in_training_and_evaluation(height: int, width: int, fit: Any) -> None:
    image = torch.full((3, height, width), 255, dtype=torch.uint8)
    view = ViewConfig(64, 72, fit=fit, mean=(0.0, 0.0, 0.0))
    shown, frame = centre_view(image, view)
    whole = torch.tensor([0.0, 0, width, height])
    left, top, right, bottom = (frame.to_view(whole) * 64).round().int().tolist()
    for picture in (shown, TrainView(view, "fgvc", flip=False)(image)):
        bright = picture[0] > 127
        assert (int(bright.any(1).sum()), int(bright.any(0).sum())) == (bottom - top, right - left)
    assert max(bottom - top, right - left) == 64
    assert (bottom - top == right - left == 64) == (fit == "squash" or height == width)


def views_of(data: Any, source: int | None = None, seed: int = 0) -> TrainViews:
    view = ViewConfig(64, 72, source, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    return TrainViews(data, view, DataConfig("folder", size=64, resize=72, source_size=source), seed)


def test_training_views_depend_on_seed_epoch_and_sample_alone() -> None:
    data = Finches("train", 4, 5, 72)
    one, two, other = views_of(data), views_of(data), views_of(data, seed=1)
    noise = torch.get_rng_state()
    first = one[2]["image"]
    assert torch.equal(noise, torch.get_rng_state())
    torch.manual_seed(5)
    two[3]
    assert torch.equal(two[2]["image"], first)
    assert not torch.equal(two[2 + len(data)]["image"], first)
    assert not torch.equal(other[2]["image"], first)
    assert one[2 + 3 * len(data)]["index"] == 2


def test_view_and_source_show_the_same_place() -> None:
    image = torch.zeros(3, 200, 260, dtype=torch.uint8)
    image[:, 90:110, 120:140] = 255
    views = views_of(Fixed(image), source=160)
    places = []
    for key in range(8):
        found = views[key]
        torch.testing.assert_close(
            found["image"], tv.resize(found["source"], [64, 64], antialias=True), rtol=0, atol=0.02
        )
        centres = []
        for name in ("image", "source"):
            weight = found[name][0]
            grid = (torch.arange(weight.shape[0]) + 0.5) / weight.shape[0]
            centres.append(torch.stack([(weight.sum(0) * grid).sum(), (weight.sum(1) * grid).sum()]) / weight.sum())
        assert (centres[0] - centres[1]).abs().max() * 64 < 1
        places.append(centres[0])
    assert torch.stack(places).std(0).min() > 0.005  # the crop does move


def test_evaluation_views_carry_their_marks() -> None:
    image = torch.zeros(3, 72, 72, dtype=torch.uint8)
    found = EvalViews(Fixed(image), ViewConfig(64, 72))[1]
    assert found["marks"].shape == (2, 4)
    torch.testing.assert_close(found["marks"][0], (torch.tensor([1.0, 1, 3, 3]) - 4) / 64)
    assert found["marks"][1:].isnan().all()
    assert (found["target"], found["index"]) == (0, 1)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 300), (700, 3)])
def test_a_photo_of_any_size_has_a_view(height: int, width: int) -> None:
    shown, frame = centre_view(torch.full((3, height, width), 9, dtype=torch.uint8), ViewConfig(64, 72))
    assert shown.shape == (3, 64, 64)
    box = frame.to_photo(torch.tensor([0.0, 0, 1, 1]))
    assert (box[:2] >= -1e-3).all()
    assert box[2] <= width + 1e-3
    assert box[3] <= height + 1e-3


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    state = torch.get_rng_state()
    yield
    torch.set_rng_state(state)
