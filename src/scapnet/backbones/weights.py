"""Weight files: finding them, reading them without running code, and loading them into a network."""

import json
import pickle
import re
import sys
import warnings
from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypedDict, Unpack

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from scapnet.errors import reason
from scapnet.terminal.hints import option

DEPTH = 6  # of nested containers that are looked into
AVERAGED = re.compile(r"(^|[._])(ema|teacher|averaged)([._]|$)")  # weights averaged over the steps of training


class Loaded(NamedTuple):
    """What came of a weight file."""

    path: Path
    network: str
    prefix: str  # of the names of the tensors that were loaded
    tensors: int  # that were loaded
    left_out: tuple[str, ...]  # names beside them that the network does not have, such as a classifier's

    def __str__(self) -> str:
        """A sentence for a person."""
        place = f" (under {self.prefix.rstrip('.')})" if self.prefix else ""
        some = ", ".join(self.left_out[:2]) + (", ..." if len(self.left_out) > 2 else "")
        rest = f"; left out: {some}" if self.left_out else ""
        return f"the {self.network} backbone starts from {self.tensors} tensors of {self.path}{place}{rest}"


class Inert:
    """Stands for every class and function in a weight file that is not part of PyTorch, and runs none of their code.

    Calling it gives a dict: that is all that ``argparse.Namespace``, a config or a pickled network is made of.
    """

    def __new__(cls, *_: Any, **__: Any) -> Any:
        """An empty dict, whatever the arguments."""
        return OrderedDict[Any, Any]()


class InertArray:
    """The same for NumPy's arrays and scalars, whose state is not a dict; it is ignored."""

    def __new__(cls, *_: Any) -> "InertArray":
        """An object, whatever the arguments."""
        return super().__new__(cls)

    def __setstate__(self, state: Any) -> None: ...


def network_name(net: nn.Module) -> str:
    """timm's name of a network."""
    return str((getattr(net, "pretrained_cfg", None) or {}).get("architecture") or type(net).__name__)


class HubOptions(TypedDict, total=False):
    """What `huggingface_hub.snapshot_download` takes for a hub id."""

    revision: str | None
    token: str | bool | None
    cache_dir: Path | str | None


def model_folder(path: Path | str, **hub: Unpack[HubOptions]) -> Path:
    """The folder with ``model.safetensors``: a model folder, one in a run folder, or a Hugging Face hub id's.

    Args:
        path: one of these.
        hub: for a hub id.

    Raises:
        ValueError: there is no model.
    """
    folder = Path(path)
    for place in (folder, folder / "model", replaced(folder), replaced(folder / "model")):
        if (place / "model.safetensors").is_file():
            return place
    if (folder / "best").is_dir() or (folder / "checkpoints").is_dir():
        best = f", or give {folder / 'best'}, its best model so far" if (folder / "best").is_dir() else ""
        raise ValueError(f"{folder} is an unfinished run; continue it with: scapnet resume {folder}{best}")
    if folder.exists():
        raise ValueError(f"{folder} holds no model; give a run folder or one with config.json and model.safetensors")
    # Only a string can be a hub id, and not one that leads into a folder that is here.
    local = isinstance(path, Path) or (folder.parent != Path() and folder.parent.exists())
    if local or str(path).count("/") != 1 or str(path).startswith((".", "/", "~")):
        raise ValueError(f"there is no folder {folder}; give a run folder, a model folder or a hub id owner/name")
    from huggingface_hub import snapshot_download

    try:
        wanted = ["config.json", "model.safetensors", "prototypes.safetensors", "README.md"]
        found = snapshot_download(str(path), **hub, allow_patterns=wanted)
        return Path(found)
    except Exception as error:  # the hub client has many errors, and all mean that there is no model to load
        raise ValueError(
            f"there is no folder {folder}, and the hub gave no model of that name ({type(error).__name__})"
        ) from error


def replaced(folder: Path) -> Path:
    """Where the older model is kept while a new one replaces it; `model_folder` finds it if that is interrupted."""
    return folder.with_name(f".{folder.name}.old")


def weight_file(source: str) -> Path:
    """The file with the starting weights that a setting names: a file, a model or run folder, or a hub id.

    Raises:
        ValueError: there is no such file.
    """
    path = Path(source)
    if path.is_dir() or (not path.suffix and not path.exists()):
        return model_folder(source) / "model.safetensors"
    if not path.is_file():
        raise ValueError(f"there is no weight file {path}; give a safetensors file, a state dict or a model folder")
    return path


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file or a PyTorch file, which is read without running code.

    Returns:
        Tensors by name; names of nested containers are joined by dots: ``{"state_dict": {"x": tensor}}`` gives
        "state_dict.x".

    Raises:
        ValueError: no such file, one that cannot be read, or one without named tensors.
    """
    if not path.is_file():
        raise ValueError(f"there is no weight file {path}; give a safetensors file or a state dict")
    try:
        found = load_file(path) if path.suffix == ".safetensors" else dict(_tensors(_read_pickle(path)))
    except Exception as error:  # each reader has errors of its own, and all mean the same to the user
        raise ValueError(f"{path} is not a readable weight file ({_why(error)})") from error
    if not any(name.strip("0123456789.") for name in found):
        raise ValueError(f"{path} holds no state dict; save one with: torch.save(network.state_dict(), FILE)")
    return found


def _why(error: Exception) -> str:
    """Why a file cannot be read, and what to do about it if that is known."""
    if "torchscript" in str(error).lower():
        return "it is TorchScript, which is code; save the state_dict() of the network instead"
    # A broken file gives a RuntimeError or an EOFError; all others mean a pickle, or text, of another kind.
    if isinstance(error, pickle.UnpicklingError | KeyError | ValueError | TypeError | AttributeError):
        return "it cannot be read without running code; save the weights with: torch.save(network.state_dict(), FILE)"
    return reason(error)


def _read_pickle(path: Path) -> Any:
    """What `torch.save` wrote; foreign objects in it, such as a training script's arguments, become inert."""
    try:
        foreign = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except ValueError:  # a file of PyTorch 1.5 or older, which only loading can look into
        foreign = ["argparse.Namespace"]
    inert: list[Any] = [(InertArray if name.startswith("numpy.") else Inert, name) for name in foreign]
    with torch.serialization.safe_globals(inert), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return torch.load(path, map_location="cpu", weights_only=True)


