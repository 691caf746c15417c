"""Output files and folders: checked before the work begins, and never left half written."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


def check_folder(folder: Path, hint: str = "choose another place") -> None:
    """Check that a folder can be written to, or made. Nothing is left there, and a missing one is not made yet.

    Args:
        folder: where files will be written.
        hint: what to do if they cannot be.

    Raises:
        ValueError: a file is in its place, or it is not writable.
    """
    there = folder
    while not os.path.lexists(there):
        there = there.parent
    if not there.is_dir():
        raise ValueError(f"{folder} cannot be a folder: {there} is a file; {hint}")
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise ValueError(f"cannot write to the folder {folder} ({error.strerror}); {hint}") from error


def check_file(path: Path, suffixes: Sequence[str], default: str = "") -> Path:
    """Check that a file can be written. Nothing is left there, and a missing folder is not made yet.

    Args:
        path: the file that the user asked for.
        suffixes: the accepted suffixes, in any case; "" means no suffix.
        default: the suffix to add to a name without one.

    Returns:
        ``path``, with the default suffix if it had none.

    Raises:
        ValueError: it is a folder, has another suffix, or its folder is not writable.
    """
    if path.is_dir():
        raise ValueError(f"{path} is a folder; give a file, for example {path / f'out{suffixes[0]}'}")
    if _is_device(path):
        return path
    if default and not path.suffix:
        return check_file(path.with_name(path.name + default), suffixes)
    if path.suffix.lower() not in suffixes:
        *first, last = filter(None, suffixes)
        raise ValueError(f"{path} must end in {', '.join(first)}{' or ' if first else ''}{last}")
    check_folder(path.parent)
    return path


def _is_device(path: Path) -> bool:
    """Whether it is a pipe or a device, such as /dev/null, which is written to and never replaced."""
    return path.exists() and not path.is_file()


@contextmanager
def writing(path: Path, keep: bool = False) -> Iterator[Path]:
    """Write a file in one step: it appears, complete, at the end of the block; until then an older one stays.

    Args:
        path: the file; its folder is made.
        keep: if the block fails, leave what it wrote as ``NAME.PID.partial``.

    Yields:
        The path to write to.
    """
    if _is_device(path):
        yield path
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = partial_name(path)
    try:
        yield draft
        draft.replace(path)
    except BaseException:
        if not keep or not draft.exists() or not draft.stat().st_size:
            draft.unlink(missing_ok=True)
        raise


def partial_name(path: Path) -> Path:
    """The name that `writing` gives an incomplete file."""
    return path.with_name(f"{path.name}.{os.getpid()}.partial")  # two processes may write the same file
