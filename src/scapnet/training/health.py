"""Checks that gradients and weights are finite, before a step changes the weights and before they are written."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from scapnet.modelfile import first_infinite
from scapnet.terminal.hints import option


def gradient_norm(parameters: Iterable[nn.Parameter]) -> Tensor:
    """The norm of all gradients together; 0 where there is none."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    return nn.utils.get_total_norm(gradients)


def check_weights(model: nn.Module, place: str) -> None:
    """Refuse weights that must not be written.

    Args:
        model: whose parameters and buffers are checked.
        place: where training is, for the sentence.

    Raises:
        ValueError: a value that is not finite.
    """
    found = first_infinite(model.state_dict().items())
    if found is not None:
        raise ValueError(
            f"the weights are no longer finite {place}: {found}; nothing was written, and the last checkpoint is as it "
            f"was; {remedy()}"
        )


def remedy() -> str:
    """What to do about training that has diverged."""
    return f"lower {option('train.lr')}, or clip the gradient with {option('train.clip')} 5"


def divergence(model: nn.Module, terms: dict[str, Tensor], again: dict[str, Tensor], place: str) -> str:
    """Why a gradient is not finite, as a sentence.

    Args:
        model: with its gradients.
        terms: of the loss, by name; "loss" is their weighted sum.
        again: the same of another pass, whose graph is still there.
        place: where training is, such as "in epoch 3, step 12".
    """
    loss = float(terms["loss"].detach())
    wrong = [name for name, term in terms.items() if name != "loss" and not torch.isfinite(term)]
    which = f" (its term {wrong[0]} is {float(terms[wrong[0]].detach())})" if wrong else ""
    found = first_infinite((name, parameter.grad) for name, parameter in model.named_parameters())
    if found is None:  # each is finite, and the sum of their squares is not
        found = "too large for its norm"
    elif not wrong and (term := responsible_term(model, again)):
        found += f", from the term {term}"
    return (
        f"the loss is {loss}{which} {place}, and the gradient is not finite: {found}; training has diverged, and the "
        f"last checkpoint is as it was; {remedy()}"
    )


def responsible_term(model: nn.Module, terms: dict[str, Tensor]) -> str | None:
    """The first term of a loss whose own gradient is not finite."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for name, term in terms.items():
        if name == "loss" or not term.requires_grad:
            continue
        gradients = torch.autograd.grad(term, parameters, retain_graph=True, allow_unused=True)
        if any(gradient is not None and not torch.isfinite(gradient).all() for gradient in gradients):
            return name
    return None
