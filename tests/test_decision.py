"""What an answer comes to: a class, "unknown", a set of classes or their coarser class."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from samples import calibrated, make, painted
from scapnet.calibration import Calibration, thinned
from scapnet.decision import Rules, common_parent, sets_of
from scapnet.engine import Answers
from scapnet.predict import predict_photo
from scapnet.prediction import UNKNOWN, Prediction
from scapnet.predictor import Predictor

CLASSES = ("gala", "lady", "pear", "plum")
PARENTS = ("apple", "apple", "", "")
# 99 photos whose true class has 0.8, 0.79, ... down from 1: q at an error of 0.2 is 0.6
CALIBRATION = Calibration(
    99, 1.0, tuple(i / 100 for i in range(2, 101)), tuple(round(0.01 * i, 2) for i in range(1, 100))
)


class Fake:
    classes, threshold, calibration, parents = CLASSES, 0.7, CALIBRATION, PARENTS


def said(*rows: list[float]) -> Answers:
    return Answers(torch.tensor(rows))


def test_a_set_has_every_class_that_is_likely_enough() -> None:
    probs = torch.tensor([[0.5, 0.3, 0.15, 0.05], [0.97, 0.01, 0.01, 0.01], [0.25, 0.24, 0.26, 0.25]])
    # the 80th of 99 scores is 0.81: classes with at least 0.19
    assert sets_of(probs, CALIBRATION, 0.2) == [(0, 1), (0,), (2, 0, 3, 1)]
    assert sets_of(probs, CALIBRATION, 0.001) == [(0, 1, 2, 3), (0, 1, 2, 3), (2, 0, 3, 1)]
    assert sets_of(probs, CALIBRATION, 0.99) == [(0,), (0,), (2,)]  # never without the best class


def test_the_coarser_class_is_what_all_have_in_common() -> None:
    assert common_parent([0, 1], PARENTS) == "apple"
    assert common_parent([0, 2], PARENTS) is None
    assert common_parent([2, 3], PARENTS) is None  # neither has one
    assert common_parent([0, 1], ()) is None


def test_sets_give_the_class_its_parent_or_the_best() -> None:
    found = Rules(error_rate=0.2).verdicts(
        Fake(), said([0.5, 0.3, 0.15, 0.05], [0.9, 0.05, 0.03, 0.02], [0.2, 0.05, 0.7, 0.05])
    )
    assert [one.answer for one in found] == ["apple", "gala", "pear"]
    assert [one.among for one in found] == [("gala", "lady"), ("gala",), ("pear", "gala")]
    assert [one.parent for one in found] == ["apple", None, None]
    assert {one.known for one in found} == {None}


def test_unknown_by_the_probability_or_by_false_alarms(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = said([0.6, 0.2, 0.1, 0.1], [0.8, 0.1, 0.05, 0.05])
    assert [one.answer for one in Rules("auto").verdicts(Fake(), answers)] == [UNKNOWN, "gala"]
    assert [one.answer for one in Rules(0.9).verdicts(Fake(), answers)] == [UNKNOWN, UNKNOWN]
    monkeypatch.setattr("scapnet.decision.known_score", lambda *_: torch.tensor([0.035, 0.505]))
    found = Rules(false_alarms=0.05).verdicts(Fake(), answers)
    assert [one.answer for one in found] == [UNKNOWN, "gala"]
    assert [one.known for one in found] == pytest.approx([0.04, 0.51])
    assert [one.answer for one in Rules(false_alarms=0.03).verdicts(Fake(), answers)] == ["gala", "gala"]
    both = Rules(error_rate=0.2, false_alarms=0.05).verdicts(Fake(), answers)
    assert both[0].answer == UNKNOWN
    assert both[0].among == ("gala", "lady")


def test_skipped_parts_make_no_photo_unknown() -> None:
    model, photos = calibrated(), [painted(70, 70 + i, i) for i in range(4)]
    assert model.calibration is not None
    with pytest.raises(ValueError, match="is judged by its parts, too; look at the parts of all photos"):
        Predictor(model, false_alarms=0.1, parts_for=0.5)
    model.calibration = replace(model.calibration, weights=(*model.calibration.weights[:2], 0.0))
    every = [one.known for one in Predictor(model, false_alarms=0.1)(photos)]
    best = sorted(one.probabilities[0] for one in Predictor(model, parts_for="none")(photos))
    some = list(Predictor(model, false_alarms=0.1, parts_for=(best[1] + best[2]) / 2)(photos))
    assert [bool(one.parts) for one in some].count(True) == 2
    assert [one.known for one in some] == pytest.approx(every)


def test_false_alarms_are_as_rare_as_promised() -> None:
    generator = torch.Generator().manual_seed(0)
    alarms = []
    for _ in range(300):
        scores = torch.rand(60, generator=generator).tolist()
        found = replace(CALIBRATION, known=thinned(scores[:40]))
        alarms += [found.known_rank(score) <= 0.1 for score in scores[40:]]
    assert sum(alarms) / len(alarms) == pytest.approx(0.1, abs=0.02)  # 4 of 41 ranks: 0.098


def test_many_scores_are_thinned() -> None:
    assert thinned([3.0, 1.0, 2.0]) == (1.0, 2.0, 3.0)
    found = thinned([float(i) for i in range(3001)])
    assert len(found) == 1000
    assert found[-1] == 3000
    assert abs(found[499] - 1500) <= 3


def test_a_photo_is_decided_from_end_to_end() -> None:
    model = make()
    photo = painted(70, 70)
    plain = predict_photo(model, photo, 4)
    assert (plain.known, plain.among, plain.parent) == (None, None, None)
    model.parents = ("bird",) * 4
    model.calibration = Calibration(3, 1.0, (0.0, 0.1, 0.2), (5.0, 6.0, 7.0))
    found = Predictor(model, error_rate=0.1, false_alarms=0.3)(photo)
    assert found.answer == UNKNOWN  # fewer than all but a quarter
    assert found.known == 0.25
    assert set(found.among) == set(model.classes)  # three photos promise nothing at 10%
    assert found.parent == "bird"
    sure = Predictor(model, error_rate=0.9)(photo)
    assert sure.among == plain.names[:1]
    assert sure.answer == plain.answer
    assert sure.to_dict()["among"] == plain.names[:1]


@pytest.mark.parametrize(
    ("options", "words"),
    [({"error_rate": 1.0}, "error-rate 1.0 must lie"), ({"false_alarms": 0.0}, "false-alarms 0.0 must lie")],
)
def test_rates_must_be_between_0_and_1(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Predictor(make(), **options)


def test_a_model_without_calibration_says_how_to_get_one() -> None:
    with pytest.raises(ValueError, match="scapnet eval RUN --split val"):
        Predictor(make(), error_rate=0.1)


def test_missing_prototypes_are_reported() -> None:
    model = make()
    model.calibration = replace(CALIBRATION, prototypes=True)
    with pytest.raises(ValueError, match=r"has lost its prototypes\.safetensors"):
        Predictor(model, false_alarms=0.1)(painted(70, 70))


def test_a_table_shows_the_verdict() -> None:
    one = Prediction("a.jpg", "apple", ("gala",), (0.6,), (), None, among=("gala", "lady"), parent="apple")
    assert one.table().splitlines()[0] == "a.jpg: apple (gala or lady)"
    assert replace(one, answer="gala", parent=None).table().splitlines()[0] == "a.jpg: gala or lady"
    assert replace(one, answer=UNKNOWN).table().splitlines()[0] == "a.jpg: unknown"
    assert replace(one, answer="gala", among=None, parent=None).table().splitlines()[0] == "a.jpg"
