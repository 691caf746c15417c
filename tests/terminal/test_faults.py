"""What goes wrong with the machine is one sentence that says what to do."""

import errno
import os
import resource
import signal
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from scapnet import cli
from scapnet.data.loaders import check_open_files
from scapnet.data.synthetic.finches import Finches
from scapnet.terminal import hints
from scapnet.terminal.faults import machine_fault

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


def said_with_few_files(hard: int) -> str:
    """The limit on open files that two loader processes get, or why they are refused."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (40, hard))
    try:
        check_open_files(2)
    except ValueError as error:
        return str(error)
    return str(resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def test_a_low_limit_on_open_files_is_raised_or_refused() -> None:
    ours, theirs = os.pipe()
    child = os.fork()  # which a hard limit stays with; a new process would import torch first
    if not child:
        try:
            os.write(theirs, "\n".join(map(said_with_few_files, (200, 40))).encode())
        finally:
            os._exit(0)
    os.close(theirs)
    with open(ours, encoding="utf-8") as said:
        raised, refused = said.read().splitlines()
    os.waitpid(child, 0)
    assert raised == "200"
    assert refused.startswith("only 40 files may be open")
    assert "--data.workers 0" in refused
    check_open_files(0)
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 40


def test_a_killed_loader_process_ends_the_command_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    main = os.getpid()

    def kill(*_: object) -> NoReturn:
        assert os.getpid() != main
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    monkeypatch.setattr(Finches, "__getitem__", kill)
    flags = "--data.size 64 --data.resize 64 --model.network plain --data.workers 1 --data.synthetic.train-length 64"
    arguments = ["scapnet", "train", "demo", *flags.split(), "--out", str(tmp_path / "run")]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as stop:
        cli.main()
    said = capsys.readouterr().err
    assert stop.value.code == 2
    assert "Traceback" not in said
    assert "loader process was killed" in said.splitlines()[-1]
