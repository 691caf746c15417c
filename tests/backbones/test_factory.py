"""Backbones by name: the package's own weights are those of the network that is asked for."""

from importlib import resources
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from scapnet.backbones.factory import create

WEIGHTS = sorted(Path(str(resources.files("scapnet"))).glob("weights/*.safetensors"))


@pytest.mark.parametrize("file", WEIGHTS, ids=lambda file: file.stem)
def test_every_file_of_the_package_is_that_of_the_network_that_it_is_named_for(file: Path) -> None:
    assert file.stat().st_size <= 2e6
    with safe_open(file, "pt") as stored:
        assert stored.metadata() == {"network": file.stem, "learned_from": "drawn larks"}
        state = create(file.stem, "tiny", 128).net.state_dict()
        assert set(stored.keys()) == set(state)
        for key, value in state.items():
            assert torch.equal(value, stored.get_tensor(key).to(value.dtype)), key


def test_there_is_a_cnn_and_a_transformer() -> None:
    assert [file.stem for file in WEIGHTS] == ["test_resnet", "test_vit2"]


def test_a_transformer_for_parts_of_another_size_has_the_same_weights_and_resampled_positions() -> None:
    large, small = (create("test_vit2", "tiny", size, cut=False).net.state_dict() for size in (128, 64))
    assert (large.pop("pos_embed").shape, small["pos_embed"].shape) == ((1, 1 + 64, 64), (1, 1 + 16, 64))
    assert small.pop("pos_embed").std() > 0.01
    assert all(torch.equal(value, small[key]) for key, value in large.items())


@pytest.mark.parametrize("name", ["resnet50.tv_in1k", "test_vit", "hf-hub:someone/test_resnet"])
def test_a_network_without_weights_in_the_package_is_refused_with_those_that_have(name: str) -> None:
    with pytest.raises(ValueError, match=r"tiny weights for test_resnet and test_vit2, not for ") as error:
        create(name, "tiny", 64)
    assert str(error.value).endswith(
        f"not for {name}; give it pretrained, none or a file with --model.weights, or choose one of those with "
        "--model.backbone"
    )
