"""One, two and four processes (gloo, on a CPU) beside each other: losses, images, scores, and a run that changes over.

    python benchmarks/processes.py --out results/processes

The same run of a tiny network, with eight images in each step, synchronised batch norm and no noise in the network, is
trained by one process, two and four; and begun by four, killed, continued by two, killed, and finished by one. Each
process is a fork of this one.
"""

import argparse
import contextlib
import json
import os
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from kill_storm import photos  # type: ignore[import-not-found]  # the script beside this one

from scapnet.build import build_model
from scapnet.config import Config, DataConfig, GateConfig, LossConfig, ModelConfig, PartsConfig, TrainConfig, ViewConfig
from scapnet.data.loaders import eval_loader
from scapnet.data.synthetic.finches import Finches
from scapnet.devices import make_accelerator
from scapnet.evaluate import evaluate_model
from scapnet.experiments.environment import environment
from scapnet.terminal.console import ProgressBar
from scapnet.training import loop
from scapnet.training.run import Run
from scapnet.training.train import resume, train

STEP = 8  # images
SIZES = (1, 2, 3, 5, 7, 13, 30)  # of the splits that are scored


class Killed(Exception):
    """What stands for a kill."""


def config_of(root: Path, processes: int) -> Config:
    """Four epochs of three steps, with two stages."""
    return Config(
        "demo",
        DataConfig("folder", root, size=64, resize=72, workers=0, val_fraction=0.0),
        ModelConfig("test_resnet", "none", gate=GateConfig(open=1.5, noise=False), parts=PartsConfig(size=32)),
        LossConfig(act_ramp=(0.0, 1.0)),
        TrainConfig(
            epochs=4,
            stage1_epochs=1,
            batch_size=STEP // processes,
            clip=5.0,
            log_every=1,
            checkpoint_steps=1,
            sync_bn=True,
        ),
    )


