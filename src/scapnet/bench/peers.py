"""Other people's networks, loaded from a checkout of theirs as it is, and run on any device.

What keeps their code from running here (downloads, `.cuda()`, names that numpy has dropped) is replaced from outside
while it runs. Only the forward pass is timed.
"""

import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn

from scapnet.bench.timing import Row

SIZE = 448  # px; their anchors and poolings are made for it


def _ntsnet(device: torch.device) -> nn.Module:
    """NTS-Net of github.com/yangze0930/NTS-Net: six parts, as in its train.py and test.py."""
    resnet, config = importlib.import_module("core.resnet"), importlib.import_module("config")
    bare = resnet.resnet50
    with patch.object(resnet, "resnet50", lambda pretrained=False, **options: bare(**options)):
        made: nn.Module = importlib.import_module("core.model").attention_net(topN=config.PROPOSAL_NUM)
    return made.to(device)


def _pmg(device: torch.device) -> nn.Module:
    """PMG of github.com/PRIS-CV/PMG-Progressive-Multi-Granularity-Training: ResNet-50, as in its utils.py."""
    backbone = importlib.import_module("Resnet").resnet50(pretrained=False)
    made: nn.Module = importlib.import_module("model").PMG(backbone, 512, 200)
    return made.to(device)


# What makes a peer, and the modules of its checkout.
PEERS: dict[str, tuple[Callable[[torch.device], nn.Module], tuple[str, ...]]] = {
    "ntsnet": (_ntsnet, ("config", "core")),
    "pmg": (_pmg, ("Resnet", "model")),
}


@contextmanager
def _patched(device: torch.device) -> Iterator[None]:
    """Their calls of ``.cuda()`` lead to the device, and numpy has its old name for whole numbers."""

    def moved(tensor: Tensor, *_: Any, **__: Any) -> Tensor:
        return tensor.to(device)

    with ExitStack() as stack:
        stack.enter_context(patch.object(Tensor, "cuda", moved))
        if not hasattr(np, "int"):
            stack.enter_context(patch.object(np, "int", int, create=True))
        yield


def load_peer(name: str, checkout: Path, device: torch.device) -> nn.Module:
    """A peer's network with random weights, in evaluation mode.

    Args:
        name: one of PEERS.
        checkout: the folder of its repository.
        device: where it runs.

    Raises:
        ValueError: an unknown peer, or a folder that is no checkout of it.
    """
    if name not in PEERS:
        raise ValueError(f"there is no peer {name!r}; use {' or '.join(f'{peer}=FOLDER' for peer in PEERS)}")
    make, modules = PEERS[name]
    kept = {key: sys.modules.pop(key) for key in list(sys.modules) if key.partition(".")[0] in modules}
    sys.path.insert(0, str(checkout.resolve()))
    try:
        with _patched(device):
            return make(device).eval()
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{checkout} is no checkout of {name} as its authors published it ({error})") from error
    finally:
        sys.path.remove(str(checkout.resolve()))
        for key in [key for key in sys.modules if key.partition(".")[0] in modules]:
            del sys.modules[key]
        sys.modules.update(kept)


def peer_rows(peers: Sequence[str], images: Tensor) -> Iterator[Row]:
    """The forward pass of each peer.

    Args:
        peers: such as "ntsnet=FOLDER".
        images: (B, 3, 448, 448).

    Raises:
        ValueError: images of another size, or see `load_peer`.
    """
    if peers and images.shape[-1] != SIZE:
        raise ValueError(f"the peers take images of {SIZE} px and not of {images.shape[-1]}; use --size {SIZE}")
    for peer in peers:
        name, equals, folder = peer.partition("=")
        if not equals:
            raise ValueError(f"--peer {peer}: say where its checkout is, for example {peer}=FOLDER")
        net = load_peer(name, Path(folder), images.device)

        @torch.inference_mode()
        def run(net: nn.Module = net) -> object:
            with _patched(images.device):
                return net(images)

        yield Row(name, run, "its authors' code from a checkout")
