"""Means over the training steps between two lines of the log."""

import time

import torch
from accelerate import Accelerator
from torch import Tensor

from scapnet.data.transforms import Views
from scapnet.network import NetworkOutput
from scapnet.terminal.console import ProgressBar

TERMS = ("loss", "cls", "act", "con", "sub", "distill", "success", "cam")


class Meter:
    """Sums over the steps between two lines of the log; they stay on the device until the means are needed."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.broken: list[Tensor] = []
        self.steps, self.images, self.started = 0, 0, time.monotonic()

    def add(self, terms: dict[str, Tensor], output: NetworkOutput, batch: Views) -> None:
        """Count one step."""
        target = batch["target"]
        values = {key: value.detach() for key, value in terms.items()}
        values["accuracy"] = (output.probs.argmax(1) == target).float().mean()
        if output.gate is not None:
            values["kept"] = output.gate.mask.detach().mean()
        for key, value in values.items():
            self.sums[key] = self.sums.get(key, torch.zeros_like(value)) + value
        self.broken.append(torch.where(batch["broken"], batch["index"], -1))
        self.steps += 1
        self.images += len(target)

    def means(self, accelerator: Accelerator) -> dict[str, float]:
        """Means over the steps and all processes, which have batches of one size."""
        sums = torch.stack([value.float() for value in self.sums.values()])
        totals: list[float] = accelerator.reduce(sums, "mean").tolist()
        return {key: total / self.steps for key, total in zip(self.sums, totals, strict=True)}

    def broken_indices(self) -> Tensor:
        """(n,) index of each unreadable image, -1 for the others; n is the same on every process."""
        return torch.cat(self.broken)

    def speed(self) -> float:
        """Images per second."""
        return self.images / max(time.monotonic() - self.started, 1e-9)


def show_step(bar: ProgressBar, head: str, line: dict[str, float], last: bool) -> None:
    """Show the means of the last steps; without a terminal, a plain line after the ``last`` ones of an epoch."""
    terms = " ".join(f"{key} {line[key]:.3f}" for key in TERMS if key in line)
    kept = f" kept {line['kept']:.0%}" if "kept" in line else ""
    text = f"{head} {terms} acc {line['accuracy']:.1%}{kept}"
    bar.describe(text)
    if last and not bar.live:
        bar.note(f"{text} {line['images_per_second']:.0f} images/s")
