"""One exported file for all tests and processes: making it takes 20 s."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from samples import calibrated
from scapnet.export.formats import metadata_of, onnx_model
from scapnet.export.graph import trace


@pytest.fixture(scope="session")
def onnx_file(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The network of `calibrated`, from photos of any size."""
    pytest.importorskip("onnxscript", reason="needs the extra: pip install scapnet[export]")
    pytest.importorskip("onnxruntime", reason="needs the extra: pip install scapnet[export]")
    pytest.importorskip("onnx")
    base = tmp_path_factory.getbasetemp()
    file = (base if worker_id == "master" else base.parent) / "exported" / "photo.onnx"
    with FileLock(file.parent.with_suffix(".lock")):
        if not file.exists():
            file.parent.mkdir()
            # In a process of its own, where the coverage of branches is not measured, the exporter takes half the time.
            path = os.pathsep.join(filter(None, (str(Path(__file__).parents[1]), *sys.path)))
            environment = os.environ | {"PYTHONPATH": path}
            subprocess.run([sys.executable, __file__, str(file)], check=True, env=environment, capture_output=True)
    return file


if __name__ == "__main__":
    import onnx

    program, names = trace(calibrated())
    onnx.save(onnx_model(program, names, metadata_of(calibrated(), "photo", "uint8", "fp32")), sys.argv[1])
