"""What a result was computed with: commit, machine and versions."""

import platform
import subprocess
from pathlib import Path

import timm
import torch

from scapnet import __version__

PACKAGE = Path(__file__).parent.parent


def environment(command: str, commit: str | None = None) -> dict[str, str]:
    """What a reader needs to repeat a run.

    Args:
        command: the command that repeats it.
        commit: the commit that it ran from; by default the current one.
    """
    return {
        "command": command,
        "commit": commit or present_commit(),
        "hardware": hardware(),
        "torch": torch.__version__,
        "timm": timm.__version__,
    }


def present_commit() -> str:
    """The commit that the package runs from, with a + if files were changed; its version outside its repository."""
    found = _git("rev-parse", "--short", "HEAD")
    if not found or not _git("ls-files", "__init__.py"):  # it may be installed below another project's repository
        return f"scapnet {__version__}"
    return found + ("+" if _git("status", "--porcelain", "--untracked-files=no", ".") else "")


def _git(*words: str) -> str:
    try:
        return subprocess.run(["git", *words], cwd=PACKAGE, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def hardware() -> str:
    """The GPU, or else the processor and its cores."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]}, {len(names)} cores" if names else platform.processor() or platform.machine()
