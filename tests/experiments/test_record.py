"""What a run leaves, and what is read back of it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from scapnet.experiments.environment import environment
from scapnet.experiments.record import (
    curve,
    files_of,
    from_average,
    from_run,
    pack,
    read_record,
    unpack,
    write_record,
)
from scapnet.serialization import to_dict
from toy_runs import BASE, answers, finished, guesses, record


@pytest.mark.parametrize("count", [1, 2, 7, 5000])
def test_answers_survive_packing(count: int) -> None:
    for right in (torch.zeros(count), torch.ones(count), torch.arange(count) % 3 == 1):
        text = pack(right.bool())
        assert unpack(text) == right.bool().tolist()
        assert text.startswith(f"{count}:")
        assert len(text) < 10 + count / 4 + 1  # four answers per digit


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    made = record(3, answers(61), config=replace(BASE, loss=replace(BASE.loss, act_ramp=(1.0, 2.0))), kept=0.5)
    write_record(tmp_path / "r.json", made)
    assert read_record(tmp_path / "r.json") == made


def test_a_record_of_before_settings_moved_has_them_in_their_present_places(tmp_path: Path) -> None:
    write_record(tmp_path / "r.json", record(0, [True]))
    values = json.loads((tmp_path / "r.json").read_text())
    values["config"]["model"] = {"backbone": "test_resnet", "mask": "stage4", "way": "gcn", "part_size": 40}
    (tmp_path / "r.json").write_text(json.dumps(values))
    model = read_record(tmp_path / "r.json").config.model
    assert (model.gate.mask, model.relation.type, model.parts.size) == ("stage4", "gcn", 40)


@pytest.mark.parametrize("text", ["{}", "[", '{"config": {"train": {"newer": 1}}}', '{"config": {}, "row": "x"}'])
def test_what_is_not_a_record_is_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(ValueError, match=r"r\.json cannot be read .*; move it away") as error:
        read_record(tmp_path / "r.json")
    assert "\n" not in str(error.value)


LOG = [
    {"epoch": 0, "step": 1, "accuracy": 0.2, "kept": 0.5, "loss": 9.0},
    {"epoch": 0, "step": 2, "accuracy": 0.4, "kept": 0.7, "con": 1.0},
    {"epoch": 0, "split": "val", "accuracy": 0.9},
    {"epoch": 1, "step": 1, "accuracy": 0.6, "kept": 0.1},
    {"epoch": 2, "accuracy": 1.0, "kept": 0.4},
    {"epoch": 3, "accuracy": 1.0, "kept": 0.2},
]


def write_log(folder: Path, lines: int) -> None:
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in LOG[:lines]))


def test_a_curve_is_the_means_of_each_epoch(tmp_path: Path) -> None:
    write_log(tmp_path, 4)
    first = {"accuracy": 0.3, "kept": 0.6, "con": 1.0, "val_accuracy": 0.9}
    assert curve(tmp_path) == [first, {"accuracy": 0.6, "kept": 0.1}]


@pytest.mark.parametrize(("lines", "ramp_end", "spread"), [(4, 0.0, None), (6, 0.0, 0.1414), (6, 2.5, None)])
def test_the_kept_share_is_settled_in_the_later_half_after_the_ramp(
    tmp_path: Path, lines: int, ramp_end: float, spread: float | None
) -> None:
    config = replace(BASE, loss=replace(BASE.loss, act_ramp=(0.0, ramp_end)))
    write_log(finished(tmp_path, config, guesses(0)), lines)
    assert from_run("x", 3, tmp_path, "c").scores.get("kept_spread") == spread


def test_a_record_of_a_run(tmp_path: Path) -> None:
    config = replace(BASE, data=replace(BASE.data, root=Path("/a/b")), model=replace(BASE.model, weights="/c/d.pth"))
    probs = torch.tensor([[1.0, 0, 0], [1.0, 0, 0], [0, 0, 1.0]])
    found = from_run("x", 3, finished(tmp_path, config, probs), "c", "abc, def")
    assert unpack(found.right) == [True, False, True]
    assert (found.row, found.seed, found.commit) == ("x", 3, "abc, def")
    assert found.scores == {"accuracy": pytest.approx(2 / 3), "train_seconds": 3.5}
    assert found.config == replace(BASE, model=replace(BASE.model, weights="d.pth"))
    assert to_dict(found.config)["data"]["root"] is None
    assert from_run("x", 3, tmp_path, "c").commit == environment("c")["commit"]


def test_an_average_is_of_both_softmax_outputs(tmp_path: Path) -> None:
    both = [guesses(seed) for seed in range(2)]
    folders = (finished(tmp_path / "a", BASE, both[0]), finished(tmp_path / "b", BASE, both[1]))
    right = []
    for i in range(40):
        means = [(float(both[0][i, k]) + float(both[1][i, k])) / 2 for k in range(3)]
        right.append(means.index(max(means)) == i % 3)
    found = from_average("two", 0, folders, BASE, "c")
    assert unpack(found.right) == right
    assert found.scores == {"accuracy": pytest.approx(sum(right) / 40), "images": 40.0, "train_seconds": 7.0}
    assert found.curve == []
    assert right not in [(probs.argmax(1) == torch.arange(40) % 3).tolist() for probs in both]


@pytest.mark.parametrize("changes", [{"samples": torch.arange(1, 41)}, {"target": (torch.arange(40) + 1) % 3}])
def test_answers_to_different_images_are_not_averaged(tmp_path: Path, changes: dict[str, torch.Tensor]) -> None:
    folders = (
        finished(tmp_path / "a", BASE, guesses(0)),
        finished(tmp_path / "b", BASE, guesses(1), **changes),
    )
    with pytest.raises(ValueError, match="different images"):
        from_average("two", 0, folders, BASE, "c")


def test_files_of_a_row(tmp_path: Path) -> None:
    for name in ("con-0-0", "con-0-11", "con-0-2", "con-0.5-0", "con-0-x", "con-1", "other-0"):
        (tmp_path / f"{name}.json").write_text("{}")
    found = {seed: file.stem for seed, file in files_of("con-0", tmp_path).items()}
    assert found == {0: "con-0-0", 2: "con-0-2", 11: "con-0-11"}
    assert list(found) == [0, 2, 11]
    assert list(files_of("con", tmp_path)) == [1]
    assert files_of("none", tmp_path / "gone") == {}
