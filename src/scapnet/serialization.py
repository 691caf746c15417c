"""Converting settings to JSON-compatible values and back."""

import dataclasses
import math
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def to_dict(config: Any) -> dict[str, Any]:
    """A config as values that JSON can represent; paths become strings."""
    return {
        key: to_dict(value) if dataclasses.is_dataclass(value) else str(value) if isinstance(value, Path) else value
        for key, value in vars(config).items()
    }


def from_dict(cls: type[T], values: dict[str, Any]) -> T:
    """A config from the values that `to_dict` returned, in this version or an earlier one.

    A class whose settings have been renamed or moved lists them in ``RENAMED``: ``{"old": "section.new"}``.

    Raises:
        ValueError: a setting that this version does not know, or a value of another type than the setting's.
    """
    if not isinstance(values, dict):
        raise ValueError(f"{cls.__name__} is {_short(values)} instead of its settings")
    values = _moved(getattr(cls, "RENAMED", {}), values)
    hints = {field.name: get_type_hints(cls)[field.name] for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - set(hints))
    if unknown:
        raise ValueError(f"{cls.__name__} has no setting {', '.join(unknown)}; it was written by another version")
    return cls(**{key: _read(f"{cls.__name__}.{key}", hints[key], value) for key, value in values.items()})


def _moved(renamed: dict[str, str], values: dict[str, Any]) -> dict[str, Any]:
    """The values with settings of an earlier version under their present names."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        section, _, name = renamed.get(key, "").rpartition(".")
        if not name or isinstance(value, dict):  # a section may have the name of a former setting
            found[key] = {**found.get(key, {}), **value} if isinstance(value, dict) else value
        elif section:
            found.setdefault(section, {})[name] = value
        else:
            found[name] = value
    return found


def _read(name: str, hint: Any, value: Any) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return from_dict(hint, value)
    if not _fits(hint, value):
        wanted = hint.__name__ if isinstance(hint, type) and not get_args(hint) else str(hint).replace("typing.", "")
        raise ValueError(f"{name} is {_short(value)} instead of {wanted}")
    if isinstance(value, list):
        return _tuple(value)
    return Path(value) if hint == Path | None and value is not None else value


def _tuple(values: Any) -> Any:
    return tuple(map(_tuple, values)) if isinstance(values, list) else values


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _fits(hint: Any, value: Any) -> bool:
    """Whether a JSON value is one of a type, which is any that the settings have; of others, all are."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(_fits(one, value) for one in inner)
    if origin is Literal:  # which strings they are, each section checks
        return any(type(value) is type(one) for one in inner)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            return False
        each = inner[:1] * len(value) if inner[1:] == (...,) else inner
        return len(each) == len(value) and all(map(_fits, each, value))
    if hint in (NoneType, bool, int, str):
        return type(value) is hint
    if hint is float:
        return type(value) in (int, float) and math.isfinite(value)
    return isinstance(value, str | Path) if hint is Path else True
