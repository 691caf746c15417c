"""SIGINT and SIGTERM save a checkpoint at the step; what follows equals an unbroken run."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from accelerate import Accelerator

from samples import log_of, own_photos
from scapnet.config import Config
from scapnet.evaluate import evaluate_model
from scapnet.training import run as runs
from scapnet.training.runfolder import last_checkpoint
from scapnet.training.signals import Interrupted, Stopped, StopRequest, catch_signals
from scapnet.training.train import resume, train


def weights(run: Path) -> bytes:
    return (run / "model" / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, bytes]:
    """A config, and the weights of its run."""
    folder = tmp_path_factory.mktemp("unbroken")
    config = own_photos(folder / "data")
    return config, weights(train(config, folder / "run"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_after_its_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unbroken: tuple[Config, bytes], number: signal.Signals
) -> None:
    (config, expected), before = unbroken, signal.getsignal(number)
    steps = iter(range(4))  # of three in an epoch

    def advance(*_: Any) -> None:
        if next(steps, None) is None:
            os.kill(os.getpid(), number)

    monkeypatch.setattr("scapnet.terminal.console.ProgressBar.advance", advance)
    with pytest.raises(Stopped, match=rf"stopped by {number.name} in epoch 2, step 2.*scapnet resume") as stopped:
        train(config, tmp_path / "run")
    monkeypatch.undo()
    assert stopped.value.number == number
    saved = last_checkpoint(tmp_path / "run")
    assert saved is not None
    assert saved.name == "00001-0000002"
    assert signal.getsignal(number) is before
    resume(tmp_path / "run")
    assert weights(tmp_path / "run") == expected


def test_a_signal_ends_validation_at_once_and_it_is_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unbroken: tuple[Config, bytes]
) -> None:
    config, expected = unbroken

    def score(*arguments: Any, **options: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return evaluate_model(*arguments, **options)

    monkeypatch.setattr(runs, "evaluate_model", score)
    with pytest.raises(Stopped, match="epoch 1, step 3"):
        train(config, tmp_path / "run")
    monkeypatch.undo()
    resume(tmp_path / "run")
    assert weights(tmp_path / "run") == expected
    assert (tmp_path / "run" / "log.jsonl").read_text().count('"split"') == config.train.epochs


def test_a_second_signal_is_not_caught() -> None:
    before = signal.getsignal(signal.SIGINT)
    with catch_signals() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.number == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_work_that_changes_nothing_is_not_begun_after_a_signal() -> None:
    stop = StopRequest()
    stop.check(Accelerator(cpu=True))
    stop(signal.SIGTERM)
    with pytest.raises(Interrupted) as interrupted:
        stop.check(Accelerator(cpu=True))
    assert interrupted.value.number == signal.SIGTERM


def test_a_signal_while_the_best_model_is_saved_waits_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = own_photos(tmp_path / "data")
    train(config, tmp_path / "whole")
    save = runs.Run.save

    def interrupted(run: runs.Run, name: str, scores: dict[str, Any]) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        save(run, name, scores)

    monkeypatch.setattr(runs.Run, "save", interrupted)
    with pytest.raises(Stopped, match="after epoch 1"):
        train(config, tmp_path / "run")
    monkeypatch.undo()
    assert (tmp_path / "run" / "best" / "model.safetensors").is_file()
    resume(tmp_path / "run")
    assert log_of(tmp_path / "run") == log_of(tmp_path / "whole")
    best = [(tmp_path / name / "best" / "model.safetensors").read_bytes() for name in ("run", "whole")]
    assert best[0] == best[1]
