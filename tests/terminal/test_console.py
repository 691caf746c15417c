"""Names on a terminal are what they are, and the bar says the same with and without one."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from scapnet.terminal import console
from scapnet.terminal.console import ProgressBar, make_console, printable, say

NAMES = {
    "robin [red]": "robin [red]",
    "[/2019]": "[/2019]",
    "[bold]x[/bold]": "[bold]x[/bold]",
    "a :cat: b": "a :cat: b",
    "\x1b[2Jgone": r"\x1b[2Jgone",
    "two\nlines\r\u2028": r"two\nlines\r\u2028",
    "\x9b31m": r"\x9b31m",
    "bell\a": r"bell\x07",
    "\u202egpj.exe": r"\u202egpj.exe",
    b"caf\xe9.jpg".decode(errors="surrogateescape"): r"caf\xe9.jpg",
    "half \ud83d": r"half \ud83d",
    "Häher 麻雀 نقار 👩\u200d🔬": "Häher 麻雀 نقار 👩\u200d🔬",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_printed_as_it_is_and_steers_no_terminal(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    say(f"skipped: {name}")
    assert capsys.readouterr().out == f"skipped: {NAMES[name]}\n"
    assert printable(Path(name)) == NAMES[name]
    with ProgressBar("images") as bar:
        bar.note(name)
    assert capsys.readouterr() == ("", f"{NAMES[name]}\n")


@pytest.mark.parametrize("name", NAMES)
def test_a_live_bar_prints_names_as_they_are(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()

    def terminal(stderr: bool = False, quiet: bool = False) -> Console:
        made = make_console(stderr, quiet)
        made.file, made._force_terminal = written, True
        return made

    monkeypatch.setattr(console, "make_console", terminal)
    monkeypatch.setenv("COLUMNS", "200")
    with ProgressBar() as bar:
        assert bar.live
        bar.start(name, 3)
        bar.describe(f"x {name}")
        bar.note(f"y {name}")
    assert f"x {NAMES[name]}" in written.getvalue()
    assert f"y {NAMES[name]}" in written.getvalue()


def test_without_a_terminal_a_line_is_written_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([0.0, 1.0, 11.0, 11.0, 12.0, 22.5, 22.5])
    monkeypatch.setattr("scapnet.terminal.console.time.monotonic", lambda: next(clock))
    with ProgressBar("images") as bar:
        bar.start("photos", 9000)
        for count in (1, 1500, 1, 20):
            bar.advance(count)
    assert capsys.readouterr() == ("", "photos: 1,501 of 9,000 images\nphotos: 1,522 of 9,000 images\n")


@pytest.mark.parametrize("stderr", [False, True])
def test_a_quiet_bar_says_nothing(stderr: bool, capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar("work", quiet=True, stderr=stderr) as bar:
        bar.start("training", 2.5, 1.0)
        bar.advance(1.5)
        bar.note("x")
    assert capsys.readouterr() == ("", "")
