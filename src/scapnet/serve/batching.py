"""Simultaneous requests go through the network together."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace

from scapnet.engine import Engine
from scapnet.predict import PhotoView, PredictOptions, predict_views
from scapnet.prediction import Prediction
from scapnet.serve.limits import Limits, Refused

Job = tuple[PhotoView, Future[Prediction]]


class Batcher:
    """A thread that runs an engine on what has come in while it ran before.

    A request that comes alone is run at once: nothing waits for others to come.

    Args:
        engine: a trained network.
        limits: has the length of the queue.
        batch_size: the most photos of a batch.
        ran: receives the size of each batch.
        options: when an answer is "unknown" or a set of classes, and whether it is averaged with the mirrored photo's.
    """

    def __init__(
        self,
        engine: Engine,
        limits: Limits,
        batch_size: int = 8,
        ran: Callable[[int], None] = lambda _: None,
        options: PredictOptions | None = None,
    ) -> None:
        self.engine, self.size, self.ran = engine, batch_size, ran
        self.options = replace(options or PredictOptions(), top=len(engine.classes), batch_size=batch_size)
        self.waiting: queue.Queue[Job | None] = queue.Queue(limits.queue)
        self.thread = threading.Thread(target=self._run, name="scapnet-batches", daemon=True)
        self.thread.start()

    def submit(self, view: PhotoView) -> Future[Prediction]:
        """Queue what the network gets of a photo; all K classes are in the prediction, best first.

        Raises:
            Refused: 503, the queue is full.
        """
        future: Future[Prediction] = Future()
        try:
            self.waiting.put_nowait((view, future))
        except queue.Full:
            raise Refused(503, "the server is busy; try again in a few seconds") from None
        return future

    def close(self) -> None:
        """End the thread once the queue is empty."""
        self.waiting.put(None)
        self.thread.join()

    def _run(self) -> None:
        while (first := self.waiting.get()) is not None:
            jobs, ends = [first], False
            while len(jobs) < self.size and not ends:
                try:
                    job = self.waiting.get_nowait()
                except queue.Empty:
                    break
                ends = job is None
                jobs += [job] if job is not None else []
            self._answer([job for job in jobs if job[1].set_running_or_notify_cancel()])
            if ends:
                return

    def _answer(self, jobs: list[Job]) -> None:
        if not jobs:
            return
        self.ran(len(jobs))
        try:
            found = predict_views(self.engine, [view for view, _ in jobs], self.options)
            for (_, future), prediction in zip(jobs, found, strict=True):
                future.set_result(prediction)
        except Exception as error:  # the thread lives on, and each request gets the error
            for _, future in jobs:
                future.set_exception(error)
