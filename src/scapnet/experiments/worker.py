"""One run in a process of its own: ``python -m scapnet.experiments.worker FOLDER CONFIG``.

It goes on where an earlier one stopped, and ends when the process that started it does.
"""

import os
import sys
import threading
from pathlib import Path

from filelock import FileLock

from scapnet.allocator import keep_memory
from scapnet.config import Config
from scapnet.errors import reason
from scapnet.experiments.record import same_settings
from scapnet.jsonfile import read_json
from scapnet.serialization import from_dict
from scapnet.train import resume, train


def carry_out(folder: Path, config: Config) -> Path:
    """Train a config in a run folder, or go on with it.

    Raises:
        ValueError: the folder holds another run.
    """
    if folder.exists() and not (folder / "config.json").exists():
        for draft in folder.glob(".config.json.*draft"):  # killed before it wrote a thing
            draft.unlink()
        folder.rmdir()
    if not folder.exists():
        return train(config, folder)
    if not same_settings(read_json(folder / "config.json"), config):
        raise ValueError(f"{folder} holds a run of other settings; move it away, or give another --runs folder")
    return folder if (folder / "results.json").exists() else resume(folder)


def _end_with_parent() -> None:
    """Stop when standard input ends: a parent that was killed closes it, and cannot do anything else any more."""
    os.read(0, 1)  # not through sys.stdin, whose lock a forked loader process would wait for for ever
    os._exit(1)


def main() -> None:
    """Entry point of the process."""
    keep_memory()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    folder, file = Path(sys.argv[1]), Path(sys.argv[2])
    try:
        # Another runner may want the same row: whoever comes second waits, and finds it finished.
        with FileLock(folder.with_name(f"{folder.name}.lock")):
            carry_out(folder, from_dict(Config, read_json(file)))
    except (ValueError, OSError) as error:
        print((str(error).strip().splitlines() or [reason(error)])[-1], file=sys.stderr, flush=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
