"""A sentence from an exception."""


def reason(error: BaseException) -> str:
    """The first line of an error's message, or the name of its class where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def last_line(error: BaseException) -> str:
    """The sentence of an error that comes with the traceback of a loader's process, or of any other error."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1].removeprefix("ValueError: ")
