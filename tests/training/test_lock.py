"""One process works on a run folder."""

import subprocess
import sys
from pathlib import Path

import pytest
from accelerate import Accelerator

from samples import own_photos
from scapnet.training.lock import run_lock
from scapnet.training.run import Run
from scapnet.training.train import resume

HOLD = """
import sys, time
from pathlib import Path
from accelerate import Accelerator
from scapnet.training.lock import run_lock
with run_lock(Path(sys.argv[1]), Accelerator()):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_run_that_another_process_works_on_is_refused(tmp_path: Path) -> None:
    Run(own_photos(tmp_path / "data", epochs=1, stage1_epochs=0), tmp_path / "run")
    command = [sys.executable, "-c", HOLD, str(tmp_path / "run")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(ValueError, match=rf"in use by process {other.pid} on "):
            resume(tmp_path / "run")
        other.kill()  # the lock goes with its process
    assert (resume(tmp_path / "run") / "results.json").exists()


def test_a_lock_is_released(tmp_path: Path) -> None:
    for _ in range(2):
        with run_lock(tmp_path, Accelerator()):
            assert (tmp_path / ".lock-holder").exists()
    assert not (tmp_path / ".lock-holder").exists()
