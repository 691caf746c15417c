"""A trained model behind an HTTP endpoint and a page, in one process."""

import ipaddress
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scapnet.serve.limits import Limits

if TYPE_CHECKING:  # the command line reads the limits' defaults and must stay light
    from scapnet.decision import AtLeast
    from scapnet.engine import Engine
    from scapnet.metrics.skipping import PartsFor
    from scapnet.predict import PredictOptions

LOCAL = ("localhost", "127.0.0.1", "[::1]", "testserver")
ENDING = 6  # seconds that running requests get once the server was told to end
NEEDS = "serving needs the extra serve: pip install scapnet[serve], or scapnet[demo] for the page too"


def serve(
    models: Sequence[str],
    host: str = "127.0.0.1",
    port: int = 7860,
    limits: Limits | None = None,
    page: bool = True,
    corrections: Path = Path("corrections"),
    engine: str = "torch",
    device: str | None = None,
    batch_size: int = 8,
    at_least: "AtLeast" = None,
    false_alarms: float | None = None,
    error_rate: float | None = None,
    tta: bool = False,
    parts: "PartsFor" = "all",
    say: Callable[[str], None] = print,
) -> None:
    """Answer requests until the process is stopped.

    Args:
        models: one or two run folders, model folders or hub ids; two are compared on the page.
        host: the address to listen on; by default only this machine can reach it.
        port: the port.
        limits: bounds on what clients can ask.
        page: show the page as well; without gradio there is the endpoint alone.
        corrections: where corrected answers are saved.
        engine: what runs the network; see `scapnet.Predictor`.
        device: where to run it.
        batch_size: photos that go through the network together.
        at_least, false_alarms, error_rate, tta: see `scapnet.Predictor`.
        parts: whose parts are looked at; its ``parts_for``.
        say: receives what a person should know.

    Raises:
        ValueError: no model there, a setting that it does not know, a port that is taken, or a missing library.
    """
    if find_spec("fastapi") is None or find_spec("uvicorn") is None or find_spec("python_multipart") is None:
        raise ValueError(NEEDS)
    from scapnet.predict import PredictOptions

    options = PredictOptions(at_least=at_least, tta=tta, error_rate=error_rate, false_alarms=false_alarms)
    app = build(load(models, engine, device, parts), host, limits, page, corrections, batch_size, say, options)
    import uvicorn

    listener = _listener(host, port)
    shown = "localhost" if is_local(host) else host
    say(f"http://{shown}:{listener.getsockname()[1]} (stop with Ctrl+C); the endpoint is described at /docs")
    if not is_local(host):
        say("everyone who can reach this machine can use it: there is no password")
    from scapnet.serve.connections import protocol_of

    config = uvicorn.Config(
        app,
        http=protocol_of((limits or Limits()).seconds, ENDING),
        log_level="warning",
        timeout_keep_alive=10,
        timeout_graceful_shutdown=ENDING + 2,
        h11_max_incomplete_event_size=65536,
    )
    uvicorn.Server(config).run(sockets=[listener])


def load(
    models: Sequence[str], engine: str = "torch", device: str | None = None, parts: "PartsFor" = "all"
) -> "dict[str, Engine]":
    """The engines of the models that `serve` is given, by their names.

    Raises:
        ValueError: no model there, or more than two.
    """
    if not 1 <= len(models) <= 2:
        raise ValueError(f"{len(models)} models cannot be served; give one, or two to compare")
    from scapnet.predictor import Predictor

    settings: Any = {"engine": engine, "device": device, "parts_for": parts}
    engines = [Predictor.from_pretrained(model, **settings).engine for model in models]
    return dict(zip(names_of(models), engines, strict=True))


def build(
    engines: "dict[str, Engine]",
    host: str = "127.0.0.1",
    limits: Limits | None = None,
    page: bool = True,
    corrections: Path = Path("corrections"),
    batch_size: int = 8,
    say: Callable[[str], None] = print,
    options: "PredictOptions | None" = None,
) -> Any:
    """The application of `serve`, for a server of one's own; for the arguments see there and `load`."""
    from scapnet.serve.api import make_app

    service = make_service(engines, limits, batch_size, options)
    app = make_app(service, LOCAL if is_local(host) else ("*",))
    if page and find_spec("gradio") is None:
        say("gradio is not installed, so there is no page but the endpoint alone; pip install scapnet[demo] adds it")
        page = False
    if not page:
        return app
    from scapnet.serve.corrections import Corrections
    from scapnet.serve.page import add_page

    return add_page(app, service, Corrections(corrections))


def make_service(
    engines: "dict[str, Engine]",
    limits: Limits | None = None,
    batch_size: int = 8,
    options: "PredictOptions | None" = None,
) -> Any:
    """What answers: a thread for each engine, by its name.

    Raises:
        ValueError: an option that a model does not know, such as an error rate without a calibration.
    """
    from scapnet.serve.answers import Service
    from scapnet.serve.batching import Batcher
    from scapnet.serve.metrics import Metrics

    bounds, metrics = limits or Limits(), Metrics()
    if options is not None:
        for engine in engines.values():
            options.rules.check(engine)
    batchers = {name: Batcher(engine, bounds, batch_size, metrics.ran, options) for name, engine in engines.items()}
    return Service(batchers, {name: engine.threshold for name, engine in engines.items()}, bounds, metrics)


def names_of(models: Sequence[str]) -> list[str]:
    """Short names of models: the last part of each path; the same ones get numbers."""
    names = [Path(model).resolve().name if Path(model).exists() else model.rpartition("/")[2] for model in models]
    return names if len(set(names)) == len(names) else [f"{name}-{i}" for i, name in enumerate(names, 1)]


def is_local(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _listener(host: str, port: int) -> Any:
    import socket

    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=128)
    except (OSError, OverflowError) as error:
        raise ValueError(
            f"cannot listen on {host}:{port} ({error}); choose another one with --host and --port"
        ) from error
