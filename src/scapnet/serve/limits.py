"""What a server accepts, and how it refuses the rest."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds on what clients can ask of a server.

    Raises:
        ValueError: a bound below 1.
    """

    megabytes: int = 20
    """Of an upload."""
    megapixels: int = 50
    """Of a photo."""
    uploads: int = 16
    """That are received and decoded at a time; others wait in the queue."""
    queue: int = 64
    """Requests that wait; further ones are refused with 503."""
    seconds: float = 30.0
    """That an upload may take."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 1:
                raise ValueError(f"{name} is {value}; use at least 1")


class Refused(ValueError):
    """A request that is not answered.

    Args:
        status: of HTTP.
        reason: a sentence for the client.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason
