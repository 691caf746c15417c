"""Flags of the release before still work, and say how they are spelled now."""

from dataclasses import fields, is_dataclass

import pytest

from scapnet.cli.flags import check_resume, renamed_flags, with_new_flags
from scapnet.config import Config


def flags(config: object, prefix: str = "--") -> set[str]:
    """Every flag of a config, as the command line spells it."""
    found = set()
    for field in fields(config):  # type: ignore[arg-type]
        value, name = getattr(config, field.name), field.name.replace("_", "-")
        if is_dataclass(value):
            found |= flags(value, f"{prefix}{name}.")
        else:
            found |= {f"{prefix}{name}", f"{prefix}no-{name}"} if isinstance(value, bool) else {f"{prefix}{name}"}
    return found


def test_every_present_spelling_exists() -> None:
    known = flags(Config())
    plain = {
        new for old, new in renamed_flags().items() if old.startswith(("--model.", "--data.")) and "no-" not in old
    }
    assert plain <= known
    assert renamed_flags()["--model.no-gate"] in known


def test_old_flags_are_translated_and_named_once(capsys: pytest.CaptureFixture[str]) -> None:
    old = [
        "train",
        "demo",
        "--model.keep",
        "1",
        "2",
        "--model.part_size=32",
        "--model.no-gate",
        "--data.deal",
        "photos",
    ]
    assert with_new_flags(old) == [
        *("train", "demo", "--model.parts.keep", "1", "2", "--model.parts.size=32", "--model.gate.no-enabled"),
        *("--data.fold-by", "photos"),
    ]
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "--model.keep is now --model.parts.keep" in said
    assert "--model.part-size is now --model.parts.size" in said


def test_words_that_are_not_old_flags_are_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (
        [],
        ["train", "photos", "--hide", "--classes", "--model.parts.keep", "3"],
        ["predict", "run", "--out", "--keep"],
    ):
        assert with_new_flags(words) == words
    assert with_new_flags(["data", "show", "--train-length", "8"])[2] == "--synthetic.train-length"
    assert "is now" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["--train.momentum", "--model.gate.grid=8", "--data.resize", "--loss.act"])
def test_a_resumed_run_keeps_its_settings(word: str) -> None:
    with pytest.raises(
        ValueError, match=rf"resume takes --epochs, --lr, --clip, --root and --table but not {word.partition('=')[0]};"
    ):
        check_resume(["resume", "run", word, "1"])
    check_resume(["train", "photos", word, "1"])
    check_resume(["resume", "run", "--train.epochs", "9", "--data.root=x", "--root", "y", "--table", "z"])
