"""How much each branch should count in the answer, by photos that training did not see.

n photos, K classes.
"""

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor
from torch.nn import functional as F

MOST = 20.0  # of a weight
EQUAL = (0.5, 0.5)


def pool_weights(target: Tensor, main: Tensor, parts: Tensor) -> tuple[float, float] | None:
    """The weights a and b with the likeliest labels under softmax(a log main + b log parts).

    A logarithmic opinion pool (Genest and Zidek, Statistical Science 1986): a branch that is often wrong, or surer than
    it is right, gets a small weight. Each weight has a normal prior around 1/2 with a variance of 1/2, so that a few
    photos that are all named right do not ask for certainty; the objective is convex.

    Args:
        target: (n,) labels.
        main: (n, K) the main branch's answer, each row sums to 1.
        parts: (n, K) the parts' answer.

    Returns:
        a and b in [0, 20], or None where the mean of both answers makes the labels at least as likely.
    """
    logs = torch.stack([main, parts]).double().clamp(min=torch.finfo(torch.float32).tiny).log()  # (2, n, K)
    right = logs.gather(2, target.expand(2, -1)[..., None])[..., 0]  # (2, n)

    def objective(weights: np.ndarray) -> tuple[float, np.ndarray]:
        """The negative log-posterior and its gradient."""
        pooled = torch.einsum("b,bnk->nk", torch.from_numpy(weights), logs)
        away = weights - EQUAL
        loss = pooled.logsumexp(1).sum() - float(weights @ right.sum(1).numpy()) + float(away @ away)
        slope = (pooled.softmax(1) * logs).sum((1, 2)) - right.sum(1)
        return float(loss), slope.numpy() + 2 * away

    found = minimize(objective, EQUAL, jac=True, method="L-BFGS-B", bounds=[(0, MOST)] * 2).x
    a, b = (float(round(weight, 4)) for weight in found)
    mean = ((main + parts) / 2).double().clamp(min=torch.finfo(torch.float32).tiny).log()
    pooled = torch.log_softmax(a * logs[0] + b * logs[1], 1)
    return (a, b) if F.nll_loss(pooled, target) < F.nll_loss(mean, target) else None
