"""A server in this process."""

import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from samples import make, painted
from scapnet.engine import TorchEngine
from scapnet.serve import make_service
from scapnet.serve.limits import Limits

Client = Callable[..., Any]


@pytest.fixture
def client() -> Iterator[Client]:
    """Make a client of a server with limits of its own."""
    testclient = pytest.importorskip("fastapi.testclient", reason="needs the extra: pip install scapnet[serve]")
    from scapnet.serve.api import make_app

    opened = []

    def start(**limits: float) -> Any:
        service = make_service({"birds": TorchEngine(make())}, Limits(**limits))  # type: ignore[arg-type]
        opened.append(testclient.TestClient(make_app(service, ["testserver"]), raise_server_exceptions=False))
        return opened[-1].__enter__()

    yield start
    for one in opened:
        one.__exit__(None, None, None)


@pytest.fixture(scope="session")
def upload() -> Callable[..., bytes]:
    """The bytes of a photo."""

    def encode(height: int = 90, width: int = 120, kind: str = "PNG") -> bytes:
        buffer = io.BytesIO()
        painted(height, width).save(buffer, kind)
        return buffer.getvalue()

    return encode
