"""Settings of the memory allocator and of the garbage collector."""

import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Of glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
NEVER = 2**31 - 1  # the largest value that mallopt takes


def keep_memory() -> bool:
    """Keep memory that a training step frees for the next step instead of returning it to the system.

    By default glibc maps each large block afresh, and the kernel zeroes every page of it on first use. Without that, a
    training step on a CPU is 1.14 times as fast with MobileNetV2 at 128 px, and no faster with the tiny network
    (``results/allocator.md``). Existing allocations are not affected; child processes inherit the setting.

    Returns:
        Whether the setting was applied; False if the C library is not glibc.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, NEVER))


@contextmanager
def quick_imports() -> Iterator[None]:
    """A block of imports in which the garbage collector rests; what they load is never looked through again.

    Importing torch and timm makes so many lasting objects that looking through them takes a sixth of the time
    (``docs/lab-notebook.md``). Where torch is loaded already, the block changes nothing.
    """
    if "torch" in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
