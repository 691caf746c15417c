"""Counts of a server in Prometheus's text format."""

import threading
from collections import Counter
from collections.abc import Iterator

SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """What has been answered, and how fast; safe to use from several threads."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.requests: Counter[tuple[str, int]] = Counter()  # by model and status
        self.answers: Counter[float] = Counter()  # by the upper bound of their time
        self.seconds, self.photos, self.batches = 0.0, 0, 0

    def answered(self, model: str, status: int, seconds: float) -> None:
        """Count a request."""
        with self.lock:
            self.requests[model, status] += 1
            self.answers[next((bound for bound in SECONDS if seconds <= bound), float("inf"))] += 1
            self.seconds += seconds

    def ran(self, photos: int) -> None:
        """Count a batch."""
        with self.lock:
            self.batches += 1
            self.photos += photos

    def text(self, waiting: int) -> str:
        """All of them.

        Args:
            waiting: requests in the queues.
        """
        with self.lock:
            return "\n".join([*self._lines(waiting), ""])

    def _lines(self, waiting: int) -> Iterator[str]:
        yield "# HELP scapnet_requests_total Requests for a prediction, by model and status."
        yield "# TYPE scapnet_requests_total counter"
        for (model, status), count in sorted(self.requests.items()):
            name = model.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
            yield f'scapnet_requests_total{{model="{name}",status="{status}"}} {count}'
        yield "# HELP scapnet_request_seconds Time from the request to the answer."
        yield "# TYPE scapnet_request_seconds histogram"
        total = 0
        for bound in (*SECONDS, float("inf")):
            total += self.answers[bound]
            yield f'scapnet_request_seconds_bucket{{le="{"+Inf" if bound == float("inf") else bound}"}} {total}'
        yield f"scapnet_request_seconds_sum {self.seconds}"
        yield f"scapnet_request_seconds_count {total}"
        for name, kind, text, value in (
            ("photos_total", "counter", "Photos that went through a network.", self.photos),
            ("batches_total", "counter", "Batches that they formed.", self.batches),
            ("queue", "gauge", "Photos that wait for a network.", waiting),
        ):
            yield f"# HELP scapnet_{name} {text}"
            yield f"# TYPE scapnet_{name} {kind}"
            yield f"scapnet_{name} {value}"
