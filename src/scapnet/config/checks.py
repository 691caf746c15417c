"""Checks of settings, for the ``__post_init__`` of each section."""

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar

_collected: ContextVar[list[str] | None] = ContextVar("collected", default=None)


def refuse(sentence: str) -> None:
    """Raise ValueError, or within `collected_errors` remember the sentence."""
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
    """Append what `refuse` says to a list: a command line's parser would print an exception in a form of its own."""
    return _collecting(found)


def raised_errors() -> AbstractContextManager[None]:
    """Raise what `refuse` says, within `collected_errors` too."""
    return _collecting(None)


def one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    """Refuse a value that is not one of the known ones."""
    if value not in known:
        refuse(f"{name} is {value!r}; use one of {', '.join(known)}")


def at_least(name: str, value: float, least: float) -> None:
    """Refuse a value below the least one."""
    if value < least:
        refuse(f"{name} is {value}; it must be at least {least}")


def check_expression(name: str, text: str | None) -> None:
    """Refuse what is no regular expression, or one with more than one group."""
    try:
        if text is not None and re.compile(text).groups > 1:
            refuse(f"{name} {text!r} has more than one group; write (?:...) round all but the one that names photos")
    except re.error as error:
        refuse(f"{name} {text!r} is no regular expression ({error}); correct it, or use folder")
