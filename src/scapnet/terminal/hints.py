"""How the command at hand spells a setting, for sentences that tell the user which option to give."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

# A run's settings are fixed: the commands that use one take only these, under shorter names.
MOVED = {"data.root": "--root", "data.table": "--table", "data.hub": "--root"}
SPELLINGS: dict[str, dict[str, str]] = {
    "eval": MOVED | {"data.workers": "--workers"},
    "resume": MOVED | {"data.workers": "--workers", "train.epochs": "--epochs"},
    "reproduce": {"data.root": "--root", "data.name": "--data", "model.weights": "--weights"},
}
_command: ContextVar[str] = ContextVar("command", default="train")


@contextmanager
def command(arguments: Sequence[str]) -> Iterator[None]:
    """Spell options as the command of some arguments takes them."""
    token = _command.set(arguments[0] if arguments else "train")
    try:
        yield
    finally:
        _command.reset(token)


def option(setting: str) -> str:
    """The option that changes a setting.

    >>> option("data.root")
    '--data.root'
    >>> with command(["eval", "runs/photos"]):
    ...     option("data.root"), option("data.level")
    ('--root', '--data.level of scapnet train')
    """
    name = _command.get()
    if name == "data":  # its commands have no other sections
        return f"--{setting.removeprefix('data.')}"
    if name in SPELLINGS:
        return SPELLINGS[name].get(setting, f"--{setting} of scapnet train")
    return f"--{setting}"
