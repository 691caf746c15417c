"""Files of tensors: what was written, and who may read it."""

import os
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import nn

from scapnet.tensorfile import save_tensors, save_weights


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o007])
def test_whoever_may_read_other_files_may_read_tensors(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        (tmp_path / "other").touch()
        save_tensors({"a": torch.ones(2)}, tmp_path / "a", {"about": "ä"})
        save_weights(nn.Linear(2, 1), tmp_path / "b")
        assert os.umask(mask) == mask
    finally:
        os.umask(before)
    wanted = (tmp_path / "other").stat().st_mode
    assert [(tmp_path / name).stat().st_mode for name in "ab"] == [wanted, wanted]
    with safe_open(tmp_path / "a", "pt") as file:
        assert file.metadata() == {"about": "ä"}
        assert file.get_tensor("a").tolist() == [1, 1]
    with safe_open(tmp_path / "b", "pt") as file:
        assert set(file.keys()) == {"weight", "bias"}
