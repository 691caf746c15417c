"""Both branches' answers in one.

B batch, K classes, M parts.
"""

from torch import Tensor


def fused_answer(logits: Tensor, part_logits: Tensor, pool: tuple[float, float] | None = None) -> Tensor:
    """The final answer (B, K) of the main branch's logits (B, K) and the parts' (B, M, K).

    Without ``pool``, the mean of both branches' softmax (Sec. IV-B), of which the parts' is that of their mean logits.
    With weights a and b, a logarithmic opinion pool (not in the paper): softmax(a main + b mean of the parts), in which
    a branch that is often wrong, or too sure, counts for less.
    """
    main, parts = logits.float(), part_logits.float().mean(1)
    if pool is None:
        return (main.softmax(-1) + parts.softmax(-1)) / 2
    return (pool[0] * main + pool[1] * parts).softmax(-1)


def spread_rows(values: Tensor, where: Tensor) -> Tensor:
    """Rows (n, ...) at the places of the n true ones of (B,); the others are NaN, or 0 of whole numbers."""
    empty = float("nan") if values.is_floating_point() else 0
    found = values.new_full((len(where), *values.shape[1:]), empty)
    found[where] = values
    return found
