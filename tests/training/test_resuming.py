"""Resuming a run: for more epochs, with data that has moved, from a matching checkpoint."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from samples import TINY, Refuse, class_folders, log_of, sentence
from scapnet.checkpoint import from_pretrained, read_run
from scapnet.config import Config, SyntheticConfig
from scapnet.jsonfile import write_json
from scapnet.serialization import to_dict
from scapnet.terminal.hints import command
from scapnet.training.resuming import continued
from scapnet.training.run import Run
from scapnet.training.runfolder import last_checkpoint, read_position
from scapnet.training.train import resume, train

ONE = replace(
    TINY,
    data=replace(TINY.data, synthetic=SyntheticConfig(num_classes=4, train_length=8, test_length=4)),
    train=replace(TINY.train, epochs=1, stage1_epochs=0),
    model=replace(TINY.model, parts=replace(TINY.model.parts, enabled=False), network="plain"),
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(ONE, tmp_path_factory.mktemp("finished") / "run")


@pytest.fixture
def run(tmp_path: Path, finished: Path) -> Path:
    """A copy of a finished run."""
    return shutil.copytree(finished, tmp_path / "run")


def longer(config: Config, epochs: int) -> Config:
    return replace(config, train=replace(config.train, epochs=epochs))


def test_a_finished_run_that_goes_on_is_a_run_of_so_many_epochs(
    tmp_path: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a schedule that does not depend on the number of epochs, to the bit."""
    resume(run, epochs=2)
    assert "training for 2 epochs instead of 1: epoch 2 begins with the learning rate 0.01" in capsys.readouterr().out
    whole = train(longer(ONE, 2), tmp_path / "whole")
    log = log_of(run)
    assert [line for line in log if "epochs_before" not in line] == log_of(whole)
    assert {"epoch": 1, "step": 0, "epochs": 2, "epochs_before": 1, "lr": 0.01} in log
    a, b = (load_file(folder / "model" / "model.safetensors") for folder in (run, whole))
    assert all(torch.equal(a[key], b[key]) for key in b)
    assert read_run(run) == longer(ONE, 2)
    lines = len(log)
    resume(run)  # the line is not cut off, and nothing is left to train
    assert len(log_of(run)) == lines


def test_the_line_of_more_epochs_survives_a_kill_before_the_next_checkpoint(run: Path) -> None:
    Run(continued(run, 2), run, resume=True)
    resume(run)
    assert [line["epochs"] for line in log_of(run) if "epochs_before" in line] == [2]
    assert max(line["epoch"] for line in log_of(run)) == 1


def test_a_cosine_goes_on_as_if_it_had_been_longer(run: Path) -> None:
    before = replace(ONE, train=replace(ONE.train, schedule="cosine"))
    write_json(run / "config.json", to_dict(before))
    resume(run, epochs=2, inexact=True)
    assert next(line for line in log_of(run) if "epochs_before" in line)["lr"] == pytest.approx(0.005)


def test_too_few_epochs_are_refused(run: Path) -> None:
    for epochs in (0, 1):
        with (
            command(["resume"]),
            pytest.raises(ValueError, match="already trained 1 epochs; give more with --epochs"),
        ):
            continued(run, epochs)
    assert continued(run).train.epochs == 1
    (run / "results.json").unlink()  # killed after its last epoch
    assert continued(run, 1).train.epochs == 1


def test_a_finished_run_without_a_checkpoint_says_how_to_start_from_its_model(run: Path) -> None:
    shutil.rmtree(run / "checkpoints")
    for epochs in (None, 5):
        with pytest.raises(ValueError, match=r"no checkpoint .* scapnet train test --model\.weights"):
            continued(run, epochs)
    assert last_checkpoint(run) is None


def test_a_checkpoint_that_does_not_fit_is_one_sentence(run: Path) -> None:
    other = replace(ONE, data=replace(ONE.data, synthetic=replace(ONE.data.synthetic, num_classes=5)))
    saved = last_checkpoint(run)
    assert saved is not None
    for folder in (run, saved):
        write_json(folder / "config.json", to_dict(other))
    (saved / "files.json").unlink()
    (run / "split.json").unlink()  # as a version before left it
    shutil.rmtree(run / "model")
    with pytest.raises(ValueError, match=r"checkpoint .* does not fit this run .*size mismatch") as error:
        resume(run, epochs=2)
    assert "\n" not in str(error.value)


