"""What is measured for coverage.

Measuring branches takes half as long again, most of it in the lines of PyTorch and other packages. So their loading,
pytest's collection and the tests marked `untraced` (whole runs, exports, servers) are not measured; what is counted as
covered is what the other tests reach.
"""

import contextlib
import os
from collections.abc import Iterator
from importlib import import_module

from coverage import Coverage

HEAVY = ("timm", "accelerate", "scipy.stats", "matplotlib.pyplot", "hypothesis", "gradio", "onnxruntime")


@contextlib.contextmanager
def untraced() -> Iterator[None]:
    """What runs inside is not measured."""
    measured = Coverage.current()
    if measured is None:
        yield
        return
    measured.stop()
    try:
        yield
    finally:
        measured.start()


if "PYTEST_XDIST_WORKER" in os.environ:  # one process measures little, and the one that starts others runs no test
    with untraced():
        for name in HEAVY:
            with contextlib.suppress(ImportError):  # of an extra that is not installed
                import_module(name)
