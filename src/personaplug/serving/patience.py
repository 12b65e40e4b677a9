"""HTTP connections on which a request's head must arrive in bounded time; uvicorn itself would wait for ever."""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol


def protocol(*, seconds: float) -> type[H11Protocol]:
    """Make the protocol that closes a connection whose next head does not arrive within so many seconds."""

    class Impatient(H11Protocol):
        _waits: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:  # noqa: ANN401 (uvicorn's own signature)
            super().connection_made(transport)
            self._watch()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._watch()

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            self._stop()

        def _watch(self) -> None:
            """Wait for a head where no request is being answered, from its first byte on."""
            if self.cycle is not None and not self.cycle.response_complete:
                self._stop()
            elif self._waits is None:
                self._waits = self.loop.call_later(seconds, self.transport.close)

        def _stop(self) -> None:
            if self._waits is not None:
                self._waits.cancel()
                self._waits = None

    return Impatient
