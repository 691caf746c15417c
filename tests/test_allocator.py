"""Blocks that a step frees are there for the next one; the collector rests while torch is imported."""

import gc
import platform
import subprocess
import sys

import pytest

from scapnet import allocator

STEPS = """
import ctypes, resource
from scapnet.allocator import keep_memory
print(keep_memory() if KEEP else False)
libc = ctypes.CDLL(None)
libc.malloc.argtypes, libc.malloc.restype, libc.free.argtypes = [ctypes.c_size_t], ctypes.c_void_p, [ctypes.c_void_p]
def step():
    block = libc.malloc(64 * 2**20)
    ctypes.memset(block, 1, 64 * 2**20)
    libc.free(block)
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4): step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(keep: bool) -> tuple[str, int]:
    """What `keep_memory` returned, and page faults of four steps in a process of its own."""
    code = f"KEEP = {keep}\n{STEPS}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    answer, count = done.stdout.split()
    return answer, int(count)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="an allocator of glibc")
def test_freed_blocks_are_used_again() -> None:
    pages = 4 * 64 * 2**20 // 2**21  # at least so many, also where pages are huge
    assert faults(keep=False)[1] >= pages
    answer, count = faults(keep=True)
    assert answer == "True"
    assert count < pages / 4


@pytest.mark.parametrize("name", ["darwin", "win32"])
def test_other_systems_are_left_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", name)
    assert not allocator.keep_memory()


def test_the_collector_rests_while_torch_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    frozen = gc.get_freeze_count()
    with allocator.quick_imports():
        assert not gc.isenabled()
        loaded = [list[int]() for _ in range(1000)]
    assert gc.isenabled()
    assert gc.get_freeze_count() >= frozen + len(loaded)


def test_the_collector_works_on_where_torch_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", sys)
    frozen = gc.get_freeze_count()
    with allocator.quick_imports():
        assert gc.isenabled()
    assert gc.get_freeze_count() == frozen
