"""Checks of single settings."""


def one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    """Refuse a value that is not one of the known ones."""
    if value not in known:
        raise ValueError(f"{name} is {value!r}; use one of {', '.join(known)}")


def at_least(name: str, value: float, least: float) -> None:
    """Refuse a value below the least one."""
    if value < least:
        raise ValueError(f"{name} is {value}; it must be at least {least}")
