"""JSON files that are written atomically."""

import json
import os
from pathlib import Path
from typing import Any


def write_json(path: Path, values: Any) -> None:
    """Write JSON atomically: whenever the process is killed, the file has either its old or its new content."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")  # two processes may write the same file
    try:
        content = json.dumps(values, indent=2, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # bytes of a file name that is not UTF-8; JSON's escapes bring them back as they were
        content = json.dumps(values, indent=2).encode()
    draft.write_bytes(content + b"\n")
    draft.replace(path)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ValueError: the file is missing or holds something else.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}); give a folder that scapnet wrote") from error
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON ({error}); give a folder that scapnet wrote") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path} does not hold a JSON object; give a folder that scapnet wrote")
    return values
