"""What training works on: frozen backbones, averaged weights, class weights."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from samples import own_photos, photos
from scapnet.backbones.cnn import Backbone
from scapnet.checkpoint import from_pretrained
from scapnet.experiments.rows import changed
from scapnet.losses import SCAPNetLoss
from scapnet.network import as_module
from scapnet.terminal.console import ProgressBar
from scapnet.training.loop import begin_epoch, fit, train_epoch
from scapnet.training.run import Run


def backbones(run: Run) -> list[dict[str, Tensor]]:
    found = [module for module in run.model.modules() if isinstance(module, Backbone)]
    return [{key: value.clone() for key, value in module.state_dict().items()} for module in found]


def moved(before: list[dict[str, Tensor]], after: list[dict[str, Tensor]]) -> list[bool]:
    pairs = zip(before, after, strict=True)
    return [any(not torch.equal(one[key], other[key]) for key in one) for one, other in pairs]


def test_frozen_backbones_do_not_move_and_the_classifier_does(tmp_path: Path) -> None:
    run = Run(own_photos(tmp_path / "data", epochs=4, freeze=2), tmp_path / "run")
    states, classifier = [backbones(run)], run.model.classifier.state_dict()["weight"].clone()
    with ProgressBar("work", quiet=True) as bar:
        bar.start("training", 1)
        for epoch in range(4):
            run.position.epoch = epoch
            begin_epoch(run)
            train_epoch(run, bar)
            run.position.step = 0
            states.append(backbones(run))
    # Stage 1 has one epoch; at the start of stage 2 the sub-network gets the main branch's weights.
    assert moved(states[0], states[1]) == [False, False]
    assert moved(states[1], states[2])[0] is False
    assert moved(states[2], states[3]) == [True, True]
    assert not torch.equal(classifier, run.model.classifier.state_dict()["weight"])


@pytest.mark.parametrize("shared", [False, True])
def test_the_average_of_the_weights_is_scored_and_saved(tmp_path: Path, shared: bool) -> None:
    config = changed(
        own_photos(tmp_path / "data", ema=0.75, epochs=2, part_start="own"), {"model.parts.shared": shared}
    )
    run, states = Run(config, tmp_path / "run"), list[dict[str, Tensor]]()
    module = as_module(run.model)
    run.optimizer.register_step_post_hook(lambda *_: states.append(copy_of(module)))
    with ProgressBar("work", quiet=True) as bar:
        fit(run, bar)
    run.save("model", {})
    saved = as_module(from_pretrained(tmp_path / "run")).state_dict()
    for name, value in saved.items():
        if value.is_floating_point():
            expected = states[0][name]
            for state in states[1:]:
                expected = 0.75 * expected + 0.25 * state[name]
            torch.testing.assert_close(value, expected, rtol=1e-4, atol=1e-6, msg=name)
    assert run.val_loader is not None
    run.save("best", {})
    score = run.score(run.val_loader)
    run.average = None
    run.net.load_state_dict(saved)
    torch.testing.assert_close(score.probs, run.score(run.val_loader).probs)


def copy_of(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def test_class_weights_reach_the_loss(tmp_path: Path) -> None:
    config = own_photos(tmp_path / "data", balance="weights")
    photos(tmp_path / "data" / "train", "a" * 30, set())  # 26 more of class a
    loss = Run(config, tmp_path / "run").loss
    assert isinstance(loss, SCAPNetLoss)
    assert loss.entropy.weight is not None
    torch.testing.assert_close(loss.entropy.weight, torch.tensor([38 / 3 / 30, 38 / 3 / 4, 38 / 3 / 4]))


def test_the_layout_is_shown_before_the_network_is_built(tmp_path: Path) -> None:
    config, said = own_photos(tmp_path / "data"), list[str]()
    config = replace(config, model=replace(config.model, weights=str(tmp_path / "missing.safetensors")))
    with pytest.raises(ValueError, match=r"missing\.safetensors"):
        Run(config, tmp_path / "run", note=said.append)
    assert [text.partition(";")[0] for text in said] == ["3 classes (a, b, c)"]
    assert not (tmp_path / "run").exists()
