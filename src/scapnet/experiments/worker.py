"""One run in its own process: ``python -m scapnet.experiments.worker FOLDER CONFIG``.

It continues where an earlier process stopped, and ends with the process that started it.
"""

import os
import sys
import threading
from pathlib import Path

from filelock import FileLock

from scapnet.allocator import keep_memory
from scapnet.checkpoint import read_run
from scapnet.config import Config
from scapnet.errors import reason
from scapnet.experiments.identity import same_settings
from scapnet.jsonfile import read_json
from scapnet.serialization import from_dict
from scapnet.terminal.hints import command
from scapnet.training.train import resume, train


def train_or_resume(folder: Path, config: Config) -> Path:
    """Train a config in a run folder, or continue the run in it.

    Raises:
        ValueError: the folder holds another run.
    """
    if folder.exists() and not (folder / "config.json").exists():
        for draft in folder.glob(".config.json.*draft"):  # the process was killed before it wrote anything
            draft.unlink()
        folder.rmdir()
    if not folder.exists():
        return train(config, folder)
    if not same_settings(read_run(folder), config):
        raise ValueError(f"{folder} holds a run with other settings; move it away, or choose another --runs folder")
    return folder if (folder / "results.json").exists() else resume(folder)


def _end_with_parent() -> None:
    """Stop when standard input ends, which happens even if the parent is killed."""
    os.read(0, 1)  # not through sys.stdin, for whose lock a forked loader process would wait forever
    os._exit(1)


def main() -> None:
    """Entry point of the process."""
    keep_memory()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    folder, file = Path(sys.argv[1]), Path(sys.argv[2])
    try:
        # Another runner may want the same run: the second one waits and finds it finished.
        with FileLock(folder.with_name(f"{folder.name}.lock")), command(["reproduce"]):
            train_or_resume(folder, from_dict(Config, read_json(file)))
    except (ValueError, OSError) as error:
        print((str(error).strip().splitlines() or [reason(error)])[-1], file=sys.stderr, flush=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
