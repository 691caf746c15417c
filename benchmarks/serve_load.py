"""`scapnet serve` under load: eight clients at a time with good, huge, broken and slow requests.

    python benchmarks/serve_load.py --seconds 60 --out results/serve-load

The server runs a network that was trained for a moment, or that of ``--model``. Three clients send photos of many sizes
and formats, one sends photos near the limits and beyond, two send what is no photo, and two hold ten connections each
that trickle their uploads, never end their heads or never read an answer. What must hold: each photo gets the answer of
`scapnet predict`, anything else a status of 4xx and one sentence, memory does not grow, no client waits for another one
for long, and SIGTERM ends the server while the slow ones still hold on.
"""

import argparse
import contextlib
import http.client
import io
import json
import os
import random
import re
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from scapnet.experiments.environment import environment

COMMAND = [sys.executable, "-m", "scapnet"]
HELD = 10  # connections of a slow client
CLOSE = 1e-5  # of probabilities
# Width, height, format and settings of photos that are answered; 7,000 x 7,000 is just below the limit of 50 million.
GOOD: tuple[tuple[int, int, str, dict[str, Any]], ...] = (
    (48, 64, "PNG", {}),
    (200, 150, "JPEG", {}),
    (640, 480, "JPEG", {}),
    (640, 480, "WEBP", {}),
    (800, 1200, "PNG", {}),
    (1600, 1200, "JPEG", {"progressive": True}),
    (3000, 2000, "JPEG", {}),
)
HUGE: tuple[tuple[int, int, str, dict[str, Any]], ...] = (
    (7000, 7000, "JPEG", {}),
    (7000, 7000, "PNG", {}),
    (50_000, 900, "PNG", {}),
)


# --- What is sent ---


def picture(rng: np.random.Generator, label: int, width: int, height: int) -> Image.Image:
    """A coarse pattern in which one colour is a little stronger, so that no answer is certain."""
    pixels = rng.integers(0, 200, (9, 9, 3))
    pixels[..., label] += 40
    return Image.fromarray(pixels.astype(np.uint8)).resize((width, height), Image.Resampling.BILINEAR)


def encoded(photo: Image.Image, kind: str, **options: Any) -> bytes:
    """A photo as a file."""
    file = io.BytesIO()
    photo.save(file, kind, **options)
    return file.getvalue()


def photos(sizes: tuple[Any, ...], copies: int) -> dict[str, bytes]:
    """Photos of these sizes, by the names of their files."""
    rng, found = np.random.default_rng(1), dict[str, bytes]()
    for width, height, kind, options in sizes:
        for i in range(copies):
            content = encoded(picture(rng, len(found) % 3, width, height), kind, **options)
            found[f"{width}x{height}-{i}.{kind.lower()}"] = content
    return found


def png_of(width: int, height: int, rows: int) -> bytes:
    """A PNG that claims a size and holds some rows of zeros."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = zlib.compress(bytes((width + 1) * rows), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def broken(good: dict[str, bytes]) -> dict[str, tuple[int, bytes, dict[str, str]]]:
    """Requests that must be refused: the status, the body and the headers."""
    jpeg, form = good["640x480-0.jpeg"], {"Content-Type": "multipart/form-data; boundary=b"}
    return {
        "JPEG cut in half": (415, jpeg[: len(jpeg) // 2], {}),
        "noise that begins as a JPEG does": (415, jpeg[:20] + random.Random(0).randbytes(5000), {}),
        "text": (415, b"not a photo " * 1000, {}),
        "SVG": (415, b"<svg xmlns='http://www.w3.org/2000/svg'/>", {}),
        "nothing": (400, b"", {}),
        "form cut off": (400, b'--b\r\nContent-Disposition: form-data; name="photo"; filename="a"\r\n\r\nab', form),
        "form without a file": (400, b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n--b--\r\n', form),
        "bomb: a PNG of 900 million pixels": (413, png_of(30_000, 30_000, 1), {}),
        "bomb: a PNG of 49 million pixels, cut off": (415, png_of(7000, 7000, 7000)[:-40], {}),
        "bomb: a PNG of a column": (415, png_of(1, 40_000_000, 1), {}),
    }


def beyond() -> dict[str, tuple[int, bytes, dict[str, str]]]:
    """Photos beyond the limits."""
    return {
        "a JPEG of 64 million pixels": (413, encoded(Image.new("RGB", (8000, 8000)), "JPEG"), {}),
        "an upload of 25 MB": (413, bytes(25_000_000), {}),
    }


# --- The server ---


def trained(folder: Path) -> Path:
    """A network that was trained for a moment on three classes."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 32), ("val", 8)):
        for label, name in enumerate("rgb"):
            (folder / "photos" / split / name).mkdir(parents=True)
            for i in range(count):
                picture(rng, label, 80, 80).save(folder / "photos" / split / name / f"{i}.png")
    settings = {"data.name": "folder", "data.root": folder / "photos", "data.size": 64, "data.resize": 72}
    settings |= {"data.val-fraction": 0, "data.workers": 0, "model.weights": "none", "model.parts.size": 32}
    settings |= {"train.epochs": 4, "train.stage1-epochs": 2, "train.batch-size": 16}
    flags = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
    words: list[str] = [*COMMAND, "train", "demo", *flags, "--out", str(folder / "run")]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    return folder / "run"


