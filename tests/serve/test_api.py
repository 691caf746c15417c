"""The endpoint over HTTP: its answers, its refusals, and that it lives on."""

import asyncio
import io
import struct
import threading
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from PIL import Image
from torch import Tensor

from samples import NAMES, calibrated, make
from scapnet.data.inputs import decode_input
from scapnet.engine import Answers, TorchEngine
from scapnet.predict import PredictOptions, predict_photo
from scapnet.predictor import Predictor
from scapnet.serve import make_service
from scapnet.serve.limits import Limits
from scapnet.serve.uploads import read_upload

Client = Callable[..., Any]
Upload = Callable[..., bytes]


def test_an_answer_is_that_of_predict(client: Client, upload: Upload) -> None:
    here, photo = client(), upload()
    expected = predict_photo(make(), photo, top=2).to_dict()
    found = here.post("/predict", params={"top": 2}, content=photo)
    assert found.status_code == 200
    answer = found.json()
    assert (answer["model"], answer["width"], answer["height"]) == ("birds", 120, 90)
    assert answer["answer"] == expected["answer"]
    assert tuple(answer["names"]) == expected["names"]
    assert answer["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-6)
    assert [part["box"] for part in answer["parts"]] == [pytest.approx(part["box"]) for part in expected["parts"]]
    form = here.post("/predict", params={"top": 2}, files={"photo": ("a.jpg", photo)})
    assert form.json() == answer
    unsure = here.post("/predict", params={"at_least": 0.99}, content=photo).json()
    assert unsure["answer"] == "unknown"
    assert len(unsure["names"]) == len(NAMES)


def test_a_large_jpeg_is_read_as_predict_reads_it(client: Client, upload: Upload) -> None:
    photo = upload(700, 900, "JPEG")
    assert decode_input(photo, shorter=108).image.shape != (3, 700, 900)  # at a reduced size
    expected = Predictor(make())(photo)
    answer = client().post("/predict", content=photo).json()
    assert (answer["width"], answer["height"]) == (900, 700)
    assert answer["probabilities"] == pytest.approx(expected.probabilities, abs=1e-6)
    assert answer["parts"][0]["box"] == pytest.approx(expected.parts[0].box)


def test_an_upload_that_trickles_holds_up_no_other(upload: Upload) -> None:
    pytest.importorskip("fastapi", reason="needs the extra: pip install scapnet[serve]")
    from scapnet.serve.api import make_app

    service = make_service({"birds": TorchEngine(make())}, Limits(uploads=1))
    app = make_app(service)

    async def post(*chunks: bytes, last: Callable[[], Awaitable[object]] | None = None) -> int:
        """The status of an upload in chunks; its end comes after ``last``."""
        left, said = list(chunks), list[Any]()

        async def receive() -> dict[str, Any]:
            if not left and last is not None:
                await last()
            return {"type": "http.request", "body": left.pop(0) if left else b"", "more_body": bool(left or last)}

        async def send(message: Any) -> None:
            said.append(message)

        scope = {"type": "http", "method": "POST", "path": "/predict", "headers": [], "query_string": b""}
        await app(scope, receive, send)
        return int(said[0]["status"])

    async def both() -> tuple[int, bool]:
        began, forever = asyncio.Event(), asyncio.Event()

        async def last() -> None:
            began.set()
            await forever.wait()

        trickle = asyncio.create_task(post(b"x", last=last))
        await began.wait()
        status = await asyncio.wait_for(post(upload()), 60)
        still = not trickle.done()
        trickle.cancel()
        return status, still

    assert asyncio.run(both()) == (200, True)
    service.models["birds"].close()


def bomb() -> bytes:
    """A small PNG that claims to be 30,000 pixels wide and high."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def test_hostile_uploads_get_a_sentence_and_the_server_lives(client: Client, upload: Upload) -> None:
    here, whole = client(megabytes=1, megapixels=1), upload()
    wide = io.BytesIO()
    Image.new("L", (1200, 1000)).save(wide, "PNG")
    form = {"content-type": "multipart/form-data; boundary=b"}
    cases: list[tuple[int, str, bytes, dict[str, str]]] = [
        (400, "holds no photo", b"", {}),
        (413, "larger than 1 MB", bytes(1_100_000), {}),
        (413, "larger than 1 MB", b"", {"content-length": "9999999"}),
        (413, "1200 x 1000 pixels", wide.getvalue(), {}),
        (413, "pixels", bomb(), {}),
        (415, "not a readable image", b"<svg xmlns='http://www.w3.org/2000/svg'/>", {}),
        (415, "not a readable image", b"#!/bin/sh\nrm -rf /", {}),
        (415, "not a readable image", whole[: len(whole) // 2], {}),
        (400, "form cannot be read", b"no form", {"content-type": "multipart/form-data"}),
        (400, "form", b"no form", form),
        (400, "form holds no file", b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n--b--\r\n', form),
    ]
    for status, text, body, headers in cases:
        found = here.post("/predict", content=body, headers=headers)
        assert (found.status_code, found.json().keys()) == (status, {"detail"}), text
        assert text in found.json()["detail"]
    for query, status in (("model=x", 404), ("at_least=2", 400), ("at_least=auto", 400), ("top=0", 422)):
        assert here.post(f"/predict?{query}", content=whole).status_code == status
    assert here.post("/predict", content=whole).status_code == 200
    assert here.get("/health").json()["status"] == "ok"


def test_a_server_of_this_machine_answers_to_its_own_name_only(client: Client) -> None:
    assert client().get("/health", headers={"host": "pages.example.org"}).status_code == 400


def test_metrics_count_requests_by_status(client: Client, upload: Upload) -> None:
    here = client()
    for body in (upload(), b"nothing"):
        here.post("/predict", content=body)
    lines = here.get("/metrics").text.splitlines()
    assert 'scapnet_requests_total{model="birds",status="200"} 1' in lines
    assert 'scapnet_requests_total{model="birds",status="415"} 1' in lines
    assert 'scapnet_request_seconds_bucket{le="+Inf"} 2' in lines
    assert "scapnet_photos_total 1" in lines
    assert here.get("/classes").json() == list(NAMES)


def test_the_answer_is_documented(client: Client) -> None:
    schema = client().get("/openapi.json").json()
    predict = schema["paths"]["/predict"]["post"]
    assert {"200", "400", "413", "415", "503"} <= set(predict["responses"])
    for field in schema["components"]["schemas"]["Answer"]["properties"].values():
        assert field["description"]


def test_the_servers_settings_decide(upload: Upload) -> None:
    testclient = pytest.importorskip("fastapi.testclient", reason="needs the extra: pip install scapnet[serve]")
    options = PredictOptions(error_rate=0.2, false_alarms=0.3, tta=True)
    from scapnet.serve.api import make_app

    service = make_service({"birds": TorchEngine(calibrated())}, options=options)
    photo = upload()
    expected = Predictor(calibrated(), error_rate=0.2, false_alarms=0.3, tta=True)(photo)
    with testclient.TestClient(make_app(service)) as here:
        found = here.post("/predict", content=photo).json()
        unsure = here.post("/predict", params={"at_least": 1}, content=photo).json()
    assert expected.among is not None
    assert (found["answer"], found["known"], found["parent"]) == (expected.answer, expected.known, expected.parent)
    assert found["among"] == list(expected.among)
    assert found["probabilities"] == pytest.approx(expected.probabilities[:5], abs=1e-6)
    assert unsure["answer"] == "unknown"
    with pytest.raises(ValueError, match="this model was not calibrated"):
        make_service({"birds": TorchEngine(make())}, options=options)


def test_a_full_queue_is_503_over_http(upload: Upload) -> None:
    testclient = pytest.importorskip("fastapi.testclient", reason="needs the extra: pip install scapnet[serve]")
    from scapnet.serve.api import make_app

    began, go = threading.Event(), threading.Event()

    class Slow(TorchEngine):
        def __call__(self, image: Tensor, source: Tensor | None, index: Tensor) -> Answers:
            began.set()
            go.wait(60)
            return super().__call__(image, source, index)

    service, photo = make_service({"birds": Slow(make())}, Limits(queue=1), 1), upload()
    batcher = service.models["birds"]
    with testclient.TestClient(make_app(service)) as here:
        view = read_upload(photo, Limits(), batcher.engine)
        waiting = [batcher.submit(view)]
        assert began.wait(60)  # one runs
        waiting.append(batcher.submit(view))  # and one waits
        refused = here.post("/predict", content=photo)
        go.set()
        assert [len(one.result(60).names) for one in waiting] == [4, 4]
        again = here.post("/predict", content=photo)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
    assert "the server is busy" in refused.json()["detail"]
    assert again.status_code == 200
