"""Training runs that are killed again and again at random moments, and resumed each time until they are finished.

    python benchmarks/kill_storm.py --kills 60 --out results/kill-storm

A run of one process and a run of two (gloo) of a tiny network are trained once without a kill. Then further runs are
sent SIGKILL, SIGTERM or SIGINT after a random time, to one process or to all of them, and go on with `scapnet resume`.
A finished run must have the same model, best model, answers, scores and log, to the byte but for times and speeds. Each
attempt is a fork of this process, so that the kills also meet a run's first and last moments and not only imports.
"""

import argparse
import contextlib
import json
import os
import random
import re
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import scapnet.training.train  # noqa: F401  imported once here, for all attempts
from scapnet import cli
from scapnet.experiments.environment import environment

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
ALONE, GRACE = 8.0, 20.0  # seconds that a killed run has to end on its own, and after the launcher's SIGTERM
FILES = ("model/model.safetensors", "best/model.safetensors", "answers.safetensors")


def photos(root: Path) -> Path:
    """24 training and 6 validation photos of noise, of three classes."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 8), ("val", 2)):
        for name in "abc":
            (root / split / name).mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(0, 255, (40, 40, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / split / name / f"{i}.png")
    return root


def training(root: Path, run: Path, processes: int, epochs: int) -> list[str]:
    """The command that begins a run: six steps of 8 images to an epoch pair, with two stages and a moving average."""
    settings = {
        "data.name": "folder",
        "data.root": root,
        "data.size": 64,
        "data.resize": 72,
        "data.val-fraction": 0,
        "data.workers": 1 if processes == 1 else 0,
        "model.weights": "none",
        "model.parts.size": 32,
        "train.epochs": epochs,
        "train.stage1-epochs": 2,
        "train.batch-size": 8 // processes,
        "train.ema": 0.5,
        "train.log-every": 1,
        "train.checkpoint-steps": 2,
    }
    flags = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
    return ["train", "demo", *flags, "--out", str(run)]


class Attempt:
    """The processes of one command.

    Args:
        words: the command.
        processes: how many.
        output: a file that gets what they print.
    """

    def __init__(self, words: list[str], processes: int, output: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.ids = [self._fork(words, rank, processes, port, output) for rank in range(processes)]
        self.codes: dict[int, int] = {}

    @staticmethod
    def _fork(words: list[str], rank: int, processes: int, port: int, output: Path) -> int:
        child = os.fork()
        if child:
            return child
        os.setpgid(0, 0)  # with its loader processes
        if processes > 1:
            place: dict[str, object] = {
                "RANK": rank,
                "LOCAL_RANK": rank,
                "WORLD_SIZE": processes,
                "LOCAL_WORLD_SIZE": processes,
            }
            place |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
            os.environ |= {key: str(value) for key, value in place.items()}
        file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, 1)
        os.dup2(file, 2)
        sys.argv = ["scapnet", *words]
        code = 1
        try:
            cli.main()
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", flush=True)
        os._exit(code)

    def poll(self) -> bool:
        """Whether all processes have ended."""
        for process in self.ids:
            if process not in self.codes:
                found, status = os.waitpid(process, os.WNOHANG)
                if found:
                    self.codes[process] = os.waitstatus_to_exitcode(status)
        return len(self.codes) == len(self.ids)

    def wait(self, seconds: float) -> bool:
        """Wait for all processes to end; whether they have."""
        until = time.monotonic() + seconds
        while not self.poll():
            if time.monotonic() > until:
                return False
            time.sleep(0.005)
        return True

    def send(self, number: signal.Signals, processes: list[int]) -> None:
        """Send a signal."""
        for process in processes:
            if process not in self.codes:
                os.kill(process, number)

    def left_behind(self, seconds: float = 10.0) -> bool:
        """Whether loader processes are still there after a while; they are ended then."""
        until = time.monotonic() + seconds
        for process in self.ids:
            while _group_exists(process):
                if time.monotonic() > until:
                    os.killpg(process, signal.SIGKILL)
                    return True
                time.sleep(0.02)
        return False


def _group_exists(process: int) -> bool:
    try:
        os.killpg(process, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def state(run: Path) -> dict[str, Any]:
    """What must be equal: the bytes of the models and answers, and the log and the scores without times."""
    found: dict[str, Any] = {name: (run / name).read_bytes() for name in FILES}
    log = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    found["log.jsonl"] = [{k: v for k, v in line.items() if k != "images_per_second"} for line in log]
    result = json.loads((run / "results.json").read_text(encoding="utf-8"))
    found["results.json"] = {k: v for k, v in result.items() if k != "train_seconds"}
    return found


def storm(work: Path, processes: int, kills: int, epochs: int, rng: random.Random) -> dict[str, Any]:
    """Kill runs until there were enough kills, and compare every finished one with a run that was left alone."""
    whole, output = work / f"whole-{processes}", work / f"output-{processes}.txt"
    root = photos(work / f"photos-{processes}")
    started = time.monotonic()
    alone = Attempt(training(root, whole, processes, epochs), processes, output)
    assert alone.wait(600), "the run without kills does not end"
    assert set(alone.codes.values()) == {0}, output.read_text(encoding="utf-8")
    longest = 0.25 * (time.monotonic() - started)
    expected = state(whole)
    names = "kills", "runs", "equal", "before_the_folder", "ended_first", "needed_the_launcher", "did_not_end", "left"
    counts = dict.fromkeys(names, 0)
    counts |= {number.name: 0 for number in SIGNALS}
    faults, codes = list[str](), dict[str, int]()
    while counts["kills"] < kills:
        run = work / f"run-{processes}-{counts['runs']}"
        counts["runs"] += 1
        done, quiet = False, False
        while not done:
            there = (run / "config.json").exists()
            words = ["resume", str(run)] if there else training(root, run, processes, epochs)
            output.unlink(missing_ok=True)
            attempt = Attempt(words, processes, output)
            if quiet or attempt.wait(rng.uniform(0, longest)):
                done = attempt.wait(600) and set(attempt.codes.values()) == {0}
                if not done:
                    faults.append(f"{words[0]} failed: {output.read_text(encoding='utf-8', errors='replace')[-500:]}")
                    break
                counts["ended_first"] += not quiet
                continue
            number = rng.choice(SIGNALS)
            chosen = attempt.ids if rng.random() < 0.5 else [rng.choice(attempt.ids)]
            attempt.send(number, chosen)
            counts["kills"] += 1
            counts[number.name] += 1
            counts["before_the_folder"] += not there
            if not attempt.wait(ALONE):  # as torchrun does when one of its processes has ended
                counts["needed_the_launcher"] += 1
                attempt.send(signal.SIGTERM, attempt.ids)
            if not attempt.wait(GRACE):
                counts["did_not_end"] += 1
                attempt.send(signal.SIGKILL, attempt.ids)
                attempt.wait(GRACE)
            counts["left"] += attempt.left_behind()
            for process in chosen:
                key = f"{number.name} {attempt.codes[process]}"
                codes[key] = codes.get(key, 0) + 1
            said = output.read_text(encoding="utf-8", errors="replace")
            if number != signal.SIGKILL and "Traceback" in said and processes == 1:
                # Files are named from their package on: a result holds no machine's own path.
                shown = re.sub(r'File "[^"]*?(site-packages|src)/', 'File "', said)
                faults.append(f"a traceback after {number.name}: {shown[-300:]}")
            quiet = counts["kills"] >= kills  # let the last run finish
        if done:
            found = state(run)
            wrong = [name for name in expected if found[name] != expected[name]]
            counts["equal"] += not wrong
            faults += [f"run {counts['runs']} differs in {', '.join(wrong)}"] if wrong else []
        print(json.dumps({"processes": processes, **counts}), flush=True)
    return {"processes": processes, "epochs": epochs, **counts, "exit_codes": codes, "faults": faults}


def main() -> None:
    """Do both storms and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("results/kill-storm"))
    parser.add_argument("--kills", type=int, default=60, help="for each number of processes")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    rng, rows = random.Random(options.seed), []
    with tempfile.TemporaryDirectory() as name:
        for processes in options.processes:
            rows.append(storm(Path(name), processes, options.kills, options.epochs, rng))
    head = environment(f"python benchmarks/kill_storm.py --kills {options.kills} --seed {options.seed}")
    with contextlib.suppress(FileNotFoundError):
        options.out.with_suffix(".json").unlink()
    options.out.with_suffix(".json").write_text(json.dumps({**head, "rows": rows}, indent=2) + "\n", encoding="utf-8")
    lines = [
        "# Runs that are killed and resumed",
        "",
        f"`{head['command']}`, {head['hardware']}, commit {head['commit']}, torch {head['torch']}: a tiny network",
        "trained by one process (with a loader process) or by two, sent SIGKILL, SIGTERM or SIGINT at random moments",
        "and resumed each time. Equal: the model, the best model and the answers have the same bytes as those of a run",
        "that was never killed, and the log and the scores the same values but for times.",
        "",
        "| processes | kills | SIGKILL, SIGTERM, SIGINT | before there was a run folder | runs finished | equal "
        "| ended on the launcher's SIGTERM only | needed its SIGKILL | left a process behind |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        by_signal = ", ".join(str(row[number.name]) for number in SIGNALS)
        lines.append(
            f"| {row['processes']} | {row['kills']} | {by_signal} | {row['before_the_folder']} | {row['runs']} "
            f"| {row['equal']} | {row['needed_the_launcher']} | {row['did_not_end']} | {row['left']} |"
        )
    found = [f"- {row['processes']} processes: {fault}" for row in rows for fault in row["faults"]]
    lines += ["", *(found or ["No attempt ended in anything else."])]
    options.out.with_suffix(".md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
