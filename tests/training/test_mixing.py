"""Mixup and CutMix: images and labels are mixed in the same proportion, alike for the view and its source."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from samples import own_photos, train_and_kill
from scapnet.training.loop import resume, train
from scapnet.training.mixing import mix, paste

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
    pasted, share = paste(images, others, 0.75, torch.tensor([0.0, 0.5]))
    expected = torch.zeros(10, 10)
    expected[2:8, :2] = 1
    assert share == pytest.approx(0.88) == 1 - float(pasted.mean())
    assert torch.equal(pasted[0, 0], expected)
    assert not images.any()


def test_both_are_used_in_turn_by_chance() -> None:
    torch.manual_seed(0)
    blended = 0
    for _ in range(40):
        values = mix(batch(), CLASSES, 1.0, 1.0)[0]["image"]
        blended += bool((values != values.round()).any())
    assert 8 < blended < 32


@pytest.mark.parametrize("changes", [{"mixup": 0.4}, {"cutmix": 1.0, "balance": "weights"}])
def test_a_run_that_mixes_resumes_exactly(tmp_path: Path, changes: dict[str, Any]) -> None:
    config = own_photos(tmp_path / "data", checkpoint_steps=2, **changes)
    whole = train(config, tmp_path / "whole")
    train_and_kill(config, tmp_path / "killed", 4)
    resume(tmp_path / "killed")
    one, other = ((run / "model" / "model.safetensors").read_bytes() for run in (whole, tmp_path / "killed"))
    assert one == other
