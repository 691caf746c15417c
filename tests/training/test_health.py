"""Nothing that is not finite changes the weights or is written."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from samples import TINY, log_of, own_photos
from scapnet.checkpoint import from_pretrained
from scapnet.modelfile import first_infinite
from scapnet.network import as_module
from scapnet.terminal.console import ProgressBar
from scapnet.training.health import check_weights, gradient_norm
from scapnet.training.loop import fit
from scapnet.training.run import Run
from scapnet.training.train import resume, train


def spoil(parameter: Tensor, value: float, after: int) -> Any:
    """Set one element of a parameter's gradient once it has been computed ``after`` times."""
    calls = iter(range(after))

    def hook(gradient: Tensor) -> Tensor:
        if next(calls, None) is not None:
            return gradient
        gradient = gradient.clone()
        gradient[(0,) * gradient.dim()] = value
        return gradient

    register: Any = parameter.register_hook
    return register(hook)


@pytest.mark.parametrize(("value", "word"), [(float("nan"), "nan"), (float("inf"), "infinite")])
@pytest.mark.parametrize("clip", [0.0, 5.0])
def test_a_gradient_that_is_not_finite_changes_nothing(tmp_path: Path, value: float, word: str, clip: float) -> None:
    run = Run(own_photos(tmp_path / "data", clip=clip, checkpoint_steps=1), tmp_path / "run")
    name = "classifier.weight"
    spoil(dict(as_module(run.model).named_parameters())[name], value, after=2)
    with ProgressBar("work", quiet=True) as bar, pytest.raises(ValueError, match="diverged") as error:
        fit(run, bar)
    said = str(error.value)
    assert f"{name} ({word})" in said
    assert "in epoch 1, step 2" in said
    assert "from the term cls" in said
    check_weights(as_module(run.model), "")
    saved = [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()]
    assert saved == ["00000-0000002"]


def test_a_loss_that_is_not_finite_names_its_term(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(own_photos(tmp_path / "data"), tmp_path / "run")
    loss: Callable[..., dict[str, Tensor]] = run.loss

    def broken(output: Any, target: Tensor) -> dict[str, Tensor]:
        terms = loss(output, target)
        act = terms["act"] * float("nan")
        return {**terms, "act": act, "loss": terms["loss"] + act}

    monkeypatch.setattr(run, "loss", broken)
    with ProgressBar("work", quiet=True) as bar, pytest.raises(ValueError, match=r"loss is nan \(its term act is nan"):
        fit(run, bar)


def test_weights_that_are_not_finite_are_not_written(tmp_path: Path) -> None:
    run = Run(own_photos(tmp_path / "data"), tmp_path / "run")
    run.checkpoint()
    run.save("model", {})
    with torch.no_grad():
        next(iter(run.model.parameters()))[0, 0, 0, 0] = float("nan")
    with pytest.raises(ValueError, match=r"weights are no longer finite in epoch 1, step 0: backbone\."):
        run.checkpoint()
    with pytest.raises(ValueError, match="last checkpoint is as it was"):
        run.save("model", {})
    model = as_module(from_pretrained(tmp_path / "run"))
    assert first_infinite(model.state_dict().items()) is None


def test_a_diverged_run_goes_on_with_another_learning_rate(tmp_path: Path) -> None:
    config = own_photos(tmp_path / "data", checkpoint_steps=1)
    run = Run(config, tmp_path / "run")
    spoil(next(iter(run.model.parameters())), float("nan"), after=2)
    with ProgressBar("work", quiet=True) as bar, pytest.raises(ValueError, match="diverged"):
        fit(run, bar)
    resume(tmp_path / "run", lr=config.train.lr / 10, clip=1.0)
    lines = log_of(tmp_path / "run")
    (changed,) = (line for line in lines if "changed" in line)
    assert changed["changed"] == {"lr": config.train.lr / 10, "clip": 1.0}
    rates = [line["lr"] for line in lines if "lr" in line]
    assert rates[1] > 5 * rates[2]


def test_the_norm_is_that_of_all_gradients_together() -> None:
    layer = nn.Linear(2, 1)
    assert float(gradient_norm(layer.parameters())) == 0
    layer(torch.tensor([[3.0, 4.0]])).sum().backward()
    assert float(gradient_norm(layer.parameters())) == pytest.approx(26**0.5)


def test_training_that_diverges_leaves_no_model(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="diverged"):
        train(replace(TINY, train=replace(TINY.train, lr=1e30, clip=0.0)), tmp_path / "run")
    assert not (tmp_path / "run" / "model").exists()
