"""What each branch and part contributes to an answer: terms that sum exactly to p_a - p_b of two classes.

B batch, K classes, M parts, D feature size, T terms of a branch.

Every network of the package answers with a weighted mean of softmax outputs, p = sum_j w_j softmax(s_j), and the logits
s_j of such a branch are a sum of terms, s_j = sum_t s_jt, one per part or one for the whole picture. The log-odds of
two classes a and b within a branch are then a sum over its terms, and

    q_a - q_b = L(q_a, q_b) (log q_a - log q_b) = L(q_a, q_b) sum_t (s_jta - s_jtb),    q = softmax(s_j),

with the logarithmic mean L(x, y) = (x - y) / (log x - log y), L(x, x) = x, which is never negative. So a term's share
of p_a - p_b is w_j L(q_a, q_b) (s_jta - s_jtb): it has the sign of the term's own preference, it is proportional to
the difference of its logits within a branch, and the shares sum to p_a - p_b. This is the additive logarithmic mean
Divisia index of decomposition analysis (Ang, Energy Policy 32, 2004).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from scapnet.baselines.nts import JOINED, NTSNet, NTSOutput
from scapnet.baselines.rra import RRA
from scapnet.modules.alternatives.classifiers import ConcatClassifier
from scapnet.network import Network, NetworkOutput

WHOLE, BIAS = -1, -2  # owners of the main branch's term, and of a joint classifier's bias


@dataclass(frozen=True)
class Branch:
    """One softmax of an answer."""

    weight: float  # w_j
    terms: Tensor  # (B, T, K) float64; their sum over T is the logits
    owners: tuple[int, ...]  # T owners: the number of a part, WHOLE or BIAS

    def probs(self) -> Tensor:
        """(B, K) softmax of the summed terms."""
        return self.terms.sum(1).softmax(-1)


class Captured(dict[str, Any]):
    """The inputs and outputs of modules in a forward pass, by module name."""

    def inputs(self, name: str) -> Tensor:
        """A module's first input."""
        found: Tensor = self[name][0][0]
        return found

    def output(self, name: str) -> Any:
        """A module's output."""
        return self[name][1]


@contextmanager
def capturing(model: Network, names: Sequence[str]) -> Iterator[Captured]:
    """Record the inputs and outputs of the modules in ``names`` (dotted paths) that a network has and runs."""
    found, modules, handles = Captured(), dict(_module(model).named_modules()), []
    for name in names:
        if name in modules:

            def keep(_: nn.Module, inputs: Any, output: Any, name: str = name) -> None:
                found[name] = inputs, output

            handles.append(modules[name].register_forward_hook(keep))
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _module(model: Network) -> nn.Module:
    assert isinstance(model, nn.Module)
    return model


NEEDED = ("classifier", "scrutinizer", "part_classifier", "recurrent", "recurrent.lstm", "relation")


def main_features(captured: Captured) -> Tensor:
    """(B, D) features of the main branch, the input of its classifier, from the captured modules NEEDED."""
    return captured.inputs("classifier").detach().float().cpu()


def branches_of(model: Network, output: NetworkOutput, captured: Captured) -> list[Branch]:
    """The branches of a batch's answers.

    Args:
        model: a network of the package.
        output: its output in evaluation.
        captured: the modules NEEDED in the same forward pass.

    Raises:
        ValueError: the branches do not reproduce the network's answers, as in a network that combines them differently.
    """
    if isinstance(model, NTSNet) and isinstance(output, NTSOutput) and output.joint is not None:
        branches = [_joined(model, captured)]
    elif isinstance(model, RRA) and output.part_logits is not None:
        branches = [_recurrent(model, output, captured)]
    else:
        branches = _averaged(model, output, captured)
    answer = sum((branch.weight * branch.probs() for branch in branches), torch.zeros(()))
    if not torch.allclose(answer.float(), output.probs.detach().float().cpu(), atol=2e-3):
        raise ValueError(
            f"the answer of this {type(model).__name__} is not the mean of its branches' softmax outputs, so it cannot "
            f"be divided among them"
        )
    return branches


def _double(logits: Tensor) -> Tensor:
    return logits.detach().cpu().double()


def _averaged(model: Network, output: NetworkOutput, captured: Captured) -> list[Branch]:
    """SCAPNet's `scapnet.modules.fusion`: a softmax of each branch, or one of both; without parts softmax(main)."""
    main = _double(output.logits).unsqueeze(1)
    if output.part_logits is None:
        return [Branch(1.0, main, (WHOLE,))]
    classifier, owners = getattr(model, "part_classifier", None), tuple(range(output.part_logits.shape[1]))
    if isinstance(classifier, ConcatClassifier):
        terms, owners = _linear_terms(classifier.linear, captured.inputs("part_classifier").flatten(1), _order(output))
    else:
        terms = _double(output.part_logits) / len(owners)
    pool = getattr(output, "pool", None)
    if pool is None:
        return [Branch(0.5, main, (WHOLE,)), Branch(0.5, terms, owners)]
    return [Branch(1.0, torch.cat([pool[0] * main, pool[1] * terms], 1), (WHOLE, *owners))]