def predicted(model: str, files: dict[str, bytes], folder: Path) -> dict[str, dict[str, float]]:
    """The probabilities of all classes that `scapnet predict` gives."""
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    words = [*COMMAND, "predict", model, str(folder), "--top", "1000000", "--out", str(folder.with_suffix(".json"))]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    rows = json.loads(folder.with_suffix(".json").read_text(encoding="utf-8"))
    return {Path(row["path"]).name: dict(zip(row["names"], row["probabilities"], strict=True)) for row in rows}


class Server:
    """`scapnet serve` in a process of its own.

    Args:
        model: what it serves.
        page: serve the page as well.
    """

    def __init__(self, model: str, page: bool) -> None:
        words = [*COMMAND, "serve", model, "--port", "0", *([] if page else ["--no-page"])]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.said, self.memory = list[str](), list[tuple[float, float]]()
        self.port = self._port()
        threading.Thread(target=self._listen, daemon=True).start()
        threading.Thread(target=self._watch, daemon=True).start()

    def _port(self) -> int:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line)
            if found := re.search(r"http://localhost:(\d+)", line):
                break
        else:
            raise RuntimeError("".join(self.said))
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", int(found[1]))):
                return int(found[1])

    def _listen(self) -> None:
        assert self.process.stdout is not None
        self.said.extend(self.process.stdout)

    def _watch(self) -> None:
        status = Path(f"/proc/{self.process.pid}/status")
        while self.process.poll() is None:
            with contextlib.suppress(OSError, StopIteration):
                lines = status.read_text(encoding="utf-8").splitlines()
                kilobytes = next(line.split()[1] for line in lines if line.startswith("VmRSS"))
                self.memory.append((time.monotonic(), int(kilobytes) / 1000))
            time.sleep(0.1)

    def peak(self, start: float, end: float) -> float:
        """The largest resident set between two moments, in MB."""
        return max(size for moment, size in self.memory if start <= moment <= end)

    def cpu(self) -> float:
        """Seconds of processors that it has taken."""
        words = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def files(self) -> int:
        """How many files and sockets are open."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def end(self) -> tuple[int, float]:
        """Send SIGTERM; the exit status and the seconds that it took."""
        start = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(120)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        return self.process.returncode, time.monotonic() - start


# --- The clients ---


@dataclass
class Told:
    """What a client saw."""

    waits: list[float] = field(default_factory=list)  # seconds until an answer
    statuses: Counter[int] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    largest: float = 0.0  # difference from the probabilities of `scapnet predict`
    lives: list[float] = field(default_factory=list)  # seconds until the server closed a connection that was held

    def sent(self, port: int, body: bytes, headers: dict[str, str], query: str = "") -> tuple[int, Any]:
        """Send a photo; the status and the JSON of the answer."""
        start = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        try:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the answer came before the body ended
                connection.request("POST", f"/predict{query}", body, headers)
            answer = connection.getresponse()
            found = answer.status, json.loads(answer.read())
        finally:
            connection.close()
        self.waits.append(time.monotonic() - start)
        self.statuses[found[0]] += 1
        return found

    def photo(self, port: int, name: str, body: bytes, expected: dict[str, float], form: bool) -> None:
        """Send a photo that must be answered as `scapnet predict` does."""
        headers = {"Content-Type": "multipart/form-data; boundary=frontier"} if form else {}
        if form:
            head = b'--frontier\r\nContent-Disposition: form-data; name="photo"; filename="a"\r\n\r\n'
            body = head + body + b"\r\n--frontier--\r\n"
        status, answer = self.sent(port, body, headers, "?top=1000000")
        if status != 200:
            self.faults.append(f"{name}: {status}, {answer}")
            return
        found = dict(zip(answer["names"], answer["probabilities"], strict=True))
        differs = max(abs(found[key] - value) for key, value in expected.items())
        self.largest = max(self.largest, differs)
        if answer["names"][0] != max(expected, key=lambda key: expected[key]) or differs > CLOSE:
            self.faults.append(f"{name}: {found}, not {expected}")

    def refused(self, port: int, name: str, status: int, body: bytes, headers: dict[str, str]) -> None:
        """Send what must be refused with one sentence."""
        found, answer = self.sent(port, body, headers)
        sentence = answer.get("detail")
        if found != status or not isinstance(sentence, str) or "\n" in sentence or not 10 < len(sentence) < 300:
            self.faults.append(f"{name}: {found}, {answer}")

    def held(self, port: int, way: str, going: Callable[[], bool]) -> None:
        """Hold a connection for as long as the server keeps it."""
        start = time.monotonic()
        head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\n"
        first = {
            "a trickle": head + b"Content-Length: 1000000\r\n\r\n",
            "half a head": head,
            "answers that nobody reads": b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2000,
        }[way]
        with contextlib.suppress(OSError), socket.socket() as held:
            held.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            held.connect(("127.0.0.1", port))
            held.settimeout(0.5)
            with contextlib.suppress(TimeoutError):  # the server stopped reading
                held.sendall(first)
            while True:
                if way == "answers that nobody reads":
                    time.sleep(0.5)
                    if held.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1) != b"\x01":
                        break  # it is not established any more
                    continue
                with contextlib.suppress(TimeoutError):
                    if way == "a trickle":
                        held.sendall(b"x")
                    if not held.recv(4096):
                        break
        if going():
            self.lives.append(time.monotonic() - start)


def good_client(
    told: Told, port: int, files: dict[str, bytes], answers: dict[str, Any], form: bool, going: Any
) -> None:
    """Send photos one after the other."""
    rng, names = random.Random(0), list(files)
    while going():
        rng.shuffle(names)
        for name in names:
            if going():
                told.photo(port, name, files[name], answers[name], form)


def bad_client(told: Told, port: int, bad: dict[str, tuple[int, bytes, dict[str, str]]], going: Any) -> None:
    """Send what is refused, one after the other, a few each second."""
    while going():
        for name, (status, body, headers) in bad.items():
            if going():
                told.refused(port, name, status, body, headers)
                time.sleep(0.05)


def huge_client(told: Told, port: int, files: dict[str, bytes], answers: dict[str, Any], going: Any) -> None:
    """Send photos near the limits and beyond."""
    over = beyond()
    while going():
        for name in files:
            if going():
                told.photo(port, name, files[name], answers[name], False)
        for name, (status, body, headers) in over.items():
            if going():
                told.refused(port, name, status, body, headers)


def slow_client(told: dict[str, Told], port: int, going: Any) -> None:
    """Hold ten connections at a time, of each way some."""
    ways = [list(told)[i % len(told)] for i in range(HELD)]

    def hold(way: str) -> None:
        while going():
            told[way].held(port, way, going)

    holders = [threading.Thread(target=hold, args=(way,), daemon=True) for way in ways]
    for one in holders:
        one.start()
    for one in holders:
        one.join()


# --- The measurement ---


def until(seconds: float) -> Callable[[], bool]:
    """Whether so many seconds from now have not passed yet."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() < end


