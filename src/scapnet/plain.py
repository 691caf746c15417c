"""Settings as what JSON can hold, and back."""

import dataclasses
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

T = TypeVar("T")


def to_dict(config: Any) -> dict[str, Any]:
    """A config as what JSON can hold."""
    return {
        key: to_dict(value) if dataclasses.is_dataclass(value) else str(value) if isinstance(value, Path) else value
        for key, value in vars(config).items()
    }


def from_dict(cls: type[T], values: dict[str, Any]) -> T:
    """Read back what `to_dict` wrote.

    Raises:
        ValueError: a setting that this version does not know.
    """
    hints = get_type_hints(cls)
    unknown = sorted(set(values) - set(hints))
    if unknown:
        raise ValueError(f"{cls.__name__} has no setting {', '.join(unknown)}; it was written by another version")
    return cls(**{key: _read(hints[key], value) for key, value in values.items()})


def _read(hint: Any, value: Any) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return from_dict(hint, value)
    if isinstance(value, list):
        return tuple(value)
    return Path(value) if hint == Path | None and value is not None else value
