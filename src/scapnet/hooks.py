"""Access to a network's last feature maps while it runs.

B batch, D channels of the last map, H' W' its size.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from scapnet.network import Network


@contextmanager
def last_maps(model: Network) -> Iterator[list[Tensor]]:
    """Collect the last maps (B, D, H', W'), masked where the gate masks, in the order in which they are pooled.

    The main branch's is the first; a sub-network that shares its weights adds one of its own. The network is unchanged
    afterwards.
    """
    net, found = model.backbone.net, list[Tensor]()
    forward_head: Any = net.forward_head

    # No module returns this map, so no forward hook sees it: the halves of a cut network are methods. Both the cut and
    # the whole network end in forward_head.
    def collect(features: Tensor, *arguments: Any, **options: Any) -> Any:
        found.append(features.permute(0, 3, 1, 2) if model.backbone.channels_last else features)
        return forward_head(features, *arguments, **options)

    net.forward_head = collect  # type: ignore[assignment]
    try:
        yield found
    finally:
        del net.forward_head
