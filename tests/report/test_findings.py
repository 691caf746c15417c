"""What the sections of a report are computed from."""

import json
import math
import re
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from PIL import Image, ImageOps
from safetensors.torch import save_file
from torch.nn.functional import normalize

from report_runs import make_run
from scapnet.checkpoint import from_pretrained, read_run
from scapnet.data.scored import choose
from scapnet.experiments.cost import Cost
from scapnet.jsonfile import write_json
from scapnet.metrics.label_faults import label_faults
from scapnet.metrics.parts_gain import paired_gain
from scapnet.report import write_report
from scapnet.report.answered import Answered, answer_split, main_branch_only, saved_answers
from scapnet.report.calibration import calibration, cross_fitted
from scapnet.report.charts import lines
from scapnet.report.collect import class_rows, mean_class_accuracy, photos_to_show, share
from scapnet.report.content import calibration_text
from scapnet.report.curves import Curve
from scapnet.report.doctor import correlation, distances, examine, near_pairs, same_pictures, unusual
from scapnet.report.looks import look
from scapnet.report.material import Material, Photos
from scapnet.report.measured import measured
from scapnet.report.pairs import confused
from scapnet.report.worth import Worth, skipping

FAKE: Any = None  # data that is not looked at
SETS = {"error_rate": 0.1, "set_coverage": 0.91, "set_size": 1.5, "set_single": 0.6, "false_alarms": 0.04}


def answered(seed: int = 0, photos: int = 60, classes: int = 4) -> Answered:
    """Answers by chance, somewhat better than that."""
    random = torch.Generator().manual_seed(seed)
    target = torch.randint(classes, (photos,), generator=random)
    hint = torch.nn.functional.one_hot(target, classes)
    main, parts = ((torch.randn(photos, classes, generator=random) + hint).softmax(1) for _ in range(2))
    features = normalize(torch.randn(photos, 8, generator=random), dim=1).half()
    return Answered(torch.arange(photos), target, (main + parts) / 2, main, parts, None, features, 0)


def test_a_mean_over_classes_has_an_interval_around_it() -> None:
    found = answered()
    one = mean_class_accuracy(found.target, found.predicted)
    shares = [float((found.predicted[found.target == k] == k).double().mean()) for k in range(4)]
    assert one.value == pytest.approx(sum(shares) / 4)
    assert 0 < one.low < one.value < one.high < 1
    alone = share("x", 15, 60)
    assert one.high - one.low == pytest.approx(alone.high - alone.low, rel=0.25)


def test_rows_of_classes_start_with_the_worst() -> None:
    found = answered()
    rows = class_rows(found, "abcd")
    assert [row.accuracy for row in rows] == sorted(row.accuracy or 0 for row in rows)
    for row in rows:
        mine = found.target == row.number
        assert row.parts == pytest.approx(float((found.parts.argmax(1)[mine] == row.number).double().mean()))  # type: ignore[union-attr]


def test_mistakes_come_before_right_answers_of_all_classes() -> None:
    found = answered()
    wrong = int((~found.right).sum())
    rows = photos_to_show(found, [7], wrong + 5)
    assert rows[0] == 7
    assert len(set(rows)) == len(rows) == wrong + 5
    assert {int(found.target[row]) for row in rows if found.right[row]} == {0, 1, 2, 3}
    assert set(photos_to_show(found, (), 1000)) == set(range(60))


def test_photos_that_skip_the_parts_have_the_main_branchs_answer() -> None:
    found = answered()
    rows = skipping(found, 6)
    assert rows[0].looked == 0
    assert rows[0].accuracy == pytest.approx(float((found.main.argmax(1) == found.target).double().mean()))
    assert rows[-1].looked == 1
    assert rows[-1].accuracy == pytest.approx(float(found.right.double().mean()))
    sure = found.main.amax(1)
    for row in rows:
        answers = [int((found.probs if sure[i] < row.sure else found.main)[i].argmax()) for i in range(60)]
        assert row.accuracy == pytest.approx(sum(map(int.__eq__, answers, found.target.tolist())) / 60)


def test_the_paired_interval_is_that_of_the_differences() -> None:
    values = torch.tensor([1.0] * 9 + [-1.0] * 4 + [0.0] * 47, dtype=torch.float64)
    gain, half = paired_gain(9, 4, 60)
    assert gain == pytest.approx(float(values.mean()))
    assert half == pytest.approx(1.959964 * float(values.std(correction=0)) / math.sqrt(60))


