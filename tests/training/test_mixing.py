"""Mixup, CutMix and SnapMix: images and labels are mixed in the same proportion, alike for the view and its source."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Beta
from torch.nn import functional as F

from samples import assert_the_same_run, fitted, make, own_photos, train_and_kill
from scapnet.training.mixing import Rectangle, area, class_maps, mix, paste, rectangle, semantic_percent
from scapnet.training.run import Run
from scapnet.training.train import train

CLASSES = 5


def batch(count: int = 6) -> dict[str, Tensor]:
    """Image i has the value i everywhere, in the view and in the source, and label i modulo K."""
    values = torch.arange(count, dtype=torch.float32)[:, None, None, None]
    target = torch.arange(count) % CLASSES
    return {"image": values.expand(count, 3, 16, 16), "source": values.expand(count, 3, 32, 32), "target": target}


@pytest.mark.parametrize("seed", range(8))
def test_mixup_blends_images_and_labels_alike(seed: int) -> None:
    torch.manual_seed(seed)
    images, target = mix(batch(), CLASSES, mixup=1.0)
    assert torch.allclose(target.sum(1), torch.ones(6))
    assert torch.equal(images["image"][..., 0, 0], images["source"][..., 0, 0])
    # With the values 0 to 4, whose labels are the same numbers, the mean of the labels is the blended value.
    few, soft = mix({key: value[:5] for key, value in batch().items()}, CLASSES, mixup=1.0)
    torch.testing.assert_close(few["image"][:, 0, 0, 0], soft @ torch.arange(5.0))


@pytest.mark.parametrize("seed", range(8))
def test_cutmix_pastes_the_share_that_the_labels_say(seed: int) -> None:
    torch.manual_seed(seed)
    few, soft = mix({key: value[:5] for key, value in batch().items()}, CLASSES, cutmix=1.0)
    torch.testing.assert_close(few["image"].mean((1, 2, 3)), soft @ torch.arange(5.0), rtol=1e-4, atol=1e-4)
    # The rectangle of the source is that of the view, to a pixel at each edge.
    own = torch.arange(5.0)[:, None, None]
    changed = [(few[key][:, 0] != own).float().mean((1, 2)) for key in ("image", "source")]
    assert (changed[0] - changed[1]).abs().max() < 0.2


def test_a_rectangle_is_cut_off_at_the_border() -> None:
    images, others = torch.zeros(1, 1, 10, 10), torch.ones(1, 1, 10, 10)
    place = rectangle(0.75, torch.tensor([0.0, 0.5]))
    pasted = paste(images, others, place, place)
    expected = torch.zeros(10, 10)
    expected[2:8, :2] = 1
    assert area(place, images) == pytest.approx(0.12) == float(pasted.mean())
    assert torch.equal(pasted[0, 0], expected)
    assert not images.any()


def test_a_patch_is_resized_to_its_place() -> None:
    images, others = torch.zeros(1, 1, 10, 10), torch.zeros(1, 1, 10, 10)
    others[..., 5:, 5:] = torch.linspace(0, 1, 5)
    pasted = paste(images, others, Rectangle(0, 0, 1, 0.2), Rectangle(0.5, 0.5, 1, 1))
    expected = F.interpolate(others[..., 5:, 5:], size=[2, 10], mode="bilinear", align_corners=False)
    torch.testing.assert_close(pasted[..., :2, :], expected)
    assert not pasted[..., 2:, :].any()
    empty = Rectangle(0.3, 0.3, 0.3, 0.3)
    assert paste(images, others, empty, Rectangle(0, 0, 1, 1)) is images
    assert paste(images, others, Rectangle(0, 0, 1, 1), empty) is images


def snapmix_by_loops(content: list[list[list[float]]], size: int) -> list[list[list[float]]]:
    """Semantic percent maps (Huang et al., Eq. 3), pixel by pixel: bilinear, at least 0, with sum 1."""
    found = []
    for small in content:
        n = len(small)
        large = [[0.0] * size for _ in range(size)]
        for y in range(size):
            for x in range(size):
                v, u = (min(max((p + 0.5) * n / size - 0.5, 0), n - 1) for p in (y, x))
                for row, a in ((int(v), 1 - v % 1), (min(int(v) + 1, n - 1), v % 1)):
                    for column, b in ((int(u), 1 - u % 1), (min(int(u) + 1, n - 1), u % 1)):
                        large[y][x] += a * b * small[row][column]
        least = min(map(min, large))
        total = sum(value - least for row in large for value in row)
        found.append([[(value - least) / total for value in row] for row in large])
    return found


@pytest.mark.parametrize("seed", range(6))
def test_snapmix_labels_are_the_semantic_shares_that_are_lost_and_gained(seed: int) -> None:
    torch.manual_seed(seed)
    maps, few = torch.randn(5, 3, 3), {key: value[:5] for key, value in batch().items()}
    state = torch.get_rng_state()
    images, soft = mix(few, CLASSES, snapmix=5.0, maps=lambda: maps)
    torch.set_rng_state(state)
    other = torch.randperm(5).tolist()  # the same draws, in the same order
    to = rectangle(float(Beta(5.0, 5.0).sample()), torch.rand(2))
    source = rectangle(float(Beta(5.0, 5.0).sample()), torch.rand(2))
    percent = snapmix_by_loops(maps.tolist(), 16)

    def inside(content: list[list[float]], place: Rectangle) -> float:
        rows, columns = place.pixels(few["image"])
        return sum(content[y][x] for y in range(rows.start, rows.stop) for x in range(columns.start, columns.stop))

    expected = torch.zeros(5, CLASSES)
    for i, j in enumerate(other):
        expected[i, i] += 1 - inside(percent[i], to)
        expected[i, j] += inside(percent[j], source)
    torch.testing.assert_close(soft, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(images["image"], paste(few["image"], few["image"][other], to, source))


def test_a_flat_class_map_counts_pixels() -> None:
    assert torch.equal(semantic_percent(torch.ones(2, 3, 3), 4), torch.full((2, 4, 4), 1 / 16))


def test_class_maps_are_the_classifier_s_weights_on_the_last_map() -> None:
    model, images = make(), torch.randn(3, 3, 64, 64)
    state = {key: value.clone() for key, value in model.train().state_dict().items()}
    maps = class_maps(model, images, torch.tensor([2, 0, 1]))
    assert model.training
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())  # batch norm's, too
    with torch.no_grad():
        last = model.eval().backbone.last_map(images)
    assert isinstance(model.classifier, nn.Linear)
    for i, k in enumerate((2, 0, 1)):
        expected = sum(w * channel for w, channel in zip(model.classifier.weight[k], last[i], strict=True))
        torch.testing.assert_close(maps[i], expected, rtol=1e-4, atol=1e-5)


def test_snapmix_is_refused_for_networks_without_a_map(tmp_path: Path) -> None:
    config = own_photos(tmp_path / "data", snapmix=5.0)
    vit = replace(config.model, backbone="vit_tiny_patch16_224", weights="none", network="plain")
    config = replace(config, model=vit)
    with pytest.raises(ValueError, match=r"SnapMix needs .* vit_tiny_patch16_224 ends in features"):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_both_are_used_in_turn_by_chance() -> None:
    torch.manual_seed(0)
    blended = 0
    for _ in range(40):
        values = mix(batch(), CLASSES, 1.0, 1.0)[0]["image"]
        blended += bool((values != values.round()).any())
    assert 8 < blended < 32


@pytest.mark.parametrize("changes", [{"mixup": 0.4, "cutmix": 1.0, "balance": "weights"}, {"snapmix": 5.0}])
def test_a_run_that_mixes_resumes_exactly(tmp_path: Path, changes: dict[str, Any]) -> None:
    config = own_photos(tmp_path / "data", epochs=2, checkpoint_steps=2, **changes)
    whole = fitted(Run(config, tmp_path / "whole"))
    train_and_kill(config, tmp_path / "killed", 4)
    assert_the_same_run(fitted(Run(config, tmp_path / "killed", resume=True)), whole)
