"""One run in a process of its own: ``python -m scapnet.experiments.job FOLDER CONFIG``.

It goes on where an earlier one stopped, and ends when the process that started it does.
"""

import os
import sys
import threading
from pathlib import Path

from scapnet.checkpoint import read_json, read_run
from scapnet.config import Config, from_dict
from scapnet.train import resume, train


def carry_out(folder: Path, config: Config) -> Path:
    """Train a config in a run folder, or go on with it.

    Raises:
        ValueError: the folder holds another run.
    """
    if (folder / "results.json").exists():
        return folder
    if folder.exists() and not (folder / "config.json").exists():
        folder.rmdir()  # killed before it wrote a thing
    if not folder.exists():
        return train(config, folder)
    if read_run(folder) != config:
        raise ValueError(f"{folder} holds a run of other settings; move it away, or give another --runs folder")
    return resume(folder)


def _end_with_parent() -> None:
    """Stop when standard input ends: a parent that was killed closes it, and cannot do anything else any more."""
    os.read(0, 1)  # not through sys.stdin, whose lock a forked loader process would wait for for ever
    os._exit(1)


def main() -> None:
    """Entry point of the process."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    folder, file = Path(sys.argv[1]), Path(sys.argv[2])
    try:
        carry_out(folder, from_dict(Config, read_json(file)))
    except (ValueError, OSError) as error:
        print(str(error).strip().splitlines()[-1], file=sys.stderr, flush=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
