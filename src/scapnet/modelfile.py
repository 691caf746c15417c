"""What a model folder may hold, checked before a network is built from it: the folder may come from anyone."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import constants
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from scapnet.jsonfile import read_json

MOST_CLASSES = 100_000
LARGEST = {"config.json": 50_000_000, "header": 5_000_000}  # bytes
# Functions that fill a tensor with random values: methods, and those of torch.nn.init.
DRAWING = {"uniform_", "normal_", "trunc_normal_", "kaiming_uniform_", "kaiming_normal_"}
DRAWING |= {"xavier_uniform_", "xavier_normal_"}


def read_model_config(folder: Path) -> dict[str, Any]:
    """The ``config.json`` of a model folder.

    Raises:
        ValueError: it is not an ordinary file of ordinary size, or has too many classes.
    """
    path = folder / "config.json"
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} is not a file; give a folder that scapnet wrote")
    if path.is_file() and path.stat().st_size > LARGEST["config.json"]:
        raise ValueError(f"{path} has {path.stat().st_size:,} bytes, too many for the config of a model")
    about = read_json(path)
    classes = about.get("classes")
    if isinstance(classes, list) and len(classes) > MOST_CLASSES:
        raise ValueError(f"{path} names {len(classes):,} classes; a model may have at most {MOST_CLASSES:,}")
    return about


def check_header(path: Path, classes: int) -> None:
    """Check the header of a safetensors file, which is read alone.

    Args:
        path: the weights.
        classes: K, by the config; the classifier must have as many rows.

    Raises:
        ValueError: the header is damaged or too long, or does not fit the file or the number of classes.
    """
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if size > LARGEST["header"]:
            raise ValueError(f"its header has {size:,} bytes, too many for the names of weights")
        header = json.loads(file.read(size))
    if not isinstance(header, dict):
        raise ValueError("its header is not a JSON object")
    rows = header.get("classifier.weight", {}).get("shape", [classes])[0]
    if rows != classes > 1:  # one class is refused when the network is built
        raise ValueError(f"its classifier has {rows:,} classes and its config.json {classes:,}")


def check_finite(model: nn.Module) -> None:
    """Refuse weights that are not finite: every answer would be nan.

    Raises:
        ValueError: with the name of the first such tensor.
    """
    found = first_infinite(model.state_dict().items())
    if found is not None:
        raise ValueError(f"its weights are not finite: {found}")


def first_infinite(tensors: Iterable[tuple[str, Tensor | None]]) -> str | None:
    """The name of the first tensor with a NaN or an infinite value, with what it holds; None if all are finite."""
    for name, tensor in tensors:
        if tensor is None or not tensor.is_floating_point() or torch.isfinite(tensor.sum()):
            continue  # a sum is much faster than a look at each value, which decides where the sum overflows
        if not torch.isfinite(tensor).all():
            return f"{name} ({'nan' if tensor.isnan().any() else 'infinite'})"
    return None


@contextmanager
def offline() -> Iterator[None]:
    """A block in which the hub client reads only its cache: the name of a backbone must not reach the network."""
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


class QuickStart(TorchFunctionMode):
    """A block in which the starting weights of networks are a few random numbers, repeated.

    For networks whose weights are read from a file afterwards: drawing those of two ResNet-50 takes half a second.
    """

    def __init__(self) -> None:
        super().__init__()
        self.numbers = torch.randn(4096, generator=torch.Generator().manual_seed(0))

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Fill the tensor of a function that draws random values; run any other function."""
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") not in DRAWING:
            return func(*args, **kwargs)
        tensor: Tensor = args[0] if args else kwargs["tensor"]
        filled = tensor.detach() if tensor.is_contiguous() else torch.empty(tensor.shape)
        numbers, flat = self.numbers / max(1, tensor[:1].numel()) ** 0.5, filled.view(-1)
        whole = len(flat) - len(flat) % len(numbers)
        flat[:whole].view(-1, len(numbers)).copy_(numbers)
        flat[whole:].copy_(numbers[: len(flat) - whole])
        if not tensor.is_contiguous():
            tensor.detach().copy_(filled)
        return tensor
