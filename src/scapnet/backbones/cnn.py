"""A timm network cut after its last map of stride 16: head (to stage 3) and tail (stage 4).

B batch, C channels of the stride-16 map, H W its size, D size of the pooled features.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import reduce

import torch
from torch import Tensor, nn

from scapnet.backbones.weights import Loaded, network_name

STRIDE = 16
STRIP = 32  # width of the strip on which the height of a map is found
SMALL = 64  # side of the image on which a network that takes any size is checked


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Switch to evaluation mode, and restore the mode of each module at the end."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


class Backbone(nn.Module):
    """A network without its classifier, in two halves.

    ``pool(tail(head(x)))`` equals the pooled features of the whole network; this is checked on construction, on a small
    image where the network takes any size.

    Args:
        net: a timm network.
        size: side of its input in pixels.
        cut: False for a network that only extracts features (a sub-network, a baseline without a gate).

    Raises:
        ValueError: the network cannot be cut; the message names it and the reason.
    """

    loaded: Loaded | None = None  # what was loaded from the user's weight file

    def __init__(self, net: nn.Module, size: int = 224, cut: bool = True) -> None:
        super().__init__()
        self.net = net
        self.channels_last = getattr(net, "output_fmt", "NCHW") == "NHWC"
        known = getattr(net, "pretrained_cfg", None) or {}
        side = size if known.get("fixed_input_size") else min(size, SMALL)
        # A generator of its own, so that building a network does not advance torch's.
        example = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))
        with torch.no_grad(), evaluation_mode(net):
            if cut:
                self.channels, self._head, self._tail, features = _cut(net, example)
                expected: Tensor = net.forward_head(features, pre_logits=True)  # type: ignore[operator]
                self._check(example, expected)
            else:
                expected = self(example)
            self.dim = int(expected.shape[-1])

    def _check(self, example: Tensor, expected: Tensor) -> None:
        try:
            middle = self.head(example)
            whole = self.pool(self.tail(middle))
        except (RuntimeError, TypeError, ValueError) as error:
            raise ValueError(_refusal(self.net, f"its halves cannot run separately ({error})")) from error
        if middle.dim() != 4 or middle.shape[1] != self.channels:
            raise ValueError(_refusal(self.net, f"its stage 3 outputs {tuple(middle.shape)}, which is not a map"))
        if whole.shape != expected.shape or not torch.allclose(whole, expected, rtol=1e-4, atol=1e-5):
            raise ValueError(_refusal(self.net, "its two halves do not reproduce the features of the whole network"))

    def _run(self, names: list[str], x: Tensor) -> Tensor:
        for name in names:
            # like get_submodule(name), which older versions of torch.export cannot trace
            x = reduce(getattr, name.split("."), self.net)(x)
        return x

    def head(self, x: Tensor) -> Tensor:
        """Images (B, 3, h, w) to the stage-3 map (B, C, H, W)."""
        x = self._run(self._head, x)
        return x.permute(0, 3, 1, 2) if self.channels_last else x

    def tail(self, features: Tensor) -> Tensor:
        """Stage-3 map (B, C, H, W) to the last map, (B, D, H', W') in every layout."""
        x = self._run(self._tail, features.permute(0, 2, 3, 1) if self.channels_last else features)
        return x.permute(0, 3, 1, 2) if self.channels_last else x

    def pool(self, features: Tensor) -> Tensor:
        """Last map to features (B, D), including the layers that the network has after pooling."""
        x = features.permute(0, 2, 3, 1) if self.channels_last else features
        pooled: Tensor = self.net.forward_head(x, pre_logits=True)  # type: ignore[operator]
        return pooled

    def start(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Images (B, 3, h, w) to the map (B, C, H, W) that a gate looks at, and what goes past it, here nothing."""
        return self.head(x), None

    @torch.no_grad()
    def map_cells(self, size: int, stage: int) -> tuple[int, int]:
        """Height and width of the stage-3 or stage-4 map of an image of ``size`` pixels, of which a strip is run."""
        place = next(self.parameters()).device
        with evaluation_mode(self):
            try:
                found = self._map(torch.zeros(1, 3, size, STRIP, device=place), stage)
            except (AssertionError, RuntimeError):  # a network that takes only images of its own size
                found = self._map(torch.zeros(1, 3, size, size, device=place), stage)
        cells = found.shape[-2]
        return cells, cells

    def _map(self, x: Tensor, stage: int) -> Tensor:
        features = self.head(x)
        return features if stage == 3 else self.tail(features)

    def last_map(self, x: Tensor) -> Tensor:
        """Images (B, 3, h, w) to the last map (B, D, H', W') of the uncut network.

        Raises:
            ValueError: the network ends in tokens, as vision transformers do.
        """
        features: Tensor = self.net.forward_features(x)  # type: ignore[operator]
        if features.dim() != 4:
            raise ValueError(f"{network_name(self.net)} ends in features {tuple(features.shape)[1:]}, not in a map")
        return features.permute(0, 3, 1, 2) if self.channels_last else features

    def forward(self, x: Tensor) -> Tensor:
        """Images (B, 3, h, w) to features (B, D) through the uncut network."""
        features: Tensor = self.net.forward_head(self.net.forward_features(x), pre_logits=True)  # type: ignore[operator]
        return features


def _refusal(net: nn.Module, reason: str) -> str:
    return (
        f"{network_name(net)} cannot be cut between stage 3 and stage 4: {reason}; "
        f"use another network, such as resnet50 or convnext_tiny, or disable the gate and the parts"
    )


def _cut(net: nn.Module, example: Tensor) -> tuple[int, list[str], list[str], Tensor]:
    """C, the submodules before and after the end of stage 3, in the order in which they run, and the last features."""
    stages = [dict(info) for info in getattr(net, "feature_info", [])]
    last = [info for info in stages if info.get("reduction") == STRIDE]
    if not last or not any((info.get("reduction") or 0) > STRIDE for info in stages):
        raise ValueError(_refusal(net, f"it reports no map of stride {STRIDE} followed by a coarser one"))
    steps, features = _steps(net, str(last[-1]["module"]), example)
    end = steps.index(str(last[-1]["module"])) + 1
    return int(last[-1]["num_chs"]), steps[:end], steps[end:], features


def _steps(net: nn.Module, path: str, example: Tensor) -> tuple[list[str], Tensor]:
    """The chain of submodules that `forward_features` calls, and its result; those with ``path`` inside are opened."""
    owners = [path[:i] for i, letter in enumerate(path) if letter == "."]  # "a.b.c": a, a.b
    names = [f"{owner}.{child}" for owner in owners for child, _ in net.get_submodule(owner).named_children()]
    names += [child for child, _ in net.named_children()]
    names = [name for name in names if name not in owners]
    called: list[str] = []
    hooks = [net.get_submodule(name).register_forward_hook(lambda *_, name=name: called.append(name)) for name in names]
    try:
        features: Tensor = net.forward_features(example)  # type: ignore[operator]
    finally:
        for hook in hooks:
            hook.remove()
    if called.count(path) != 1:
        raise ValueError(_refusal(net, f"{path} runs {called.count(path)} times"))
    return called, features
