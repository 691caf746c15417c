"""SIGINT and SIGTERM end a training run after its step, with a checkpoint."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from accelerate import Accelerator

SIGNALS = (signal.SIGINT, signal.SIGTERM)
REPEATED = 1.0  # seconds within which a launcher's copy of a signal is the same one


class Stopped(Exception):
    """A signal has ended a run.

    Args:
        number: of the signal.
        sentence: what was saved and how to go on.
    """

    def __init__(self, number: int, sentence: str) -> None:
        super().__init__(sentence)
        self.number = number


class StopRequest:
    """The signal that asked a run to stop, once there is one; a second one ends the process at once."""

    def __init__(self) -> None:
        self.number, self.since = 0, 0.0

    def __call__(self, number: int, frame: FrameType | None = None) -> None:
        """Handle a signal."""
        if self.number:
            # torchrun passes on a signal that its processes have already got, for example from Ctrl-C.
            if "LOCAL_RANK" in os.environ and time.monotonic() - self.since < REPEATED:
                return
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
            signal.raise_signal(number)
        self.number, self.since = number, time.monotonic()

    def agreed(self, accelerator: "Accelerator") -> int:
        """The signal that any of the processes has got, the same on all of them; 0 for none."""
        if accelerator.num_processes == 1:
            return self.number
        import torch

        return int(accelerator.gather(torch.tensor([self.number], device=accelerator.device)).max())

    def check(self, accelerator: "Accelerator") -> None:
        """End work that changes nothing, between two steps of it: an exception out of a handler may get lost.

        Raises:
            Interrupted: any of the processes has got a signal; on all of them.
        """
        if number := self.agreed(accelerator):
            raise Interrupted(number)


class Interrupted(Exception):
    """Work that changes nothing was ended by a signal.

    Args:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextmanager
def catch_signals() -> Iterator[StopRequest]:
    """A request that SIGINT and SIGTERM fill in; only a main thread can handle signals."""
    request, before = StopRequest(), dict[signal.Signals, Any]()
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.signal(number, request) for number in SIGNALS}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
