"""Checks of settings, for the ``__post_init__`` of each section."""

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar

_collected: ContextVar[list[str] | None] = ContextVar("collected", default=None)


def refuse(sentence: str) -> None:
    """Raise ValueError, or collect the sentence inside `collected_errors`."""
    found = _collected.get()
    if found is None:
        raise ValueError(sentence)
    found.append(sentence)


@contextmanager
def _collecting(found: list[str] | None) -> Iterator[None]:
    token = _collected.set(found)
    try:
        yield
    finally:
        _collected.reset(token)


def collected_errors(found: list[str]) -> AbstractContextManager[None]:
    """Collect the sentences of `refuse` in a list: the command line's parser would print an exception its own way."""
    return _collecting(found)


def raised_errors() -> AbstractContextManager[None]:
    """Let `refuse` raise, even inside `collected_errors`."""
    return _collecting(None)


def one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    """Refuse a value that is not one of the known ones."""
    if value not in known:
        refuse(f"{name} is {value!r}; use one of {', '.join(known)}")


def at_least(name: str, value: float, least: float) -> None:
    """Refuse a value below the minimum."""
    if not value >= least:  # NaN, too
        refuse(f"{name} is {value}; it must be at least {least}")


def at_most(name: str, value: float, most: float) -> None:
    """Refuse a value above the maximum."""
    if not value <= most:
        refuse(f"{name} is {value:,}; it must be at most {most:,}")


def check_expression(name: str, text: str | None) -> None:
    """Refuse an invalid regular expression, or one with more than one group."""
    try:
        if text is not None and re.compile(text).groups > 1:
            refuse(f"{name} {text!r} has more than one group; use (?:...) for all but the one that names the group")
    except re.error as error:
        refuse(f"{name} {text!r} is not a regular expression ({error}); correct it, or use folder")
