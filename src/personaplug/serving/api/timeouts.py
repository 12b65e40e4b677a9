"""HTTP connections that are given up, by those who send nothing, read nothing, or are too many; uvicorn would wait."""

import asyncio
import logging
from dataclasses import dataclass
from typing import Any, ClassVar

from uvicorn.protocols.http.h11_impl import H11Protocol

from personaplug.serving.api.whole_writes import WholeWrites

LOG = __name__
"""Name of the log of connections, where each could have a line: a server writes few."""

log = logging.getLogger(LOG)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long a server waits for clients.

    Attributes:
        head_seconds: For a request's head.
        write_seconds: For a client that reads no more of its answer.
        connections: Most that are open; for one more, who has been idle the longest is closed.
    """

    head_seconds: float
    write_seconds: float
    connections: int


class TimedConnection(H11Protocol):
    """A connection of a server; :func:`protocol` makes those of one.

    Attributes:
        timeouts: How long it waits.
        idle: Connections that wait for a head, the longest first.
    """

    timeouts: ClassVar[Timeouts]
    idle: ClassVar["dict[TimedConnection, None]"]

    _waits: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 (uvicorn's own signature)
        """Take a connection in; where it is one too many, close who has been idle the longest."""
        super().connection_made(WholeWrites(transport, loop=self.loop))  # type: ignore[arg-type]  # as good as one
        self._watch()
        if len(self.connections) > self.timeouts.connections:
            log.warning("%d connections are open, and no more are held", self.timeouts.connections)
            oldest = next(iter(self.idle), self)
            self.idle.pop(oldest, None)
            oldest.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take what has arrived."""
        super().data_received(data)
        self._watch()
        self._see_off()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of the connection."""
        super().connection_lost(exc)
        self._stop()
        self._has_read()

    def pause_writing(self) -> None:
        """Wait for the client to read."""
        super().pause_writing()
        self._expect_reader()

    def resume_writing(self) -> None:
        """Go on writing."""
        super().resume_writing()
        if not self.transport.is_closing():
            self._has_read()

    def on_response_complete(self) -> None:
        """Wait for the next head, or for the end to be read."""
        super().on_response_complete()
        self._watch()
        self._see_off()

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection on which nothing more is asked."""
        super().timeout_keep_alive_handler()
        self._see_off()

    def shutdown(self) -> None:
        """Close the connection, after the answer under way."""
        super().shutdown()
        self._see_off()

    def _watch(self) -> None:
        """Wait for a head where no request is being answered, from its first byte on."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop()
        elif self._waits is None:
            self.idle[self] = None
            self._waits = self.loop.call_later(self.timeouts.head_seconds, self._give_up)

    def _give_up(self) -> None:
        self.transport.close()
        self._see_off()

    def _stop(self) -> None:
        self.idle.pop(self, None)
        if self._waits is not None:
            self._waits.cancel()
            self._waits = None

    def _see_off(self) -> None:
        """Wait no longer than this for a client to read the end: a transport that is closed waits for ever."""
        if self.transport.is_closing():
            self._expect_reader()

    def _expect_reader(self) -> None:
        if self._unread is None:
            self._unread = self.loop.call_later(self.timeouts.write_seconds, self.transport.abort)

    def _has_read(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None


def protocol(timeouts: Timeouts) -> type[TimedConnection]:
    """Make the protocol of the connections of one server."""

    class Own(TimedConnection):
        pass

    Own.timeouts, Own.idle = timeouts, {}
    return Own
