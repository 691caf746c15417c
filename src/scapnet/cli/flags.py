"""Renamed flags: the spelling of the previous release still works."""

import sys
from collections.abc import Sequence
from dataclasses import fields

from scapnet.config import Config, DataConfig, ModelConfig

RESUMED = ("--data.root", "--data.table", "--train.clip", "--train.epochs", "--train.lr")


def renamed_flags() -> dict[str, str]:
    """Flags of the previous release and their new spelling; those without a section belong to `scapnet data`."""
    found = {}
    for section, cls in (("model.", ModelConfig), ("data.", DataConfig), ("", DataConfig)):
        for old, new in cls.RENAMED.items():
            parents, dot, name = new.replace("_", "-").rpartition(".")
            old = old.replace("_", "-")
            found[f"--{section}{old}"] = f"--{section}{parents}{dot}{name}"
            found[f"--{section}no-{old}"] = f"--{section}{parents}{dot}no-{name}"
    return found


def check_resume(arguments: Sequence[str]) -> None:
    """Refuse other settings for a resumed run.

    Raises:
        ValueError: an option of `scapnet train` that `scapnet resume` does not take.
    """
    sections = tuple(f"--{field.name}." for field in fields(Config) if field.name != "preset")
    others = [word.partition("=")[0] for word in arguments[1:] if word.startswith(sections)]
    others = [word for word in others if word not in RESUMED]
    if arguments[:1] == ["resume"] and others:
        raise ValueError(
            f"a run keeps its settings: resume takes --epochs, --lr, --clip, --root and --table but not {others[0]}; "
            f"for other settings start a new run from its model: scapnet train PRESET --model.weights RUN"
        )


def with_new_flags(arguments: Sequence[str]) -> list[str]:
    """Arguments with the flags of the previous release in their new spelling; a sentence on stderr lists them."""
    renamed, used, found = renamed_flags(), dict[str, str](), list[str]()
    for argument in arguments:
        flag, equals, value = argument.partition("=")
        old = flag.replace("_", "-")
        if old in renamed and ("." in old or arguments[0] == "data"):
            used[old] = renamed[old]
            argument = renamed[old] + equals + value
        found.append(argument)
    if used:
        pairs = ", ".join(f"{old} is now {new}" for old, new in used.items())
        print(f"scapnet: {pairs}; the next release drops the old spelling", file=sys.stderr)
    return found
