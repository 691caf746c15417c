"""The devices and the other processes that a command runs on."""

import os
from typing import Any

import torch
import torch.distributed as dist
from accelerate import Accelerator


def make_accelerator(**options: Any) -> Accelerator:
    """Accelerate's accelerator with some options, which a launcher's processes share on a machine without GPUs, too.

    Accelerate would otherwise take each process of torchrun on such a machine for one that works alone.
    """
    return Accelerator(cpu=_shares_cpu(), **options)


def _shares_cpu() -> bool:
    """Whether this is one of several processes that have no device but the CPU to work together on."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or "LOCAL_RANK" not in os.environ:
        return False
    found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return found is None or found.type == "mps"


def is_first_process() -> bool:
    """Whether this is the process that prints and writes for all."""
    return os.environ.get("RANK", "0") == "0"


def leave_processes() -> None:
    """Take leave of the other processes when all work is done: they may be torn down in any order then."""
    if dist.is_available() and dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()
