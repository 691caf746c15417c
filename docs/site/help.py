"""Print what ``--help`` says of every command as Markdown; of `train`, whose presets share their settings, for one."""

import contextlib
import io
import re

from scapnet import cli

SUBCOMMANDS = {"train": ["photos"], "data": ["show", "check"]}


def text(*words: str) -> str:
    """The help of a command."""
    with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.suppress(SystemExit):
        cli.app().cli(prog="scapnet", args=[*words, "--help"], config=cli.STYLE)
    return said.getvalue().rstrip()


if __name__ == "__main__":
    (names,) = re.findall(r"\{([\w,]+)\}", text())
    for name in names.split(","):
        for words in [[name, below] for below in SUBCOMMANDS.get(name, [])] or [[name]]:
            print(f"\n## scapnet {' '.join(words)}\n\n```text\n{text(*words)}\n```")
