"""Rows made of other rows' answers: a branch alone, and cascades with a second pass for unsure images."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from scapnet.config import ModelConfig, PartsConfig
from scapnet.experiments.cascade import from_cascade, second_pass
from scapnet.experiments.record import unpack
from scapnet.metrics.pooling import pool_weights
from scapnet.metrics.skipping import sure_threshold
from toy_runs import BASE, finished, guesses

COUNT = 40
TARGET = torch.arange(COUNT) % 3


def run(folder: Path, seed: int, main: bool = True) -> Path:
    return finished(folder, BASE, guesses(seed), **({"main": guesses(seed + 100)} if main else {}))


def test_the_threshold_of_a_half_is_set_on_the_other() -> None:
    first, both, samples = guesses(1), guesses(2), torch.randperm(COUNT)
    answer, looked = second_pass(samples, TARGET, first, both)
    for half in (0, 1):
        mine = samples % 2 == half
        sure = sure_threshold(TARGET[~mine], first[~mine], both[~mine])
        expected = torch.ones(20, dtype=torch.bool) if sure is None else first[mine].amax(1) < sure
        assert torch.equal(looked[mine], expected)
    assert torch.equal(answer, torch.where(looked[:, None], both, first))
    assert 0 < int(looked.sum()) < COUNT


def test_a_branch_alone(tmp_path: Path) -> None:
    folder = run(tmp_path / "a", 1)
    record = from_cascade("one", 0, ("a.main",), {"a": folder}, BASE, "c")
    right = guesses(101).argmax(1) == TARGET
    assert unpack(record.right) == right.tolist()
    assert record.scores == {
        "images": 40.0,
        "train_seconds": 3.5,
        "accuracy": pytest.approx(float(right.double().mean())),
    }
    assert record.curve == []


def test_a_network_looks_again_with_its_final_answer(tmp_path: Path) -> None:
    folder = run(tmp_path / "a", 1)
    model = ModelConfig(parts=PartsConfig(keep=(0, 2), size=72))
    config = replace(BASE, data=replace(BASE.data, size=72, resize=72), model=model)
    record = from_cascade("again", 0, ("a.main", "a"), {"a": folder}, config, "c")
    share = 0.1  # two parts as large as the view: 0.4 of 3 times the cost is 1.2 times, 0.2 of 2 more
    answer, looked = second_pass(torch.arange(COUNT), TARGET, guesses(101), guesses(1), share)
    assert looked.double().mean() >= share
    assert unpack(record.right) == (answer.argmax(1) == TARGET).tolist()
    assert record.scores["looked"] == pytest.approx(float(looked.double().mean()))
    assert record.scores["accuracy_main"] == pytest.approx(float((guesses(101).argmax(1) == TARGET).double().mean()))


def test_two_networks_answer_together_after_the_second_pass(tmp_path: Path) -> None:
    folders = {"a": run(tmp_path / "a", 1), "b": run(tmp_path / "b", 2)}
    record = from_cascade("two", 0, ("a", "b"), folders, BASE, "c")
    answer, _ = second_pass(torch.arange(COUNT), TARGET, guesses(1), (guesses(1) + guesses(2)) / 2)
    assert unpack(record.right) == (answer.argmax(1) == TARGET).tolist()
    assert record.scores["train_seconds"] == 7.0


def test_the_branches_of_a_half_are_weighed_on_the_other(tmp_path: Path) -> None:
    main, parts, half = guesses(101), guesses(7), torch.arange(COUNT) % 2
    expected = torch.empty(COUNT, 3)
    for mine in (half == 0, half == 1):
        weights = pool_weights(TARGET[~mine], main[~mine], parts[~mine])
        answer = (main + parts) / 2 if weights is None else main ** weights[0] * parts ** weights[1]
        expected[mine] = answer[mine]
    right = (expected.argmax(1) == TARGET).tolist()
    kept = finished(tmp_path / "kept", BASE, (main + parts) / 2, main=main, parts=parts)
    old = finished(tmp_path / "old", BASE, (main + parts) / 2, main=main)  # the parts' answers are what the mean leaves
    for folder in (kept, old):
        record = from_cascade("weighed", 0, ("a.pool",), {"a": folder}, BASE, "c")
        assert unpack(record.right) == right
    assert right != (((main + parts) / 2).argmax(1) == TARGET).tolist()  # or the test says nothing


def test_answers_that_do_not_fit(tmp_path: Path) -> None:
    folders = {"a": run(tmp_path / "a", 1, main=False), "b": run(tmp_path / "b", 2)}
    with pytest.raises(ValueError, match="without its main branch's answers"):
        from_cascade("one", 0, ("a.main",), folders, BASE, "c")
    file = folders["b"] / "answers.safetensors"
    tensors = load_file(file)
    save_file(tensors | {"target": tensors["target"] + 1}, file)
    with pytest.raises(ValueError, match="different images"):
        from_cascade("two", 0, ("a", "b"), folders, BASE, "c")
