"""The HTTP endpoint: one photo in, one JSON answer out."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Query, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect

from scapnet import __version__
from scapnet.engine import Engine
from scapnet.predict import PhotoView
from scapnet.serve.answers import Answer, Problem, Service, to_answer
from scapnet.serve.limits import Refused
from scapnet.serve.uploads import read_upload, too_large

SMALL = 256_000  # bytes of an upload that needs no slot, so that a few trickling ones do not hold up all others
DECODED = 2  # photos that are decoded at a time: one of 50 megapixels takes up to 0.8 GB meanwhile
Slot = Callable[[], Awaitable[None]]  # waits until an upload may go on
REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": text}
    for status, text in (
        (400, "no photo, or a form that cannot be read"),
        (404, "no such model"),
        (408, "the upload took too long"),
        (413, "too many bytes or pixels"),
        (415, "no readable photo"),
        (503, "too many requests wait"),
    )
}
BODY = {
    "requestBody": {
        "description": "The bytes of a photo, or a form with one file.",
        "required": True,
        "content": {
            "image/*": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {"type": "object", "properties": {"photo": {"type": "string", "format": "binary"}}}
            },
        },
    }
}


def make_app(service: Service, hosts: Sequence[str] = ("*",)) -> FastAPI:
    """The application.

    Args:
        service: what answers.
        hosts: names by which the server may be called; others are refused, so that no web page that a browser shows can
            reach a server on this machine under a name of its own.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        for batcher in service.models.values():
            await asyncio.to_thread(batcher.close)

    app = FastAPI(title="scapnet", version=__version__, lifespan=lifespan)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))
    app.add_exception_handler(Refused, _refuse)
    _add_state(app, service)
    _add_predict(app, service)
    return app


async def _refuse(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    headers = {"Retry-After": "2"} if error.status == 503 else None
    return JSONResponse({"detail": error.reason}, error.status, headers)


def _add_state(app: FastAPI, service: Service) -> None:
    @app.get("/health")
    async def health() -> dict[str, Any]:
        """Whether the server answers, and with which models; 503 where the thread of a model has ended."""
        ended = [name for name, batcher in service.models.items() if not batcher.thread.is_alive()]
        if ended:
            raise Refused(503, f"the model {ended[0]} does not answer any more")
        return {"status": "ok", "models": list(service.models), "scapnet": __version__}

    @app.get("/classes")
    async def classes(model: str | None = None) -> list[str]:
        """The names of the classes of a model."""
        return list(service.named(model)[1].engine.classes)

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Counts in Prometheus's text format."""
        text = service.metrics.text(service.waiting())
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


def _add_predict(app: FastAPI, service: Service) -> None:
    limits, inside = service.limits, [0]  # requests that are being answered
    uploads, decoding = asyncio.Semaphore(limits.uploads), asyncio.Semaphore(DECODED)

    async def _view(request: Request, engine: Engine, slot: Slot) -> PhotoView:
        content = await _received(request, service, slot)
        async with decoding:
            return await asyncio.to_thread(read_upload, content, limits, engine)

    @app.post("/predict", responses=REFUSALS, openapi_extra=BODY)
    async def predict(
        request: Request,
        model: str | None = None,
        top: Annotated[int, Query(ge=1)] = 5,
        at_least: Annotated[float | Literal["auto"], Query()] = 0.0,
    ) -> Answer:
        """Name what is on a photo, with the parts that the answer rests on."""
        start, status, name = time.perf_counter(), 500, ""
        if inside[0] >= limits.uploads + limits.queue:
            service.metrics.answered(name, 503, 0.0)
            raise Refused(503, "the server is busy; try again in a few seconds")
        inside[0] += 1
        try:
            name, batcher = service.named(model)
            threshold = _threshold(service, name, at_least)
            async with AsyncExitStack() as slot:  # is taken once the upload is larger than SMALL
                view = await _view(request, batcher.engine, partial(slot.enter_async_context, uploads))
                future = batcher.submit(view)
            found = await asyncio.wrap_future(future)
            status = 200
            return to_answer(name, found, (view.width, view.height), top, threshold)
        except Refused as error:
            status = error.status
            raise
        finally:
            inside[0] -= 1
            service.metrics.answered(name, status, time.perf_counter() - start)


def _threshold(service: Service, name: str, at_least: float | str) -> float:
    if at_least == "auto":
        own = service.thresholds[name]
        if own is None:
            raise Refused(400, f"the model {name} has no threshold of its own; give a probability, for example 0.8")
        return own
    if not 0 <= float(at_least) <= 1:
        raise Refused(400, f"the threshold {at_least} is no probability; give a number from 0 to 1, or auto")
    return float(at_least)


async def _received(request: Request, service: Service, slot: Slot) -> bytes:
    """The photo's bytes: the body, or the first file of a form."""
    try:
        async with asyncio.timeout(service.limits.seconds) as deadline:
            body = await _body(request, service, partial(_paused, deadline, slot))
    except TimeoutError as error:
        raise Refused(408, f"the upload took more than {service.limits.seconds:.0f} seconds") from error
    except ClientDisconnect as error:
        raise Refused(400, "the upload broke off") from error
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        return body
    try:
        form = await MultiPartParser(request.headers, _once(body)).parse()
    except (MultiPartException, KeyError, ValueError, AssertionError) as error:
        raise Refused(400, "the form cannot be read; send it as curl --form photo=@photo.jpg does") from error
    files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
    if not files:
        raise Refused(400, "the form holds no file; send it as curl --form photo=@photo.jpg does")
    content = await files[0].read()
    await form.close()
    return content


async def _paused(deadline: asyncio.Timeout, slot: Slot) -> None:
    """Wait for a slot; the time does not count."""
    clock = asyncio.get_running_loop().time
    left = (deadline.when() or 0.0) - clock()
    deadline.reschedule(None)
    await slot()
    deadline.reschedule(clock() + left)


async def _body(request: Request, service: Service, slot: Slot) -> bytes:
    most, found, small = service.limits.megabytes * 10**6, bytearray(), True
    most += 10_000  # what a form has around its file
    if int(request.headers.get("content-length", "0") or 0) > most:
        raise too_large(service.limits)
    async for chunk in request.stream():
        found += chunk
        if len(found) > most:
            raise too_large(service.limits)
        if small and len(found) > SMALL:
            small = False
            await slot()
    return bytes(found)


async def _once(body: bytes) -> AsyncGenerator[bytes, None]:
    yield body
