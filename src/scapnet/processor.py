"""What the processor can do in hardware."""

import platform
from functools import cache
from pathlib import Path

# Flags of /proc/cpuinfo that stand for products of bf16 numbers: of x86, and of ARM.
BF16 = ("amx_bf16", "avx512_bf16", "bf16")
SHOWN = ("avx2", "avx512f", "avx512_vnni", "amx_int8", "i8mm", *BF16)


@cache
def flags() -> frozenset[str]:
    """The processor's flags as Linux reports them; empty elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return frozenset()
    return next((frozenset(line.split()) for line in lines if line.startswith(("flags", "Features"))), frozenset())


def bf16_in_hardware() -> bool:
    """Whether the processor multiplies bf16 numbers itself; elsewhere bf16 is slower than float32."""
    return not flags().isdisjoint(BF16)


def describe() -> str:
    """The architecture and the flags that matter for speed, such as "x86_64: avx2, avx512f"."""
    return f"{platform.machine()}: {', '.join(flag for flag in SHOWN if flag in flags()) or 'no known flags'}"
