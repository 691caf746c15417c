"""Files of tensors that others may read, like every other file of a run."""

import os
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file, save_model
from torch import Tensor, nn


def save_tensors(tensors: Mapping[str, Tensor], path: Path, about: Mapping[str, str] | None = None) -> None:
    """Write contiguous tensors by their names, and texts about them, as safetensors.

    Raises:
        OSError, SafetensorError: the file cannot be written.
    """
    save_file(dict(tensors), path, None if about is None else dict(about))
    as_others(path)


def save_weights(module: nn.Module, path: Path) -> None:
    """Write a module's parameters and buffers as safetensors; those that share memory are written once."""
    save_model(module, str(path))
    as_others(path)


def as_others(path: Path) -> None:
    """Give a file the permissions of any new one.

    Safetensors 0.8 lets its owner alone read it, so that a server under another user's name could not.
    """
    mask = os.umask(0o077)  # it can only be read by setting it
    os.umask(mask)
    path.chmod(0o666 & ~mask)