def load(server: Server, seconds: float, good: Any, huge: Any, calm: Told) -> dict[str, Any]:
    """Run all clients for some seconds, and end the server."""
    port = server.port
    going = until(5)  # alone, to compare the waits with
    good_client(calm, port, good[0], good[1], False, going)
    told = {f"good {i}": Told() for i in (1, 2, 3)} | {"huge": Told(), "broken 1": Told(), "broken 2": Told()}
    slow = {way: Told() for way in ("a trickle", "half a head", "answers that nobody reads")}
    bad = broken(good[0])
    work: list[tuple[Any, ...]] = [(good_client, told[f"good {i}"], port, *good, i == 2) for i in (1, 2, 3)]
    work += [(huge_client, told["huge"], port, *huge)]
    work += [(bad_client, told[f"broken {i}"], port, bad) for i in (1, 2)]
    work += [(slow_client, slow, port), (slow_client, slow, port)]
    start, going, spent = time.monotonic(), until(seconds), server.cpu()
    faults = list[str]()

    def run(call: Any, *arguments: Any) -> None:
        try:
            call(*arguments)
        except Exception as error:
            faults.append(f"{call.__name__}: {type(error).__name__}: {error}")

    threads = [threading.Thread(target=run, args=(*one, going), daemon=True) for one in work]
    for thread in threads:
        thread.start()
    for thread, one in zip(threads, work, strict=True):
        if one[0] is not slow_client:  # these hold on until the server has ended
            thread.join()
    end = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/health")
    health = connection.getresponse().status
    connection.close()
    files, spent = server.files(), server.cpu() - spent
    code, took = server.end()
    half = (start + end) / 2
    memory = {"first_half": server.peak(start, half), "second_half": server.peak(half, end)}
    memory |= {"before": server.peak(start - 1, start)}
    faults += [fault for one in [calm, *told.values(), *slow.values()] for fault in one.faults]
    return {
        "seconds": round(end - start, 1),
        "cpu_seconds": round(spent, 1),
        "others": round(os.getloadavg()[0], 1),
        "clients": {name: summary(one) for name, one in told.items()},
        "alone": summary(calm),
        "held": {
            way: {"closed": len(one.lives), "longest": round(max(one.lives, default=0.0), 1)}
            for way, one in slow.items()
        },
        "memory_mb": memory,
        "open_files": files,
        "health": health,
        "exit": code,
        "seconds_to_end": round(took, 2),
        "said": [line for line in server.said if line.startswith(("ERROR", "WARNING"))][:20],
        "faults": faults,
    }


