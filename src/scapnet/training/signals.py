"""SIGINT and SIGTERM end a training run after its step, with a checkpoint."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from accelerate import Accelerator

SIGNALS = (signal.SIGINT, signal.SIGTERM)


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
        self.number = 0
        self.immediate = False

    def __call__(self, number: int, frame: FrameType | None = None) -> None:
        """Handle a signal."""
        if self.number:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
            signal.raise_signal(number)
        self.number = number
        if self.immediate:
            raise Interrupted

    def agreed(self, accelerator: "Accelerator") -> int:
        """The signal that any of the processes has got, the same on all of them; 0 for none."""
        if accelerator.num_processes == 1:
            return self.number
        import torch

        return int(accelerator.gather(torch.tensor([self.number], device=accelerator.device)).max())

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """A block of work that a signal ends at once, with `Interrupted`."""
        if self.number:
            raise Interrupted
        self.immediate = True
        try:
            yield
        finally:
            self.immediate = False


class Interrupted(Exception):
    """Work that changes nothing was ended by a signal."""


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
