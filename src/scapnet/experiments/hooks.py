"""A look inside a network while it runs, which leaves it as it was.

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

    The main branch's is the first; a sub-network that shares its weights adds one of its own.
    """
    net, found = model.backbone.net, list[Tensor]()
    head: Any = net.forward_head

    # No module gives this map: the halves of a cut network are methods. Both ways through it end in forward_head.
    def spy(features: Tensor, *arguments: Any, **options: Any) -> Any:
        found.append(features.permute(0, 3, 1, 2) if model.backbone.channels_last else features)
        return head(features, *arguments, **options)

    net.forward_head = spy  # type: ignore[assignment]
    try:
        yield found
    finally:
        del net.forward_head
