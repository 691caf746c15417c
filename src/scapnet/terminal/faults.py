"""Sentences for faults of the machine: a full disk, too little memory, a killed loader process."""

import errno
from collections.abc import Iterator

from scapnet.terminal.hints import option

# Messages of PyTorch, safetensors and the C library; none of these errors has a class of its own.
SHARED_MEMORY = ("shared memory", "bus error", "</torch_")
KILLED = ("dataloader worker",)
OPEN_FILES = ("too many open files", "os error 24")
DISK = ("no space left", "disk quota", "os error 28", "storagefull", "pytorchstreamwriter", "inline_container.cc")
MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory")


def machine_fault(error: BaseException) -> str | None:
    """What is wrong with the machine and what to do, as one sentence; None for any other error."""
    texts = [str(one).lower() for one in _chain(error)]
    numbers = [one.errno for one in _chain(error) if isinstance(one, OSError)]

    def says(words: tuple[str, ...]) -> bool:
        return any(word in text for text in texts for word in words)

    workers = option("data.workers")
    if says(SHARED_MEMORY):
        return (
            f"the shared memory of the loader processes (/dev/shm) is too small; use {workers} 0, or give the "
            f"container more with --shm-size"
        )
    if errno.EMFILE in numbers or says(OPEN_FILES):
        return f"too many files are open; raise the limit with ulimit -n 1024, or use {workers} 0"
    if errno.ENOSPC in numbers or errno.EDQUOT in numbers or says(DISK):
        return "the disk is full; free some space and repeat the command, or continue a run with: scapnet resume RUN"
    if isinstance(error, MemoryError) or errno.ENOMEM in numbers or says(MEMORY):
        return f"memory ran out; use a smaller {option('train.batch-size')}, or fewer {workers}"
    if says(KILLED):
        return (
            f"a loader process was killed, most likely because memory ran out; use fewer {workers}, or a smaller "
            f"{option('train.batch-size')}"
        )
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and its causes."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
