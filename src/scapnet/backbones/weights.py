"""Weight files: reading them without running code, and loading them into a network."""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from scapnet.errors import reason


def network_name(net: nn.Module) -> str:
    """timm's name of a network."""
    return str((getattr(net, "pretrained_cfg", None) or {}).get("architecture") or type(net).__name__)


def read_weights(path: Path) -> dict[str, Tensor]:
    """A state dict from a safetensors file or a PyTorch file, which is loaded without running code."""
    if not path.is_file():
        raise ValueError(f"there is no weight file {path}; give a safetensors file or a state dict")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # each reader has errors of its own, and all mean the same to the user
        raise ValueError(f"{path} is no readable weight file ({reason(error)})") from error
    state = state.get("state_dict", state.get("model", state)) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items()):
        raise ValueError(f"{path} holds no state dict; give one that maps names to tensors")
    return state


def load_weights(net: nn.Module, path: Path) -> None:
    """Put a file's weights into a network; the file's classifier, if it has one, is left out.

    Raises:
        ValueError: the file belongs to another network.
    """
    state = {
        key.removeprefix("module.").removeprefix("net."): value.float() for key, value in read_weights(path).items()
    }
    own = net.state_dict()
    wrong = [key for key, value in own.items() if key not in state or state[key].shape != value.shape]
    wrong = [key for key in wrong if not key.endswith("num_batches_tracked")]
    if wrong:
        key = wrong[0]
        found = f"its shape is {tuple(state[key].shape)}" if key in state else "it is missing"
        raise ValueError(
            f"{path} does not hold the weights of {network_name(net)}: {len(wrong)} of {len(own)} tensors do not fit, "
            f"the first is {key}, where {tuple(own[key].shape)} was expected and {found}"
        )
    net.load_state_dict({key: state.get(key, value) for key, value in own.items()})