def test_a_verdict_says_what_the_figures_do() -> None:

    def said(gain: float, half: float) -> str:
        return Worth(
            gain, gain - half, gain + half, 1, 1, 1.0, Cost(1, 4.0, 0.1), Cost(0, 2.0, 0.1), (2, 1), "here", ()
        ).verdict

    assert said(0.02, 0.01) == "The parts pay: they add 2.0 points of accuracy for 2.0 times the computation."
    assert said(-0.02, 0.01).startswith("The parts do harm: without them the answer is better by 2.0 points")
    assert "they add 2.0 points, which may be chance" in said(0.02, 0.03)
    assert "they take 2.0 points, which may be chance" in said(-0.02, 0.03)
    assert "the accuracy is the same with and without them" in said(0.0, 0.03)


@pytest.mark.parametrize(("after", "said"), [(0.0541, "hardly changes"), (0.03, "lowers"), (0.0546, "does not lower")])
def test_a_temperature_is_judged_by_what_is_shown(after: float, said: str) -> None:
    found: Any = SimpleNamespace(error=0.054, error_after=after, confidence=0.8, accuracy=0.9)
    text = calibration_text(cast(Material, SimpleNamespace(calibration=found)))
    assert f"A temperature {said} the expected calibration error" in text
    assert "not sure enough" in text


def test_epochs_are_marked_at_whole_numbers() -> None:
    def marks(last: float) -> list[str]:
        picture = lines("loss", [Curve("loss", ((1, 2.0), (last, 1.0)))], "epoch", share=False)
        return re.findall(r'text-anchor="middle" class="tick">([^<]+)<', picture)

    assert marks(2) == ["0", "1", "2"]
    assert marks(50) == ["0", "10", "20", "30", "40", "50"]


def test_each_half_gets_the_temperature_of_the_other() -> None:
    found = answered()
    after = cross_fitted(found.target, found.probs)
    changed = found.target.clone()
    changed[0] = (changed[0] + 1) % 4
    other = cross_fitted(changed, found.probs)
    assert torch.equal(after[0::2], other[0::2])
    assert not torch.equal(after[1::2], other[1::2])
    assert calibration(found, answered(1)).fitted_on == "60 validation photos"


def test_confused_pairs_count_both_directions() -> None:
    found = answered()
    for a, b, rows in confused(found):
        both = {(a, b), (b, a)}
        mine = [i for i in range(60) if (int(found.target[i]), int(found.predicted[i])) in both]
        assert sorted(rows) == mine
        sure = found.confidence[rows].tolist()
        assert sure == sorted(sure, reverse=True)


def test_what_is_far_from_everything_is_found() -> None:
    reference = normalize(torch.randn(50, 8, generator=torch.Generator().manual_seed(0)) * 0.1 + 1, dim=1)
    features = torch.cat([reference[:20], -reference[:1]])
    values = distances(features, reference, 3)
    assert unusual(values).nonzero()[:, 0].tolist() == [20]
    cosine = sorted((reference @ features[0]).tolist())[-3:]
    assert float(values[0]) == pytest.approx(1 - sum(cosine) / 3, abs=1e-5)


def test_copies_in_two_splits_are_found(tmp_path: Path) -> None:
    run = make_run(tmp_path, classes=("rook", "jay"), test=False)
    photos = tmp_path / "photos"
    first = sorted((photos / "train" / "rook").iterdir())[0]
    others = sorted((photos / "val" / "rook").iterdir())
    shutil.copy(first, others[0])
    with Image.open(first) as photo:
        ImageOps.mirror(photo).save(others[1])
    (run / "split.json").unlink()
    config, model = read_run(run), from_pretrained(run)
    lists = {name: choose(run, config.data, model.classes, name, None, None).data for name in ("train", "val")}
    found = same_pictures(lists, run, photos, pytest.fail)
    assert found is not None
    (group,) = found["duplicates across"]
    assert {name.split(":")[0] for name in group} == {"train", "val"}
    with main_branch_only(model):
        known = {name: answer_split(model, data, workers=0) for name, data in lists.items()}
    place = [Path(lists["train"].name(i)) for i in range(6)].index(first)  # type: ignore[attr-defined]
    known["train"] = replace(known["train"], features=torch.eye(6))
    known["val"] = replace(known["val"], features=torch.eye(6)[[place] * 6])
    assert model.stage == 2
    pairs = near_pairs("val", (lists["val"], known["val"]), (lists["train"], known["train"]))
    assert {Path(lists["val"].name(pair.sample)) for pair in pairs} == set(others[:2])  # type: ignore[attr-defined]
    assert {pair.train for pair in pairs} == {place}
    with Image.open(first) as photo, Image.open(others[1]) as mirrored, Image.open(others[2]) as other:
        assert correlation(photo, mirrored) == pytest.approx(1, abs=0.01)
        assert correlation(photo, other) < 0.9


