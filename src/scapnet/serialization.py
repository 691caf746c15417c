"""Converting settings to JSON-compatible values and back."""

import dataclasses
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

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
        ValueError: a setting that this version does not know.
    """
    values = _moved(getattr(cls, "RENAMED", {}), values)
    hints = {field.name: get_type_hints(cls)[field.name] for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - set(hints))
    if unknown:
        raise ValueError(f"{cls.__name__} has no setting {', '.join(unknown)}; it was written by another version")
    return cls(**{key: _read(hints[key], value) for key, value in values.items()})


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


def _read(hint: Any, value: Any) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return from_dict(hint, value)
    if isinstance(value, list):
        return tuple(value)
    return Path(value) if hint == Path | None and value is not None else value