def _tensors(content: Any, name: str = "", depth: int = 0) -> Iterator[tuple[str, Tensor]]:
    """All tensors in nested containers, and in pickled modules, with their joined names."""
    if isinstance(content, Tensor):
        yield name, content
        return
    if depth == DEPTH:
        return
    if isinstance(content, Mapping):
        parts = vars(content) if hasattr(content, "__dict__") else {}
        inside = {**content}
        for group in ("_parameters", "_buffers", "_modules"):  # of a whole network that was pickled
            inside |= parts.get(group) or {}
        depth -= "_modules" in parts  # its modules may be nested deeply
    else:
        inside = dict(enumerate(content)) if isinstance(content, list | tuple) else {}
    for key, value in inside.items():
        yield from _tensors(value, f"{name}.{key}" if name else str(key), depth + 1)


def _best_prefix(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> str:
    """The prefix under which most tensors of a network are found, with their shapes; an averaged copy comes first."""
    found: Counter[str] = Counter()
    for name, value in state.items():
        starts = [0, *(i + 1 for i, letter in enumerate(name) if letter == ".")]
        found.update(name[:i] for i in starts if name[i:] in own and own[name[i:]].shape == value.shape)
    best = max(found.values(), default=0)
    prefixes = [prefix for prefix, count in found.items() if count == best]
    return min(prefixes, key=lambda prefix: (not AVERAGED.search(prefix), len(prefix)), default="")


def _by_timm(net: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """What timm makes of a state dict in the layout of a network's authors; nothing where it knows no other layout."""
    convert: Any = getattr(sys.modules[type(net).__module__], "checkpoint_filter_fn", None)
    try:
        return {key: value for key, value in convert(dict(state), net).items() if isinstance(value, Tensor)}
    except Exception:  # it expects certain names; without them, it is another layout
        return {}


def _unwrapped(state: dict[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """A state dict, and what is left of it when the first part of most names is taken away, again and again."""
    while state:
        yield state
        head, count = Counter(name.partition(".")[0] for name in state).most_common(1)[0]
        inside = {name.partition(".")[2]: value for name, value in state.items() if name.startswith(f"{head}.")}
        state = inside if 2 * count > len(state) else {}


def _backbone_beside(path: Path) -> str:
    """The backbone of a model folder in which a file lies, if it lies in one."""
    try:
        return f" {json.loads(path.with_name('config.json').read_text(encoding='utf-8'))['model']['backbone']}"
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _misfits(own: Mapping[str, Tensor], state: Mapping[str, Tensor], prefix: str) -> list[str]:
    """The network's tensors that a state dict does not have under a prefix, or has in another shape."""
    wrong = [key for key in own if prefix + key not in state or state[prefix + key].shape != own[key].shape]
    return [key for key in wrong if not key.endswith("num_batches_tracked")]


def load_weights(net: nn.Module, path: Path) -> Loaded:
    """Put a file's weights into a network, under whatever prefix and nesting they are; a classifier is left out.

    Raises:
        ValueError: the file belongs to another network.
    """
    state, own = read_weights(path), net.state_dict()
    prefix = _best_prefix(own, state)
    wrong = _misfits(own, state, prefix)
    if wrong:
        for other in (_by_timm(net, inside) for inside in _unwrapped(state)):
            if not _misfits(own, other, ""):
                state, prefix, wrong = other, "", []
                break
    if wrong:
        key = wrong[0]
        found = f"its shape is {tuple(state[prefix + key].shape)}" if prefix + key in state else "it is missing"
        raise ValueError(
            f"{path} does not hold the weights of {network_name(net)}: {len(wrong)} of {len(own)} tensors do not fit, "
            f"the first is {key}, where {tuple(own[key].shape)} was expected and {found}; give that network's weights, "
            f"or choose theirs with {option('model.backbone')}{_backbone_beside(path)}"
        )
    net.load_state_dict({key: state.get(prefix + key, value).to(value.dtype) for key, value in own.items()})
    names = [name for name in state if name.startswith(prefix)]
    rest = tuple(name for name in names if name.removeprefix(prefix) not in own)
    return Loaded(path, network_name(net), prefix, len(names) - len(rest), rest)
