"""Tables for a terminal."""

import pytest
import torch

from scapnet.summary import mark_table, score_rows, show_classes, show_scores


def test_choices_that_stay_at_their_places_are_said_to(capsys: pytest.CaptureFixture[str]) -> None:
    def printed(**scores: float) -> str:
        show_scores({"images": 2.0} | scores)
        return capsys.readouterr().out

    gate = {"kept": 0.6, "gate_follows_mirror": 0.2, "gate_follows_shift": 0.4}
    assert "The gate keeps the same places" in printed(**gate)
    assert "20.0% (random 50.0%)" in printed(**gate)
    for kept in (1.0, 0.97):  # open, or nearly
        assert "same places" not in printed(**gate | {"kept": kept})
    follow = gate | {"parts_follows_mirror": 0.97, "parts_follows_shift": 0.8, "gate_by_place": 0.65}
    assert "places when" not in printed(**follow)  # what the parts do counts, and objects that sit alike do not
    assert "The parts stay" in printed(**follow | {"parts_follows_shift": 0.01})
    assert "The parts stay" in printed(kept=1.0, parts_follows_shift=0.1)
    assert "say little" not in printed(kept=0.3)


def test_tables_show_chance_beside_every_score(capsys: pytest.CaptureFixture[str]) -> None:
    scores = {"gate_precision": 0.7, "random_gate_precision": 0.4, "covered": 0.8, "random_covered": 0.5}
    text = dict(score_rows(scores))
    assert text["share of the kept area inside the object's box"] == "70.0% (random 40.0%)"
    assert "80.0% (random 50.0%)" in text.values()
    table = mark_table({"beak": {"marks": 3.0, "covered": 0.5, "random": 0.25}, "tail": {"marks": 1.0, "covered": 1.0,
        "random": 0.5, "covered_scale2": 1.0, "random_scale2": 0.3}})  # fmt: skip
    assert [str(column.header) for column in table.columns][-1] == "scale 2"
    assert list(table.columns[-1].cells) == ["", "100.0 (30.0)"]
    show_scores({"images": 2.0})
    assert "beak" not in capsys.readouterr().out


def test_every_scale_that_has_parts_is_reported() -> None:
    scores = {"hit_scale1": 0.5, "random_scale1": 0.2, "hit_scale3": 0.9, "random_scale3": 0.8, "accuracy_main": 0.1}
    text = " ".join(f"{name} {value}" for name, value in score_rows(scores))
    assert "scale-1" in text
    assert "scale-3" in text
    assert "90.0% (random 80.0%)" in text


def test_the_classes_with_the_lowest_accuracy_come_first(capsys: pytest.CaptureFixture[str]) -> None:
    target, answers = torch.tensor([0, 0, 1, 1, 2, 2]), torch.tensor([0, 0, 2, 2, 2, 1])
    show_classes(target, torch.eye(4)[answers], ("[red]a", "b", "c", "unseen"))
    printed = capsys.readouterr().out
    assert printed.index(" b ") < printed.index(" c ") < printed.index("[red]a")
    assert "unseen" not in printed
    assert "most often confused: b taken for c (2 of 2); c taken for b (1 of 2)" in printed
    show_classes(target, torch.eye(4)[answers], ("[red]a", "b", "c", "unseen"), most=1)
    printed = capsys.readouterr().out
    assert "[red]a" not in printed
    assert "2 more classes with an accuracy of 50.0% or more" in printed
    show_classes(target, torch.eye(4)[target], tuple("abcd"))
    assert "confused" not in capsys.readouterr().out


def test_a_title_says_what_was_scored(capsys: pytest.CaptureFixture[str]) -> None:
    for scores, words in (
        ({"preset": "photos", "split": "test", "images": 12.0}, "photos: 12 test images"),
        ({"preset": "photos", "split": "all", "images": 3.0, "root": "field"}, "photos: 3 images of field"),
        ({"preset": "photos", "train_images": 9}, "photos: no photos were held out"),
    ):
        show_scores(scores)
        assert words in capsys.readouterr().out
    assert dict(score_rows({"mean_per_class": 0.25}))["accuracy, mean per class"] == "25.0%"
