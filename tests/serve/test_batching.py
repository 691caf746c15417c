"""Simultaneous requests share a batch; a full queue refuses; an error ends one batch and not the thread."""

import threading
from typing import Any

import pytest
import torch
from torch import Tensor

from samples import make, painted
from scapnet.data.images import to_tensor
from scapnet.engine import Answers, TorchEngine
from scapnet.predict import PhotoView, predict_images, view_of
from scapnet.serve.batching import Batcher
from scapnet.serve.limits import Limits, Refused


class Held(TorchEngine):
    """An engine that waits for a sign before each batch, and fails where it is told to."""

    def __init__(self, fail: bool = False) -> None:
        super().__init__(make())
        self.started, self.go, self.fail = threading.Semaphore(0), threading.Semaphore(0), fail

    def __call__(self, image: Tensor, source: Tensor | None, index: Tensor) -> Answers:
        self.started.release()
        assert self.go.acquire(timeout=30)
        if self.fail:
            self.fail = False
            raise RuntimeError("out of memory")
        return super().__call__(image, source, index)


def photos(count: int) -> list[Tensor]:
    return [to_tensor(painted(80 + i, 90, i)) for i in range(count)]


def viewed(image: Tensor) -> PhotoView:
    return view_of(image, "", make().view)


def test_what_comes_while_a_batch_runs_goes_together() -> None:
    engine, sizes = Held(), list[int]()
    batcher = Batcher(engine, Limits(), 3, sizes.append)
    images = photos(6)
    first = batcher.submit(viewed(images[0]))
    assert engine.started.acquire(timeout=30)
    rest = [batcher.submit(viewed(image)) for image in images[1:]]
    for _ in range(3):
        engine.go.release()
    found = [future.result(30) for future in (first, *rest)]
    batcher.close()
    assert sizes == [1, 3, 2]
    expected = predict_images(make(), images, [""] * 6, top=4)
    for one, other in zip(found, expected, strict=True):
        assert one.names == other.names
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-5)


def test_a_full_queue_refuses_and_takes_requests_again() -> None:
    engine = Held()
    batcher = Batcher(engine, Limits(queue=2), 1)
    (image,) = photos(1)
    futures: list[Any] = [batcher.submit(viewed(image))]
    assert engine.started.acquire(timeout=30)
    futures += [batcher.submit(viewed(image)), batcher.submit(viewed(image))]
    with pytest.raises(Refused, match="busy") as refused:
        batcher.submit(viewed(image))
    assert refused.value.status == 503
    for _ in range(4):
        engine.go.release()
    for future in futures:
        future.result(30)
    batcher.submit(viewed(image)).result(30)
    batcher.close()


def test_an_error_reaches_the_requests_of_its_batch_alone() -> None:
    engine = Held(fail=True)
    batcher = Batcher(engine, Limits())
    (image,) = photos(1)
    engine.go.release(2)
    with pytest.raises(RuntimeError, match="out of memory"):
        batcher.submit(viewed(image)).result(30)
    assert batcher.submit(viewed(image)).result(30).names
    batcher.close()
    assert torch.is_inference_mode_enabled() is False
