"""`scapnet serve`: what is said before the work, where it listens, and the endpoint without a page."""

import importlib.util
import json
import re
import socket
from pathlib import Path
from typing import Any

import pytest

import scapnet.serve
from samples import Command, Refuse
from scapnet import cli
from scapnet.serve import build, is_local, load, names_of

REASON = "needs the extra: pip install scapnet[serve]"
TestClient = pytest.importorskip("fastapi.testclient", reason=REASON).TestClient
uvicorn = pytest.importorskip("uvicorn", reason=REASON)
FOUND = importlib.util.find_spec


def without(*missing: str) -> Any:
    return lambda name: None if name in missing else FOUND(name)


def test_it_listens_on_this_machine(command: Command, model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listened: list[tuple[str, int]] = []

    def run(server: Any, sockets: list[socket.socket]) -> None:
        listened.append(sockets[0].getsockname()[:2])
        assert TestClient(server.config.app).get("/health").json()["models"] == ["model"]

    monkeypatch.setattr(uvicorn.Server, "run", run)
    # It closes the handlers of other libraries, and one of OpenVINO's closes the stream of the test that loaded it.
    monkeypatch.setattr(uvicorn.Config, "configure_logging", lambda self: None)
    monkeypatch.setattr(scapnet.serve, "find_spec", without("gradio"))
    said = "".join(command("serve", model_folder, "--port", 0))
    ((address, port),) = listened
    assert address == "127.0.0.1"
    assert f"http://localhost:{port}" in said
    assert "gradio is not installed, so there is no page but the endpoint alone" in said


def test_what_cannot_be_served_is_one_sentence(
    refuse: Refuse, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "3 models cannot be served" in refuse("serve", model_folder, model_folder, model_folder)
    assert "queue is 0" in refuse("serve", model_folder, "--limits.queue", 0)
    assert "batch-size 0 must" in refuse("serve", model_folder, "--batch-size", 0)
    monkeypatch.setattr(scapnet.serve, "find_spec", without("fastapi"))
    assert "pip install scapnet[serve]" in refuse("serve", model_folder)


def test_a_port_that_is_taken_is_one_sentence(model_folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ValueError, match=f"cannot listen on 127.0.0.1:{port}"):
            scapnet.serve.serve([str(model_folder)], port=port, page=False)


def test_two_models_have_names(model_folder: Path) -> None:
    with TestClient(build(load([str(model_folder), str(model_folder)]), "0.0.0.0", page=False)) as here:
        assert here.get("/health").json()["models"] == ["model-1", "model-2"]
    assert names_of(["runs/a", "owner/b"]) == ["a", "b"]


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("10.0.0.1", False)],
)
def test_addresses_of_this_machine(host: str, local: bool) -> None:
    assert is_local(host) is local


def test_the_dockerfile_names_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(__file__).parents[2]
    text = (root / "Dockerfile").read_text(encoding="utf-8")
    copied = [word for line in re.findall(r"^COPY (.*) \S+$", text, re.MULTILINE) for word in line.split()]
    assert set(copied) >= {"pyproject.toml", "src"}
    kept = (root / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for name in copied:
        assert (root / name).exists()
        assert f"!{name}" in kept
    parts = [re.findall(rf"^{name} (\[.*\])", text, re.MULTILINE)[0] for name in ("ENTRYPOINT", "CMD")]
    words = [word for part in parts for word in json.loads(part)]
    called: list[Any] = []
    monkeypatch.setattr(scapnet.serve, "serve", lambda *arguments: called.append(arguments))
    monkeypatch.setattr("sys.argv", words)
    cli.main()
    assert called[0][:3] == (["/model"], "0.0.0.0", 7860)