def on_processes(count: int, work: Callable[[int], Any]) -> list[Any]:
    """What a function of the rank returns on each of several forked processes, as JSON."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = []
    for rank in range(count):
        receive, send = os.pipe()
        child = os.fork()
        if not child:
            if count > 1:
                place: dict[str, object] = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count}
                place |= {"LOCAL_WORLD_SIZE": count, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
                os.environ |= {key: str(value) for key, value in place.items()}
            code = 1
            with contextlib.suppress(BrokenPipeError), Path(os.devnull).open("w") as nowhere:
                os.dup2(nowhere.fileno(), 1)
                found = json.dumps(work(rank)).encode()
                with os.fdopen(send, "wb") as file:
                    file.write(found)
                code = 0
            os._exit(code)
        os.close(send)
        children.append((child, receive))
    results = []
    for child, receive in children:
        with os.fdopen(receive, "rb") as file:
            results.append(json.loads(file.read() or b"null"))
        os.waitpid(child, 0)
    assert None not in results, "a process has failed"
    return results


def watched(work: Callable[[], Any]) -> list[Any]:
    """The epoch, the step and the images of each training step of some work."""
    seen, inner = list[Any](), loop.train_step

    def step(run: Run, batch: Any) -> Any:
        seen.append([run.position.epoch, run.position.step, batch["index"].tolist()])
        return inner(run, batch)

    loop.train_step = step
    with contextlib.suppress(Killed):
        work()
    return seen


def killed_after(run: Run, updates: int) -> None:
    """Train a run until a kill before the next update."""
    left = iter(range(updates))

    def kill(*_: object) -> None:
        if next(left, None) is None:
            raise Killed

    run.optimizer.register_step_pre_hook(kill)
    with ProgressBar("work", quiet=True) as bar:
        loop.fit(run, bar)


def scores(rank: int) -> list[Any]:
    """The samples and the scores of splits of several sizes."""
    accelerator, found = make_accelerator(), []
    for size in SIZES:
        torch.manual_seed(0)
        model = build_model(ModelConfig("test_resnet", "none", parts=PartsConfig(size=32)), 4, 64)
        model.view, model.classes = ViewConfig(64, 72), ("a", "b", "c", "d")
        net, loader = accelerator.prepare(model, eval_loader(Finches("test", 4, size, 72), model.view, 2, 0))
        scored = evaluate_model(net, loader, accelerator)
        found.append([scored.samples.tolist(), {key: value for key, value in scored.scores.items() if value == value}])
        accelerator.free_memory()
    return found


def losses(run: Path) -> list[dict[str, float]]:
    """The training lines of a log."""
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if "loss" in line]


def difference(one: list[dict[str, float]], other: list[dict[str, float]]) -> float:
    """The largest relative difference of a loss or a learning rate."""
    assert len(one) == len(other)
    keys = ("loss", "cls", "act", "con", "sub", "lr")
    pairs = [(a[key], b[key]) for a, b in zip(one, other, strict=True) for key in keys if key in a]
    return max(abs(a - b) / max(abs(a), 1e-9) for a, b in pairs)


def joined(ranks: list[list[Any]]) -> list[Any]:
    """The images of each step of all processes together, in the order of the ranks."""
    return [[*steps[0][:2], [image for step in steps for image in step[2]]] for steps in zip(*ranks, strict=True)]


def main() -> None:
    """Compare and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("results/processes"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work, rows = Path(name), list[dict[str, Any]]()
        root = photos(work / "photos")
        expected: list[Any] = []
        for count in (1, 2, 4):
            config, run = config_of(root, count), work / f"run-{count}"
            ranks = on_processes(count, lambda _, c=config, r=run: watched(lambda: train(c, r)))  # type: ignore[misc]
            images, scored = joined(ranks), on_processes(count, scores)
            expected = expected or [losses(run), images, scored[0]]
            worst = max(
                abs(value - one[1].get(key, value))
                for one, other in zip(expected[2], scored[0], strict=True)
                for key, value in other[1].items()
            )
            exact = all(one[0] == other[0] for one, other in zip(expected[2], scored[0], strict=True))
            rows.append({"run": f"{count} processes", "losses": difference(expected[0], losses(run))})
            rows[-1] |= {"same_images": images == expected[1], "same_samples": exact, "scores": worst}
            print(json.dumps(rows[-1]), flush=True)
        run, images = work / "changing", []
        first = config_of(root, 4)
        images += joined(on_processes(4, lambda _: watched(lambda: killed_after(Run(first, run), 4))))[:4]
        images += joined(on_processes(2, lambda _: watched(lambda: killed_after(Run(first, run, resume=True), 3))))[:3]
        images += joined(on_processes(1, lambda _: watched(lambda: resume(run))))
        rows.append(
            {"run": "begun by 4, continued by 2, finished by 1", "losses": difference(expected[0], losses(run))}
        )
        rows[-1]["same_images"] = images == expected[1]
        print(json.dumps(rows[-1]), flush=True)
    head = environment("python benchmarks/processes.py")
    options.out.with_suffix(".json").write_text(json.dumps({**head, "rows": rows}, indent=2) + "\n", encoding="utf-8")
    lines = [
        "# One run on one, two and four processes",
        "",
        f"`{head['command']}`, {head['hardware']}, commit {head['commit']}, torch {head['torch']}, gloo: a tiny",
        "network, 12 steps of 8 images in all, synchronised batch norm, no noise in the network. Beside the run of one",
        "process:",
        "",
        "| run | largest relative difference of a loss | same images in each step | same samples scored once "
        "| largest difference of a score |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        yes = {True: "yes", False: "no", None: ""}
        worst, once = f"{row['scores']:.1e}" if "scores" in row else "", yes[row.get("same_samples")]
        lines.append(f"| {row['run']} | {row['losses']:.1e} | {yes[row['same_images']]} | {once} | {worst} |")
    sizes = ", ".join(map(str, SIZES))
    lines += ["", f"Scores are of an untrained network on splits of {sizes} pictures, two to a batch.", ""]
    options.out.with_suffix(".md").write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
