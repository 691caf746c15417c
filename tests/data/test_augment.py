"""Augmentation: equal to torchvision's, the same place in view and source, and no chance but torch's."""

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as tv

from scapnet.config import DataConfig, ViewConfig
from scapnet.data.augment import TrainView, turned_crop
from scapnet.data.resize import resize
from scapnet.data.sample import Sample
from scapnet.data.synthetic.finches import Finches
from scapnet.data.transforms import TrainViews, to_input
from scapnet.presets import PRESETS

AUGMENTS = ("paper", "fgvc", "strong")
PLAIN = ViewConfig(64, 80, None, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def seeded(view: TrainView, image: Tensor, seed: int) -> Tensor:
    torch.manual_seed(seed)
    return view(image)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("angle", [-15.0, -3.3, 0.001, 12.0, 90.0])
def test_the_turned_crop_is_torchvisions_rotation_then_crop_then_flip(angle: float, flip: bool) -> None:
    image = Finches("train", 4, 4, 200)[1].image[:, :150]
    fill = [10, 200, 90]
    expected = tv.crop(tv.rotate(image, angle, InterpolationMode.BILINEAR, fill=fill), 20, 31, 110, 110)
    expected = expected.flip(-1) if flip else expected
    found = turned_crop(image, angle, 20, 31, 110, flip, torch.tensor(fill, dtype=torch.float32)[:, None, None])
    assert found.dtype == torch.uint8
    apart = (found.int() - expected.int()).abs()
    assert (apart > 1).float().mean() < 0.01  # torchvision blends the outermost half pixel otherwise
    assert apart.float().mean() < 0.6


class Blob:
    """One picture with one blob that is brighter than all round it, at a place of its own for each index."""

    classes = ("a", "b")
    labels = (0,) * 40

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Sample:
        image = torch.full((3, 200, 240), 20, dtype=torch.uint8)
        y, x = 60 + 13 * index % 80, 70 + 29 * index % 90
        image[:, y - 8 : y + 8, x - 8 : x + 8] = 250
        return Sample(image, 0, "blob")


def centre(picture: Tensor) -> Tensor:
    """x, y of what differs from the background, in pixels."""
    weight = (picture - picture.median()).abs().sum(0)
    weight = weight * (weight > weight.max() / 2)
    grid = torch.arange(weight.shape[0]) + 0.5
    return torch.stack([(weight.sum(0) * grid).sum(), (weight.sum(1) * grid).sum()]) / weight.sum()


@pytest.mark.parametrize("augment", AUGMENTS)
def test_a_box_marks_the_same_place_in_view_and_source(augment: Any) -> None:
    view = replace(PLAIN, source_size=192)
    views = TrainViews(Blob(), view, DataConfig("folder", augment=augment), 0)
    seen = 0
    for key in range(40):
        found = views[key]
        small, large = found["image"], found["source"]
        assert (small.shape, large.shape) == ((3, 64, 64), (3, 192, 192))
        # Whatever the preset did, to place or colour, was done before the two were parted.
        torch.testing.assert_close(small, tv.resize(large, [64, 64], antialias=True), rtol=0, atol=0.02)
        if large.std() > 0.02:
            seen += 1
            assert (centre(small) / 64 - centre(large) / 192).abs().max() * 64 <= 1.0
    assert seen > 25


@pytest.mark.parametrize("augment", ["paper", "fgvc"])
def test_a_crop_without_rotation_moves_no_pixel_of_its_photo(augment: str) -> None:
    """Each pixel holds its own place, so what is shown tells where it came from."""
    y, x = torch.meshgrid(torch.arange(96), torch.arange(128), indexing="ij")
    image = torch.stack((y, x, torch.zeros_like(x))).to(torch.uint8)
    view = TrainView(replace(PLAIN, resize=96), augment, rotation=0.0)
    places = set()
    for seed in range(12):
        rows, columns = seeded(view, image, seed)[:2].int()
        step = int(columns[0, 1] - columns[0, 0])
        assert abs(step) == 1
        assert torch.equal(rows, rows[:1, :1] + torch.arange(64)[:, None].expand(64, 64))
        assert torch.equal(columns, columns[:1, :1] + step * torch.arange(64).expand(64, 64))
        places.add((int(rows[0, 0]), int(columns[0, 0]), step))
    assert len(places) > 8
    assert {place[2] for place in places} == {-1, 1}


@pytest.mark.parametrize("augment", AUGMENTS)
def test_the_same_key_gives_the_same_bits_and_only_torch_is_random(augment: Any) -> None:
    data = Finches("train", 4, 8, 96)
    config = DataConfig("finches", augment=augment)
    first, second = (TrainViews(data, PLAIN, config, 5) for _ in range(2))
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # type: ignore[index]  # noqa: NPY002
    shown = [first[key]["image"] for key in range(16)]
    assert random.getstate() == states[0]
    assert np.random.get_state()[1].tolist() == states[1]  # type: ignore[index]  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), states[2])
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    assert all(torch.equal(second[key]["image"], shown[key]) for key in reversed(range(16)))
    assert not any(torch.equal(shown[key], shown[key + 8]) for key in range(8))  # the next epoch


@pytest.mark.parametrize("shorter", [64, 80])
def test_the_preset_fgvc_is_torchvisions_to_the_bit_after_the_resize(shorter: int) -> None:
    image = Finches("train", 4, 4, 120)[2].image
    steps = v2.Compose([v2.RandomCrop(64), v2.RandomHorizontalFlip()])
    view = TrainView(replace(PLAIN, resize=shorter), "fgvc")
    for seed in range(8):
        torch.manual_seed(seed)
        assert torch.equal(steps(resize(image, [shorter])), seeded(view, image, seed))


def test_presets_do_what_they_say() -> None:
    image = torch.full((3, 100, 140), 90, dtype=torch.uint8)
    view = replace(PLAIN, mean=(0.2, 0.6, 0.4))
    paper, fgvc, strong = (TrainView(view, name) for name in AUGMENTS)
    turned = [seeded(paper, image, seed) for seed in range(20)]
    corners = torch.stack([shown[:, 0, 0] for shown in turned])
    assert (corners == torch.tensor([51, 153, 102])).all(1).any()  # the mean colour where rotation left nothing
    assert all((seeded(fgvc, image, seed) == 90).all() for seed in range(20))
    erased = [seeded(strong, image, seed) for seed in range(60)]
    filled = [((shown == torch.tensor([51, 153, 102])[:, None, None]).all(0)).float().mean() for shown in erased]
    assert 5 < sum(share > 0.01 for share in filled) < 40
    assert len({tuple(shown[:, 32, 32].tolist()) for shown in erased}) > 5  # colours change


def test_settings_without_randomness_only_crop() -> None:
    image = Finches("train", 4, 4, 80)[0].image
    view = TrainView(replace(PLAIN, resize=64), "paper", rotation=0.0, flip=False)
    assert torch.equal(seeded(view, image, 0), resize(image, [64]))


@pytest.mark.parametrize("shape", [(1, 20_000), (20_000, 2), (3, 700)])
def test_a_very_long_photo_is_cut_before_it_fills_the_memory(shape: tuple[int, int]) -> None:
    image = torch.randint(0, 255, (3, *shape), dtype=torch.uint8)
    shown = [seeded(TrainView(PLAIN), image, seed) for seed in range(3)]
    assert all(picture.shape == (3, 64, 64) for picture in shown)
    assert not torch.equal(shown[0], shown[1])


def test_the_input_is_contiguous_and_normalised() -> None:
    source = torch.full((64, 64, 3), 51, dtype=torch.uint8).permute(2, 0, 1)
    found = to_input(source, ViewConfig(64, 64, None, (0.1, 0.2, 0.3), (0.5, 0.5, 0.5)))["image"]
    assert found.is_contiguous()
    torch.testing.assert_close(found[:, 0, 0], torch.tensor([0.2, 0.0, -0.2]))


def test_the_usual_presets_are_complete_runs() -> None:
    fgvc, strong = PRESETS["fgvc"](), PRESETS["strong"]()
    assert (fgvc.data.augment, fgvc.data.resize, fgvc.data.size, fgvc.loss.smoothing) == ("fgvc", 600, 448, 0.0)
    assert (strong.data.augment, strong.data.resize, strong.loss.smoothing) == ("strong", 600, 0.1)
    assert (fgvc.model, fgvc.train) == (strong.model, strong.train) == (PRESETS["paper"]().model, fgvc.train)
    assert (fgvc.preset, strong.preset) == ("fgvc", "strong")
