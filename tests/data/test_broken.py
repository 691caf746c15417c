"""Broken images: training continues and counts them, evaluation leaves them out and says so."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from torch._utils import ExceptionWrapper

from samples import VIEW, net, photos
from scapnet.config import Config, DataConfig, ModelConfig, PartsConfig, TrainConfig, ViewConfig
from scapnet.data.broken import check_share, next_readable, readable_samples
from scapnet.data.loaders import eval_loader
from scapnet.data.transforms import EvalViews, TrainViews
from scapnet.evaluate import evaluate_model
from scapnet.summary import score_rows
from scapnet.terminal.console import ProgressBar
from scapnet.training.loop import fit
from scapnet.training.run import Run
from scapnet.training.train import resume, train
from scapnet.visualize import contact_sheet

CONFIG = DataConfig("folder", size=32, resize=36, rotation=10, workers=0, broken_share=0.1)


def test_a_broken_photo_is_replaced_by_the_next_readable_one_of_its_class(tmp_path: Path) -> None:
    data = photos(tmp_path, "abacabab", {0, 2, 6})
    assert [int(Path(next_readable(data, i)[0].path).stem) for i in range(8)] == [4, 1, 4, 3, 4, 5, 4, 7]
    assert [i for i in range(8) if next_readable(data, i)[1]] == [0, 2, 6]
    samples, reasons = readable_samples(data, range(4))
    assert [sample.label for sample in samples] == [1, 2]
    assert all(f"{i}.jpg is not a readable image" in reason for i, reason in zip((0, 2), reasons, strict=True))


def test_a_class_without_a_readable_photo_is_named(tmp_path: Path) -> None:
    data = photos(tmp_path, "abcab", {0, 3, 2})
    for index, name in ((3, "a"), (2, "c")):
        with pytest.raises(ValueError, match=f"{index}.jpg is not a readable .* of class {name}; replace") as error:
            next_readable(data, index)
        assert "\n" not in str(error.value)
    views = TrainViews(data, VIEW, CONFIG, 3)
    try:
        views[3]
    except ValueError:  # as a loader process sends it
        sent = ExceptionWrapper(sys.exc_info(), "in DataLoader worker process 0")  # type: ignore[no-untyped-call]
    with pytest.raises(ValueError, match="is not a readable image") as error:
        sent.reraise()  # type: ignore[no-untyped-call]
    assert str(error.value).strip().splitlines()[-1].startswith(f"ValueError: {tmp_path}")


def test_too_many_broken_photos_stop_with_the_first_names(tmp_path: Path) -> None:
    data = photos(tmp_path, "a" * 20, {1, 5, 7, 9})
    check_share(data, [9, 5], 0.1)
    with pytest.raises(ValueError, match=r"^4 of 20 training images .* 0\.1 ") as error:
        check_share(data, [9, 7, 1, 5], 0.1)
    assert [f"{i}.jpg" in str(error.value) for i in (1, 5, 7, 9)] == [True, True, True, False]
    assert "\n" not in str(error.value)


def test_training_views_of_a_broken_photo_are_marked_and_repeatable(tmp_path: Path) -> None:
    views = TrainViews(photos(tmp_path, "abab", {0}), VIEW, CONFIG, 3)
    first, again, plain = views[0], views[0], views[1]
    assert (first["broken"], plain["broken"]) == (True, False)
    assert (first["target"], first["index"]) == (0, 0)
    assert torch.equal(first["image"], again["image"])
    assert not torch.equal(first["image"], views[2]["image"])  # the same photo under its own augmentation


@pytest.mark.parametrize("source", [None, 64])
def test_evaluation_views_of_a_broken_photo_fit_their_batch(tmp_path: Path, source: int | None) -> None:
    views = EvalViews(photos(tmp_path, "aba", {1}), replace(VIEW, source_size=source))
    whole, broken = views[0], views[1]
    assert whole.keys() == broken.keys()
    assert (whole["broken"], broken["broken"], broken["target"]) == (False, True, 1)
    assert all(whole[key].shape == broken[key].shape for key in whole if isinstance(whole[key], torch.Tensor))
    assert broken["marks"].isnan().all()


def test_scores_leave_broken_photos_out(tmp_path: Path) -> None:
    labels, broken = "abcabcabcabca", {0, 4, 12}
    model, accelerator = net(), Accelerator(cpu=True)
    view = ViewConfig(64, 72)
    data = photos(tmp_path, labels, broken)
    some = evaluate_model(model, accelerator.prepare(eval_loader(data, view, 4, 0)), accelerator)
    rest = data.subset([i for i in range(len(data)) if i not in broken])
    whole = evaluate_model(model, accelerator.prepare(eval_loader(rest, view, 4, 0)), accelerator)
    assert some.samples.tolist() == [i for i in range(13) if i not in broken]
    assert torch.equal(some.target, whole.target)
    torch.testing.assert_close(some.probs, whole.probs, rtol=0, atol=1e-5)
    assert "gate_by_place" in some.scores
    assert (some.scores.pop("unreadable"), whole.scores.pop("unreadable")) == (3, 0)
    assert some.scores == pytest.approx(whole.scores, abs=1e-6)
    assert ("unreadable images, left out", "3") in score_rows({"unreadable": 3.0})
    assert not score_rows({"unreadable": 0.0, "train_unreadable": 0})
    with pytest.raises(ValueError, match="none of the 2 images"):
        evaluate_model(model, accelerator.prepare(eval_loader(data.subset([0, 4]), view, 4, 0)), accelerator)


# --- a whole run ---


def run_config(root: Path) -> Config:
    photos(root / "train", "abcc" * 10, {1, 14})
    photos(root / "test", "abc" * 3, {2})
    return Config(
        "test",
        replace(CONFIG, root=root, size=64, resize=72, workers=0),
        ModelConfig("test_resnet", "none", parts=PartsConfig(size=32)),
        train=TrainConfig(epochs=2, batch_size=8, clip=5.0, log_every=1, checkpoint_steps=2),
    )


class Killed(Exception):
    pass


def test_a_run_counts_its_broken_photos_and_is_resumed_exactly(tmp_path: Path) -> None:
    config = run_config(tmp_path / "data")
    train(config, tmp_path / "whole")
    result = json.loads((tmp_path / "whole" / "results.json").read_text())
    assert (result["train_images"], result["train_unreadable"]) == (40, 2)
    assert (result["images"], result["unreadable"]) == (8, 1)
    assert (tmp_path / "whole" / "parts.png").exists()
    run, steps = Run(config, tmp_path / "killed"), iter(range(7))

    def fail(*_: object) -> None:
        if next(steps, None) is None:
            raise Killed

    run.optimizer.register_step_pre_hook(fail)
    with ProgressBar("work", quiet=True) as bar, pytest.raises(Killed):
        fit(run, bar)
    resume(tmp_path / "killed")
    logs = []
    for name in ("whole", "killed"):
        lines = [json.loads(line) for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]
        logs.append([{key: value for key, value in line.items() if key != "images_per_second"} for line in lines])
    assert logs[0] == logs[1]
    counts = [line["unreadable"] for line in logs[0] if "loss" in line]
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) != (2, 0)
    assert json.loads((tmp_path / "killed" / "results.json").read_text())["train_unreadable"] == 2


def test_a_run_stops_where_more_than_the_share_is_broken(tmp_path: Path) -> None:
    config = run_config(tmp_path / "data")
    with pytest.raises(ValueError, match=r"of 40 training images .*broken-share allows: .*(1|14)\.jpg is"):
        train(replace(config, data=replace(config.data, broken_share=0.01)), tmp_path / "run")
    with pytest.raises(ValueError, match=r"broken_share is -1"):
        train(replace(config, data=replace(config.data, broken_share=-1)), tmp_path / "other")


def test_a_sheet_shows_the_readable_photos(tmp_path: Path) -> None:
    data = photos(tmp_path, "abcab", {1, 3})
    assert contact_sheet(data, 5, 1).tobytes() == contact_sheet(data.subset([0, 2, 4]), 3, 1).tobytes()
    with pytest.raises(ValueError, match=r"none of the pictures .*jpg"):
        contact_sheet(data.subset([1, 3]), 2)
