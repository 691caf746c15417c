"""Batch norms folded into the convolutions before them: the same function with half as many passes over each map."""

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights


@torch.no_grad()
def fold_batch_norm(net: nn.Module, example: Tensor) -> int:
    """Fold every batch norm whose input is a convolution's output into that convolution, in place.

    Args:
        net: a network in evaluation mode.
        example: an input, with which the folded network is compared.

    Returns:
        The number of batch norms that were folded.

    Raises:
        ValueError: the folded network gives other outputs, as where a convolution's output is also used elsewhere; it
            must not be used any more.
    """
    expected = net(example)
    pairs = _pairs(net, example)
    places = {module: name for name, module in net.named_modules()}
    for norm, convolution in pairs.items():
        assert norm.running_mean is not None
        assert norm.running_var is not None
        statistics = norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
        convolution.weight, convolution.bias = fuse_conv_bn_weights(convolution.weight, convolution.bias, *statistics)
        owner, _, name = places[norm].rpartition(".")
        setattr(net.get_submodule(owner), name, _rest(norm))
    if not torch.allclose(net(example), expected, rtol=1e-3, atol=1e-4):
        raise ValueError("batch norm cannot be folded into the convolutions of this network; use the engine torch")
    return len(pairs)


def _pairs(net: nn.Module, example: Tensor) -> dict[nn.BatchNorm2d, nn.Conv2d]:
    """The batch norms that see nothing but the output of one convolution, which no other batch norm sees."""
    made = dict[int, tuple[nn.Conv2d, Tensor]]()  # outputs are kept, so that their ids stay theirs
    seen = dict[nn.BatchNorm2d, set[nn.Conv2d | None]]()

    def keep(module: nn.Module, given: tuple[Tensor, ...], found: Tensor) -> None:
        if isinstance(module, nn.Conv2d):
            made[id(found)] = module, found
        elif isinstance(module, nn.BatchNorm2d):
            before = made.get(id(given[0]))
            seen.setdefault(module, set()).add(before[0] if before else None)

    chosen = [module for module in net.modules() if isinstance(module, nn.Conv2d | nn.BatchNorm2d)]
    hooks = [module.register_forward_hook(keep) for module in chosen]
    try:
        net(example)
    finally:
        for hook in hooks:
            hook.remove()
    single = {norm: next(iter(found)) for norm, found in seen.items() if len(found) == 1}
    uses = list(single.values())
    fits = {n: c for n, c in single.items() if c is not None and uses.count(c) == 1 and n.running_mean is not None}
    return fits


def _rest(norm: nn.BatchNorm2d) -> nn.Module:
    """What is left of a folded batch norm: nothing, or the activation that timm's has inside."""
    return nn.Sequential(*(getattr(norm, name) for name in ("drop", "act") if hasattr(norm, name)))