def _order(output: NetworkOutput) -> tuple[int, ...]:
    assert output.parts is not None
    return tuple(range(output.parts.boxes.shape[1]))


def _linear_terms(linear: nn.Linear, joined: Tensor, owners: tuple[int, ...]) -> tuple[Tensor, tuple[int, ...]]:
    """The terms (B, T, K) of a linear layer on joined features (B, T*D) of ``owners``, the bias last."""
    count, features = len(owners), _double(joined)
    weight = _double(linear.weight).reshape(len(linear.weight), count, -1)  # (K, T, D)
    terms = torch.einsum("btd,ktd->btk", features.reshape(len(features), count, -1), weight)
    if linear.bias is None:
        return terms, owners
    bias = _double(linear.bias).expand(len(features), 1, -1)
    return torch.cat([terms, bias], 1), (*owners, BIAS)


def _joined(model: NTSNet, captured: Captured) -> Branch:
    """NTS-Net: softmax of the Scrutinizer, which is linear in the features of JOINED parts and of the whole picture."""
    scrutinizer = model.scrutinizer
    assert isinstance(scrutinizer, nn.Linear)
    terms, owners = _linear_terms(scrutinizer, captured.inputs("scrutinizer"), (*range(JOINED), WHOLE))
    return Branch(1.0, terms, owners)


def _recurrent(model: RRA, output: NetworkOutput, captured: Captured) -> Branch:
    """RRA: softmax(main + local), where local is linear in the attended LSTM outputs, several per part."""
    classifier = model.part_classifier
    assert isinstance(classifier, nn.Linear)
    steps, (_, weights) = _double(captured.output("recurrent.lstm")[0]), captured.output("recurrent")
    attended = _double(weights).unsqueeze(-1) * steps  # (B, M*T, h)
    batch, _, size = attended.shape
    parts = attended.reshape(batch, -1, model.recurrent.steps, size).sum(2)  # (B, M, h)
    terms = parts @ _double(classifier.weight).T
    main = _double(output.logits).unsqueeze(1)
    bias = _double(classifier.bias).expand(len(main), 1, -1)
    return Branch(1.0, torch.cat([terms, main, bias], 1), (*range(parts.shape[1]), WHOLE, BIAS))


def part_embeddings(captured: Captured) -> Tensor | None:
    """(B, M, D) features of the parts as the sub-network outputs them, before the relation; None without parts.

    Args:
        captured: the modules NEEDED.
    """
    for name in ("relation", "recurrent", "part_classifier"):
        if name in captured:
            return captured.inputs(name).detach().float().cpu()
    return None


def logarithmic_mean(x: Tensor, log_ratio: Tensor) -> Tensor:
    """L(x, y) of x and y = x exp(-log_ratio), also if they are equal or nearly equal.

    Args:
        x: positive, of any shape.
        log_ratio: log x - log y.
    """
    # (x - y) / log_ratio = x (1 - exp(-r)) / r, and 1 - r/2 + r^2/6 for small r
    small = log_ratio.abs() < 1e-4
    r = torch.where(small, torch.ones_like(log_ratio), log_ratio)
    ratio = -torch.expm1(-r) / r
    return x * torch.where(small, 1 - log_ratio / 2 + log_ratio**2 / 6, ratio)


def shares(branch: Branch, a: Tensor, b: Tensor) -> Tensor:
    """What each term contributes to p_a - p_b: (B, T), whose sum over T is weight * (q_a - q_b).

    Args:
        branch: a branch with terms (B, T, K).
        a, b: (B,) classes.
    """
    rows = torch.arange(len(a))
    difference = branch.terms[rows, :, a] - branch.terms[rows, :, b]  # (B, T)
    # x is the larger of the two, so that exp does not overflow; L is symmetric.
    log_odds, q = difference.sum(1), branch.probs()
    larger = torch.maximum(q[rows, a], q[rows, b])
    return branch.weight * logarithmic_mean(larger, log_odds.abs()).unsqueeze(1) * difference


def centred(branch: Branch) -> Tensor:
    """Each term's evidence for each class: its logits minus their mean over the classes, (B, T, K)."""
    return branch.terms - branch.terms.mean(-1, keepdim=True)