def summary(told: Told) -> dict[str, Any]:
    """A client's counts and waits."""
    waits = sorted(told.waits) or [0.0]
    return {
        "answers": len(told.waits),
        "statuses": {str(key): count for key, count in sorted(told.statuses.items())},
        "median_s": round(statistics.median(waits), 3),
        "p99_s": round(waits[int(0.99 * (len(waits) - 1))], 3),
        "longest_s": round(waits[-1], 3),
        "largest_difference": told.largest,
        "wrong": len(told.faults),
    }


def page(head: dict[str, Any], found: dict[str, Any]) -> str:
    """The result as a page."""
    memory, good = found["memory_mb"], [one for name, one in found["clients"].items() if name.startswith("good")]
    share = min(one["answers"] for one in good) / max(one["answers"] for one in good)
    lines = [
        "# The server under load",
        "",
        f"`{head['command']}`, {head['hardware']}, commit {head['commit']}, torch {head['torch']}: `scapnet serve`",
        "with a tiny network and its usual limits, and eight clients at a time, each of which sends its next request",
        "when it has an answer. Right is the first class of `scapnet predict` and probabilities within 1e-5 of it, or",
        "for what is no photo the status 4xx that is due and one sentence. The slow clients hold ten connections each.",
        "",
        "| client | answers | by status | wrong | median wait, s | 99% within, s | longest, s |",
        "|---|---|---|---|---|---|---|",
    ]
    rows = {"a good one, before the others came": found["alone"], **found["clients"]}
    for name, one in rows.items():
        statuses = ", ".join(f"{count} x {status}" for status, count in one["statuses"].items())
        lines.append(
            f"| {name} | {one['answers']} | {statuses} | {one['wrong']} | {one['median_s']} | {one['p99_s']} "
            f"| {one['longest_s']} |"
        )
    lines += ["", "| held by a slow client | closed by the server | longest held, s |", "|---|---|---|"]
    lines += [f"| {way} | {one['closed']} | {one['longest']:.1f} |" for way, one in found["held"].items()]
    differs = max(one["largest_difference"] for one in found["clients"].values())
    lines += [
        "",
        f"- The server had {found['cpu_seconds']} seconds of the processor within {found['seconds']} s; the load "
        f"average of the machine was {found['others']}.",
        f"- Largest difference of a probability from `scapnet predict`: {differs:.1e}.",
        f"- The good client with the fewest answers has {share:.0%} of those of the one with the most.",
        f"- Memory (resident set): {memory['before']:.0f} MB before, at most {memory['first_half']:.0f} MB in the "
        f"first half and {memory['second_half']:.0f} MB in the second.",
        f"- At the end `/health` gives {found['health']}, {found['open_files']} files and sockets are open, and "
        f"SIGTERM ends the server within {found['seconds_to_end']:.1f} s (exit status {found['exit']}) while the "
        "slow clients hold on.",
    ]
    faults = found["faults"]
    lines += ["", *(f"- {fault}" for fault in faults[:20])] if faults else ["", "Nothing was answered wrong."]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Load a server and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("results/serve-load"))
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--model", help="a run or model folder; by default one is trained")
    parser.add_argument("--page", action="store_true", help="serve the page as well")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = options.model or str(trained(folder))
        good, huge = photos(GOOD, 3), photos(HUGE, 1)
        answers = predicted(model, good | huge, folder / "sent")
        server = Server(model, options.page)
        try:
            found = load(server, options.seconds, (good, answers), (huge, answers), Told())
        finally:
            server.process.kill()
    head = environment(f"python benchmarks/serve_load.py --seconds {options.seconds:g}" + " --page" * options.page)
    firsts = [max(answer.values()) for answer in answers.values()]
    found["first_probability"] = [min(firsts), max(firsts)]
    options.out.with_suffix(".json").write_text(json.dumps({**head, **found}, indent=2) + "\n", encoding="utf-8")
    options.out.with_suffix(".md").write_text(page(head, found), encoding="utf-8")
    print(page(head, found))


if __name__ == "__main__":
    main()
