"""Connections that make no headway are closed."""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol


def protocol_of(seconds: float, ending: float) -> type[H11Protocol]:
    """uvicorn's protocol, which by itself waits forever for the end of a request's head and for a client to read.

    It also takes the rest of an upload that was refused for as long as it trickles in.

    Args:
        seconds: after which such a connection is closed at the latest.
        ending: seconds that any connection still gets once the server was told to end.
    """

    class Limited(H11Protocol):
        """Looks at its connection twice within the time."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self.cycle_before: object = self  # none that it will have
            self.unread_before = 0
            self.look = self.loop.call_later(seconds / 2, self._look)

        def connection_lost(self, exc: Exception | None) -> None:
            self.look.cancel()
            super().connection_lost(exc)

        def shutdown(self) -> None:
            super().shutdown()
            self.loop.call_later(ending, self.transport.abort)

        def _look(self) -> None:
            if self.transport.get_protocol() is not self:  # it has become a web socket
                return
            unread, waits = self.transport.get_write_buffer_size(), self.cycle is None or self.cycle.response_complete
            if (waits and self.cycle is self.cycle_before) or unread == self.unread_before > 0:
                self.transport.abort()  # close would wait for what is unread
                return
            self.cycle_before, self.unread_before = self.cycle, unread
            self.look = self.loop.call_later(seconds / 2, self._look)

    return Limited