def test_a_look_is_what_the_network_answers(run: Path) -> None:
    config, model = read_run(run), from_pretrained(run)
    data = choose(run, config.data, model.classes, "test", None, None).data
    found = answer_split(model, data, batch_size=5, workers=0)
    looks = list(look(model, data, [3, 0, 17], batch_size=2))
    assert [one.sample for one in looks] == [3, 0, 17]
    for one in looks:
        k, p = one.best[0]
        assert p == pytest.approx(float(found.probs[one.sample, k]), abs=1e-5)
        assert one.main[1] == pytest.approx(float(found.main[one.sample].max()), abs=1e-5)
        assert one.true == int(found.target[one.sample])
        assert found.kept is not None
        assert one.gate is not None
        assert sum(map(sum, one.gate)) / 16 == pytest.approx(float(found.kept[one.sample]))


def test_labels_are_judged_over_the_folds_together() -> None:
    first, second = answered(1), answered(2)
    alone = {split: (FAKE, one) for split, one in (("test", first), ("val", second))}
    assert {one.split for one in examine(alone, None, None).labels} == {"test", "val"}
    found = examine({"test": (FAKE, first)}, None, None, {"fold 2": second})
    target, probs = torch.cat([first.target, second.target]), torch.cat([first.probs, second.probs])
    expected = {(("test", "fold 2")[fault.row // 60], fault.row % 60) for fault in label_faults(target, probs)}
    assert {(one.split, one.sample) for one in found.labels} == expected
    assert {split for split, _ in expected} == {"test", "fold 2"}
    assert found.photos == {"test": 60, "fold 2": 60}


def save_answers(run: Path) -> Path:
    """The answers that training would have saved."""
    model = from_pretrained(run)
    found = answer_split(model, choose(run, read_run(run).data, model.classes, None, None, None).data, workers=0)
    tensors = {name: getattr(found, name).contiguous() for name in ("target", "probs", "samples")}
    save_file(tensors, run / "answers.safetensors", {"classes": json.dumps(list(model.classes))})
    return run


def test_a_report_joins_the_runs_of_other_folds(tmp_path: Path, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "second").mkdir()
    other = save_answers(make_run(tmp_path / "second"))
    with pytest.raises(ValueError, match="both held out"):
        write_report(run, tmp_path / "page.html", folds=[other])
    names = Photos.names.fget  # type: ignore[attr-defined]
    monkeypatch.setattr(Photos, "names", property(lambda self: [f"{self.root}/{name}" for name in names(self)]))
    text = write_report(run, tmp_path / "page.html", folds=[other]).read_text(encoding="utf-8")
    assert "18 photos of fold 2 (run) were examined" in text
    (other / "answers.safetensors").unlink()
    with pytest.raises(ValueError, match="has no answers to held-out photos"):
        write_report(run, tmp_path / "page.html", folds=[other])
    save_answers(other)
    model, data = from_pretrained(other), read_run(other).data
    photos = choose(other, data, model.classes, None, None, None).data
    assert len(saved_answers(other / "answers.safetensors", model.classes, photos).target) == 18
    with pytest.raises(ValueError, match="has other classes or photos"):
        saved_answers(other / "answers.safetensors", model.classes[:-1], photos)


def test_what_eval_measured_is_on_the_page(tmp_path: Path) -> None:
    assert measured(tmp_path, "test") == []
    write_json(tmp_path / "results.json", {"split": "test"} | SETS)
    (only,) = measured(tmp_path, "test")
    assert only.rows[0] == ("sets with the true class", "91.0% (wanted 90%)")
    assert measured(tmp_path, "val") == []
    unknown = {"unknown_images": 300.0, "unknown_auroc": 0.814, "unknown_fpr95": 0.687, "unknown_auroc_softmax": 0.776}
    write_json(tmp_path / "eval-test.json", SETS | unknown | {"unknown_fpr95_softmax": 0.81, "unknown_found": 0.22})
    rows = {"parts": {"deletion": 0.25, "insertion": None}, "cam": {"deletion": 0.5}}
    write_json(tmp_path / "eval-test-explain.json", {"photos": {"images": 50, "explanations": rows}, "slots": None})
    _, others, explained = measured(tmp_path, "test")
    assert others.rows == (
        ("the score of predict --false-alarms", "81.4%", "68.7%"),
        ("maximum softmax", "77.6%", "81.0%"),
    )
    assert "22.0% of the other photos" in others.note
    assert explained.columns == ("Explanation", "deletion (low)")
    assert explained.rows == (("parts", "0.25"), ("CAM x gate", "0.50"))
    assert "Measured on 50 photos." in explained.note
    assert "in the box" not in explained.note  # no column is about it
    rows = {"parts": {"difference": -0.25, "energy_in_box": 0.5}}
    write_json(tmp_path / "eval-test-explain.json", {"photos": {"images": 1, "explanations": rows}})
    *_, explained = measured(tmp_path, "test")
    assert explained.rows == (("parts", "−0.25", "0.50"),)
    assert explained.note.endswith("in the box or at the marks. Measured on 1 photo.")
    assert measured(tmp_path, "test", mine=False) == []
