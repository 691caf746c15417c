"""One exported file for all tests and processes: making it takes 20 s."""

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
    onnx = pytest.importorskip("onnx")
    base = tmp_path_factory.getbasetemp()
    file = (base if worker_id == "master" else base.parent) / "exported" / "photo.onnx"
    with FileLock(file.parent.with_suffix(".lock")):
        if not file.exists():
            file.parent.mkdir(exist_ok=True)
            model = calibrated()
            program, names = trace(model)
            onnx.save(onnx_model(program, names, metadata_of(model, "photo", "uint8", "fp32")), file)
    return file
