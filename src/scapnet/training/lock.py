"""One process group at a time works on a run folder."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from filelock import FileLock, Timeout

LOCK, HOLDER = ".lock", ".lock-holder"


@contextmanager
def run_lock(run: Path, accelerator: Accelerator) -> Iterator[None]:
    """Hold the lock of a run folder; the operating system releases it when the process ends, however it ends.

    Args:
        run: the run folder; nothing is locked where it does not exist.
        accelerator: its first process takes the lock for all.

    Raises:
        ValueError: another process holds it.
    """
    lock, refused = FileLock(run / LOCK), ""
    if accelerator.is_main_process and run.is_dir():
        try:
            lock.acquire(blocking=False)
            (run / HOLDER).write_text(f"process {os.getpid()} on {platform.node()}", encoding="utf-8")
        except Timeout:
            refused = f"{run} is in use by {_holder(run)}; wait until it has ended, or stop it first"
    (refused,) = broadcast_object_list([refused])
    if refused:
        raise ValueError(refused)
    try:
        yield
    finally:
        if lock.is_locked:
            (run / HOLDER).unlink(missing_ok=True)
            lock.release()


def _holder(run: Path) -> str:
    try:
        return (run / HOLDER).read_text(encoding="utf-8") or "another process"
    except OSError:
        return "another process"
