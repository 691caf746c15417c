"""What goes wrong with the machine is one sentence that says what to do."""

import errno
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from scapnet.data.loaders import check_open_files
from scapnet.terminal import hints
from scapnet.terminal.faults import machine_fault

pytestmark = pytest.mark.untraced

SHM = "unable to allocate shared memory(shm) for file </torch_24323_259868757_0>: No space left on device (28)"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "x.json"), "the disk is full"),
        (RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 21248 vs 21136"), "the disk is full"),
        (Exception("Error while serializing: I/O error: No space left on device (os error 28)"), "the disk is full"),
        (RuntimeError(SHM), "--data.workers 0, or give the container more with --shm-size"),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Bus error."), "/dev/shm"),
        (RuntimeError("DataLoader worker (pid(s) 7) exited unexpectedly"), "loader process was killed"),
        (OSError(errno.EMFILE, "Too many open files"), "ulimit -n"),
        (MemoryError(), "memory ran out"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), "--train.batch-size"),
    ],
)
def test_each_fault_has_its_sentence(error: Exception, words: str) -> None:
    said = machine_fault(error)
    assert said is not None
    assert words in said
    assert "\n" not in said


def test_the_cause_of_an_error_counts_and_other_errors_have_no_sentence() -> None:
    error = RuntimeError("writing failed")
    error.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    assert "disk is full" in str(machine_fault(error))
    assert machine_fault(ValueError("grid of 9 does not fit")) is None
    assert machine_fault(KeyError("x")) is None


def test_the_option_is_one_that_the_command_has() -> None:
    with hints.command(["eval", "run"]):
        assert "--workers 0" in str(machine_fault(RuntimeError(SHM)))


def test_a_low_limit_on_open_files_is_raised_or_refused() -> None:
    code = (
        "import resource; from scapnet.data.loaders import check_open_files\n"
        "for hard in (200, 40):\n"
        "    resource.setrlimit(resource.RLIMIT_NOFILE, (40, hard))\n"
        "    try: check_open_files(2)\n"
        "    except ValueError as error: print(error)\n"
        "    else: print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    raised, refused = done.stdout.splitlines()
    assert raised == "200"
    assert refused.startswith("only 40 files may be open")
    assert "--data.workers 0" in refused
    check_open_files(0)
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 40


def test_a_killed_loader_process_ends_the_command_with_a_sentence(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from scapnet import cli; from scapnet.data.synthetic.finches import Finches\n"
        "main = os.getpid()\n"
        "def kill(self, index):\n"
        "    assert os.getpid() != main; os.kill(os.getpid(), signal.SIGKILL)\n"
        "Finches.__getitem__ = kill; cli.main()"
    )
    flags = "--data.size 64 --data.resize 64 --model.network plain --data.workers 1 --data.synthetic.train-length 64"
    arguments = ["train", "demo", *flags.split(), "--out", str(tmp_path / "run")]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "loader process was killed" in done.stderr.splitlines()[-1]
