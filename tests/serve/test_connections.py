"""Connections without headway are closed, and others are not."""

import asyncio
from typing import Any

import pytest

uvicorn = pytest.importorskip("uvicorn", reason="needs the extra: pip install scapnet[serve]")
LARGE = b"x" * 30_000_000  # more than sockets hold
REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
CLOSED = (ConnectionResetError, asyncio.IncompleteReadError)


REFUSED = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx"


async def answer(scope: Any, receive: Any, send: Any) -> None:
    headers = [(b"content-length", str(len(LARGE)).encode())]
    if scope["method"] == "POST":
        await send({"type": "http.response.start", "status": 408, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        return
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": LARGE})


async def talk(seconds: float, sent: bytes, read: bool, ended: bool = False) -> int:
    """How many bytes come for a request until the server closes the connection, or all of them are there."""
    from scapnet.serve.connections import protocol_of

    config, closed = uvicorn.Config(answer, log_config=None), asyncio.Event()
    config.load()
    state = uvicorn.server.ServerState()

    class Watched(protocol_of(60 if ended else seconds, 0.01)):  # type: ignore[misc]
        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            closed.set()

    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Watched(config, state, {}), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
    writer.write(sent)
    if ended:
        while not state.tasks:  # until the request is there
            await asyncio.sleep(0)
        next(iter(state.connections)).shutdown()
    if not read:
        await asyncio.wait_for(closed.wait(), 60)
    try:
        await reader.readuntil(b"\r\n\r\n")
        return len(await reader.readexactly(len(LARGE)))
    except CLOSED:
        return 0
    finally:
        writer.close()
        server.close()


@pytest.mark.parametrize("sent", [b"", REQUEST[:-2], REQUEST, REFUSED])
def test_no_headway_closes(sent: bytes) -> None:
    assert asyncio.run(talk(0.02, sent, read=False)) == 0


def test_an_answer_that_is_read_arrives_whole() -> None:
    assert asyncio.run(talk(60, REQUEST, read=True)) == len(LARGE)


def test_the_end_waits_for_no_reader() -> None:
    assert asyncio.run(talk(60, REQUEST, read=False, ended=True)) == 0
