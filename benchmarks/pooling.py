"""How much each branch should count in the answer: other ways than the mean of both softmax outputs, on saved answers.

    python benchmarks/pooling.py results/pooling RUN [RUN ...]

Each way is fitted to one half of the photos that a run was scored on and judged on the other half, ROUNDS times both
ways round; and the pool once more to a few photos only, judged on all others. Runs whose answer is the mean of both
branches need not have kept the parts' answers.

n photos, K classes.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from scipy.optimize import minimize
from torch import Tensor

from scapnet.experiments.cascade import pooled
from scapnet.experiments.environment import environment
from scapnet.experiments.stats import difference
from scapnet.metrics.calibration import calibration_error
from scapnet.metrics.pooling import pool_weights
from scapnet.modules.fusion import fused_answer

ROUNDS = 15
FEW = (30, 100, 300)
Way = Callable[[Tensor, Tensor, Tensor], Tensor]  # its numbers, log main (n, K) and log parts (n, K) to answers (n, K)
WAYS: dict[str, tuple[Way, tuple[float, ...]]] = {  # with the numbers from which its fit starts
    "a weight": (lambda v, a, b: (1 - v[0].sigmoid()) * a.exp() + v[0].sigmoid() * b.exp(), (0.0,)),
    "temperatures, then the mean": (
        lambda v, a, b: ((a * v[0].exp()).softmax(1) + (b * v[1].exp()).softmax(1)) / 2,
        (0.0, 0.0),
    ),
    "weights of both branches' logits": (lambda v, a, b: (a * v[0].exp() + b * v[1].exp()).softmax(1), (-0.7, -0.7)),
}


def fitted(way: Way, start: tuple[float, ...], target: Tensor, main: Tensor, parts: Tensor) -> Tensor:
    """The numbers of a way with the likeliest labels."""

    def objective(given: np.ndarray) -> tuple[float, np.ndarray]:
        numbers = torch.from_numpy(given).requires_grad_()
        answer = way(numbers, main, parts).clamp(min=1e-12).log()
        loss = torch.nn.functional.nll_loss(answer, target)
        (slope,) = torch.autograd.grad(loss, numbers)
        return float(loss.detach()), slope.numpy()

    return torch.from_numpy(minimize(objective, np.array(start), jac=True, method="L-BFGS-B").x)


def right(answer: Tensor, target: Tensor) -> float:
    """Accuracy in percent."""
    return float((answer.argmax(1) == target).double().mean()) * 100


def measured(run: Path) -> dict[str, Any]:
    """A run's row."""
    tensors = load_file(run / "answers.safetensors")
    target, samples, main = tensors["target"], tensors["samples"], tensors["main"].double()
    parts = tensors.get("parts", 2 * tensors["probs"] - tensors["main"]).double()
    main, parts = (answer.clamp(min=1e-9) for answer in (main, parts))
    logs, generator = (main.log(), parts.log()), torch.Generator().manual_seed(0)
    mean, ours = (main + parts) / 2, pooled(samples, target, main.float(), parts.float())
    found: dict[str, Any] = {"run": run.name, "photos": len(target)}
    found |= {"main": right(main, target), "parts": right(parts, target), "mean": right(mean, target)}
    halves: dict[str, list[float]] = {name: [] for name in WAYS}
    few: dict[int, list[float]] = {count: [] for count in FEW}
    for _ in range(ROUNDS):
        order = torch.randperm(len(target), generator=generator)
        for mine in (order[: len(order) // 2], order[len(order) // 2 :]):
            other = order[~torch.isin(order, mine)]
            for name, (way, start) in WAYS.items():
                numbers = fitted(way, start, target[mine], logs[0][mine], logs[1][mine])
                halves[name].append(right(way(numbers, logs[0][other], logs[1][other]), target[other]))
        for count in FEW:
            mine, other = order[:count], order[count:]
            weights = pool_weights(target[mine], main[mine], parts[mine])
            answer = mean if weights is None else fused_answer(logs[0], logs[1][:, None], weights)
            few[count].append(right(answer[other], target[other]) - right(mean[other], target[other]))
    gain = difference(*(((answer.argmax(1) == target).double() * 100).tolist() for answer in (ours, mean)))
    found |= {name: fmean(values) for name, values in halves.items()}
    found |= {f"{count} photos": [fmean(values), min(values)] for count, values in few.items()}
    found |= {"pool": right(ours, target), "gain": [gain.mean, gain.low, gain.high]}
    found["calibration error"] = [calibration_error(target, answer) for answer in (mean, ours)]
    return found


def page(rows: list[dict[str, Any]], about: dict[str, Any]) -> str:
    """The results as Markdown."""
    columns = ("main", "parts", "mean", *WAYS)
    lines = ["# How much each branch should count", "", f"`{about['command']}`", ""]
    lines += [
        f"At commit {about['commit']}, on {about['hardware']}. Accuracy in percent. Each way was fitted to half of"
    ]
    lines += [f"the photos and judged on the other half, {ROUNDS} times both ways round; the mean is the paper's.", ""]
    lines += [f"| run | photos | {' | '.join(columns)} |", "|" + "---|" * (2 + len(columns))]
    lines += [f"| {r['run']} | {r['photos']} | {' | '.join(f'{r[c]:.1f}' for c in columns)} |" for r in rows]
    lines += [
        "",
        "Weights of both branches' logits, set on the photos with even numbers for those with odd ones and the",
    ]
    lines += ["reverse, against the mean, in points, with the 95% interval over photos and the calibration errors of"]
    lines += ["both; and set on a few photos, the change on all others: its mean over the rounds, and the worst.", ""]
    few = [f"{count} photos" for count in FEW]
    lines += [
        f"| run | mean | weighed | change | calibration error | {' | '.join(few)} |",
        "|" + "---|" * (5 + len(few)),
    ]
    for r in rows:
        mean, low, high = r["gain"]
        cells = [r["run"], f"{r['mean']:.1f}", f"{r['pool']:.1f}", f"{mean:+.1f} ({low:+.1f} to {high:+.1f})"]
        cells += ["{:.3f}, {:.3f}".format(*r["calibration error"])]
        lines += [f"| {' | '.join([*cells, *('{:+.1f}, {:+.1f}'.format(*r[key]) for key in few)])} |"]
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path, help="of OUT.md and OUT.json")
    parser.add_argument("runs", type=Path, nargs="+")
    arguments = parser.parse_args()
    command = f"python benchmarks/pooling.py {arguments.out} {' '.join(run.name for run in arguments.runs)}"
    rows, about = [measured(run) for run in arguments.runs], environment(command)
    arguments.out.with_suffix(".md").write_text(page(rows, about))
    arguments.out.with_suffix(".json").write_text(json.dumps({**about, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
