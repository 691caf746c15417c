"""One HTML page about a run, which opens from disk: how good it is, where it fails, and what it looked at."""

from scapnet.report.write import write_report

__all__ = ["write_report"]