def damage(file: Path, how: str) -> None:
    content = file.read_bytes()
    if how == "missing":
        file.unlink()
    else:
        file.write_bytes({"cut": content[: len(content) // 2], "empty": b"", "other": content[:-1] + b"?"}[how])


FILES = ("config.json", "files.json", "model.safetensors", "optimizer.bin", "position.json", "random_states_0.pkl")


# Without its list, a checkpoint is one of an earlier version.
DAMAGES = [(what, how) for what in FILES for how in ("missing", "cut", "empty", "other")]
DAMAGES.remove(("files.json", "missing"))


@pytest.mark.parametrize(("what", "how"), DAMAGES)
def test_a_damaged_checkpoint_is_one_sentence(run: Path, what: str, how: str) -> None:
    saved = last_checkpoint(run)
    assert saved is not None
    damage(saved / what, how)
    before = read_run(run)
    with pytest.raises(ValueError, match=rf"{what} |not valid JSON|cannot be read|is damaged") as error:
        resume(run, epochs=2)
    assert "\n" not in str(error.value)
    assert read_run(run) == before
    if what.startswith(("model", "position")):
        with pytest.raises(ValueError, match="restore it from a copy"):
            resume(run, epochs=2, inexact=True)


@pytest.mark.parametrize("how", ["missing", "cut", "empty"])
@pytest.mark.parametrize("what", ["optimizer.bin", "random_states_0.pkl"])
def test_a_run_continues_inexactly_on_request(
    run: Path, capsys: pytest.CaptureFixture[str], what: str, how: str
) -> None:
    saved = last_checkpoint(run)
    assert saved is not None
    damage(saved / what, how)
    resume(run, epochs=2, inexact=True)
    assert f"going on without {what}, which" in capsys.readouterr().out
    assert [line["epoch"] for line in log_of(run) if "loss" in line][-1] == 1


def test_a_position_of_another_checkpoint_is_refused(run: Path) -> None:
    saved = last_checkpoint(run)
    assert saved is not None
    (saved / "files.json").unlink()
    for values in ({}, {"epoch": 1}, {"epoch": 0, "step": 0, "log_bytes": 0}, {"epoch": "x"}, {"when": 3}):
        write_json(saved / "position.json", values)
        with pytest.raises(ValueError, match=r"position\.json is damaged"):
            resume(run, epochs=2)


def test_settings_that_were_edited_are_found(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = read_run(run)
    write_json(run / "config.json", to_dict(replace(config, train=replace(config.train, momentum=0.5))))
    with pytest.raises(ValueError, match=r"changed after the checkpoint: train\.momentum was 0\.9 and is 0\.5"):
        resume(run, epochs=2)
    resume(run, epochs=2, inexact=True)
    assert "momentum was 0.9 and is 0.5: not exact" in capsys.readouterr().out
    assert read_run(resume(run, epochs=3)).train.momentum == 0.5


def test_a_log_that_was_cut_is_said_and_gets_no_gap(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "log.jsonl").write_text("")
    resume(run, epochs=2)
    assert "log.jsonl has lost" in capsys.readouterr().out
    assert {line["epoch"] for line in log_of(run) if "loss" in line} == {1}


def test_a_checkpoint_at_the_place_of_an_older_one_replaces_it(run: Path) -> None:
    held = Run(longer(ONE, 2), run, resume=True)
    held.checkpoint()
    saved = last_checkpoint(run)
    assert saved is not None
    assert [path.name for path in (run / "checkpoints").iterdir()] == [saved.name] == ["00001-0000000+"]
    assert read_position(saved).epoch == 1
    (run / "new").touch()
    assert {path.stat().st_mode for path in saved.iterdir()} == {(run / "new").stat().st_mode}  # who may read it


def test_a_run_that_was_killed_at_its_start_can_begin_again(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / ".config.json.1.draft").write_text("{")
    assert (train(ONE, folder) / "results.json").exists()
    with pytest.raises(ValueError, match="exists"):
        train(ONE, folder)


def test_moved_photos_are_named_and_remembered(
    tmp_path: Path, refuse: Refuse, capsys: pytest.CaptureFixture[str]
) -> None:
    root = class_folders(tmp_path / "data", {"a": 8, "b": 8})
    config = replace(ONE, data=replace(ONE.data, name="folder", root=root))
    run = train(config, tmp_path / "run")
    assert json.loads((run / "results.json").read_text())["split"] == "val"
    new = root.rename(tmp_path / "elsewhere")
    capsys.readouterr()
    assert "with --root FOLDER" in sentence(refuse("resume", run))
    assert "but not --train.momentum" in sentence(refuse("resume", run, "--train.momentum", 1))
    resume(run, epochs=2, root=new)
    assert read_run(run).data.root == new
    (new / "a" / "0.bmp").unlink()
    (new / "a" / "1.bmp").unlink()
    (new / "b").rename(new / "c")
    capsys.readouterr()
    assert "class 'b' is gone; class 'c' is new" in sentence(refuse("resume", run))
    assert "class 'b' is gone; class 'c' is new" in sentence(refuse("eval", run))


def test_photos_that_were_added_change_nothing(tmp_path: Path) -> None:
    root = class_folders(tmp_path / "data", {"train/a": 6, "train/b": 6, "val/a": 2, "val/b": 2})
    config = replace(ONE, data=replace(ONE.data, name="folder", root=root), train=replace(ONE.train, batch_size=4))
    whole, run = train(longer(config, 2), tmp_path / "whole"), train(config, tmp_path / "run")
    class_folders(root, {"train/b": 9, "val/a": 3, "test/b": 2})
    resume(run, epochs=2)
    assert [line for line in log_of(run) if "epochs_before" not in line] == log_of(whole)
    results = [json.loads((folder / "results.json").read_text()) for folder in (run, whole)]
    assert {**results[0], "train_seconds": 0} == {**results[1], "train_seconds": 0}


def test_a_run_that_goes_on_does_not_need_its_starting_weights(tmp_path: Path, finished: Path) -> None:
    start = shutil.copytree(finished / "model", tmp_path / "start")
    config = replace(ONE, model=replace(ONE.model, weights=str(start)))
    run = train(config, tmp_path / "run")
    shutil.rmtree(start)
    resume(run, epochs=2)
    assert from_pretrained(run).classes == from_pretrained(finished).classes
