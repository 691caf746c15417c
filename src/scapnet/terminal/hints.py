"""How the current command spells a setting, for messages that tell the user which option to give."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

# A run's settings are fixed: the commands that work on a run take only these, under shorter names.
MOVED = {"data.root": "--root", "data.table": "--table", "data.hub": "--root"}
SPELLINGS: dict[str, dict[str, str]] = {
    "eval": MOVED | {"data.workers": "--workers"},
    "resume": MOVED
    | {"data.workers": "--workers", "train.epochs": "--epochs", "train.lr": "--lr", "train.clip": "--clip"},
    "reproduce": {"data.root": "--root", "data.name": "--data", "model.weights": "--weights"},
}
_command: ContextVar[str] = ContextVar("command", default="train")


@contextmanager
def command(arguments: Sequence[str]) -> Iterator[None]:
    """Spell options as the command with these arguments takes them."""
    words = arguments[: 2 if arguments[:1] == ["data"] else 1]
    token = _command.set(" ".join(words) or "train")
    try:
        yield
    finally:
        _command.reset(token)


def option(setting: str) -> str:
    """The option that changes a setting.

    >>> option("data.root")
    '--data.root'
    >>> option("loss.act_ramp")
    '--loss.act-ramp'
    >>> with command(["eval", "runs/photos"]):
    ...     option("data.root"), option("data.level")
    ('--root', '--data.level of scapnet train')
    """
    name, flag = _command.get(), f"--{setting.replace('_', '-')}"
    if name.startswith("data"):  # its commands have no other sections
        return f"--{flag.removeprefix('--data.')}"
    if name in SPELLINGS:
        return SPELLINGS[name].get(setting, f"{flag} of scapnet train")
    return flag


def read_with(settings: Mapping[str, object]) -> str:
    """Several options with their values; of ``scapnet train``, with its name, if the command does not take them all.

    >>> read_with({"data.name": "csv", "data.root": "photos"})
    '--data.name csv --data.root photos'
    >>> with command(["resume", "runs/photos"]):
    ...     read_with({"data.name": "csv", "data.root": "photos"})
    'scapnet train PRESET --data.name csv --data.root photos'
    """
    name = _command.get()
    if name == "data check":  # which takes the data set's name without an option
        return " ".join(str(v) if k == "data.name" else f"{option(k)} {v}" for k, v in settings.items())
    if name in SPELLINGS and not settings.keys() <= SPELLINGS[name].keys():
        return "scapnet train PRESET " + " ".join(f"--{k} {v}" for k, v in settings.items())
    return " ".join(f"{option(k)} {v}" for k, v in settings.items())
