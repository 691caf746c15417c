"""Tables for a terminal."""

import pytest

from scapnet.summary import mark_table, score_rows, show_scores


def test_a_gate_that_keeps_the_same_places_is_said_to(capsys: pytest.CaptureFixture[str]) -> None:
    show_scores({"images": 2.0, "kept": 0.3, "gate_by_place": 0.12})
    printed = capsys.readouterr().out
    assert "12.0%" in printed
    assert "same places" not in printed
    show_scores({"images": 2.0, "kept": 0.6, "gate_by_place": 0.76})
    assert "keeps much the same places" in capsys.readouterr().out
    for kept in ({"kept": 1.0}, {"kept": 0.97, "gate_by_place": 0.9}):  # open, or nearly
        show_scores({"images": 2.0} | kept)
        assert "same places" not in capsys.readouterr().out


def test_tables_show_chance_beside_every_score(capsys: pytest.CaptureFixture[str]) -> None:
    scores = {"gate_precision": 0.7, "random_gate_precision": 0.4, "covered": 0.8, "random_covered": 0.5}
    text = dict(score_rows(scores))
    assert text["kept area that lies in the object's box"] == "70.0% (random 40.0%)"
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
