"""Flags whose spelling has changed: the one of the release before still works."""

import sys
from collections.abc import Sequence
from dataclasses import fields

from scapnet.config import Config, DataConfig, ModelConfig

RESUMED = ("--data.root", "--data.table", "--train.epochs")


def renamed_flags() -> dict[str, str]:
    """Flags of the release before, and their present spelling; without a section they are those of `scapnet data`."""
    found = {}
    for section, cls in (("model.", ModelConfig), ("data.", DataConfig), ("", DataConfig)):
        for old, new in cls.RENAMED.items():
            heads, dot, name = new.replace("_", "-").rpartition(".")
            old = old.replace("_", "-")
            found[f"--{section}{old}"] = f"--{section}{heads}{dot}{name}"
            found[f"--{section}no-{old}"] = f"--{section}{heads}{dot}no-{name}"
    return found


def check_resume(arguments: Sequence[str]) -> None:
    """Refuse other settings for a run that goes on.

    Raises:
        ValueError: an option of `scapnet train` that `scapnet resume` does not take.
    """
    sections = tuple(f"--{field.name}." for field in fields(Config) if field.name != "preset")
    others = [word.partition("=")[0] for word in arguments[1:] if word.startswith(sections)]
    others = [word for word in others if word not in RESUMED]
    if arguments[:1] == ["resume"] and others:
        raise ValueError(
            f"a run goes on with its own settings, so resume does not take {others[0]}, but --epochs, --root and "
            f"--table; for other settings start a new run from its model: scapnet train PRESET --model.weights RUN"
        )


def with_present_flags(arguments: Sequence[str]) -> list[str]:
    """Arguments with flags of the release before in their present spelling; a sentence on stderr names those."""
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
        print(f"scapnet: {pairs}; the old spelling goes with the next release", file=sys.stderr)
    return found
